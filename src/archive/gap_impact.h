#pragma once
#include <optional>
#include <string>
#include <vector>

#include "archive/continuity.h"
#include "catalog/catalog.h"

/// What a gap costs, in words that a person needs: which moments, which base backups, and since when the
/// cluster is protected again.
namespace walback {

struct GapImpact {
  GapRow gap;
  std::optional<Timestamp> last_before;   ///< of the last transaction end that is known before the gap
  std::optional<Timestamp> first_behind;  ///< of the first one behind it; nothing: none yet
  std::vector<std::string> cut_short;     ///< base backups that reach only up to the gap now
  std::vector<std::string> unusable;      ///< base backups whose own WAL the gap took
  /// The first base backup from which nothing behind the gap is missing: since it was finished, the cluster
  /// is protected again.
  struct Renewal {
    std::string backup;
    Timestamp finished_at;
    bool operator==(const Renewal&) const = default;
  };
  std::optional<Renewal> renewed_by;
};

/// Pure: which base backups each gap concerns, times left out. A gap above the switch to a newer timeline is
/// not in that timeline's way.
[[nodiscard]] std::vector<GapImpact> judge_gaps(const std::vector<GapRow>& gaps,
                                                const std::vector<BackupRow>& backups,
                                                const TimelineStarts& starts);

/// Of every gap in the catalog, with its times.
[[nodiscard]] Result<std::vector<GapImpact>> gap_impacts(const Catalog& catalog);

/// "every moment from 0/5000000 to 0/6000148 (after …, before …) is out of reach; base backup … reaches only
/// up to there; protection is missing until a new base backup is finished"
[[nodiscard]] std::string describe(const GapImpact& impact);

/// "base backup A", "base backups A and B", "12 base backups, from A to L"
[[nodiscard]] std::string name_backups(const std::vector<std::string>& ids);

}  // namespace walback
