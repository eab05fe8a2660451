#pragma once
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "archive/archive_context.h"
#include "archive/wal_directory.h"
#include "base/progress.h"
#include "base/result.h"
#include "catalog/catalog.h"

/// Every segment of an archive, read and held against what was indexed.
///
/// Beside a running manager, and without its lock: the files are only read, and of the rows nothing is
/// written but a segment's problem, as a restore does that comes upon damage. The manager's next full scan
/// reads such a segment again, and says precisely what is damaged, or that a good copy is back. What was
/// found right is remembered, so that the next one reads what is new or changed; a kill costs the last few
/// seconds.
namespace walback {

/// Something about the WAL that is not as it should be.
struct WalFinding {
  enum class Kind : std::uint8_t {
    damaged,       ///< `lost` cannot be read any more
    missing,       ///< indexed, and no file
    gap,           ///< between what there is
    accepted,      ///< any of these, in a gap that a person accepted
    history,       ///< a timeline's history is gone or another one
    not_indexed,   ///< a file without a row
    unknown_name,  ///< nobody of us writes such a name
    leftover,      ///< a `.partial` beside its finished segment
  };
  Kind kind = Kind::damaged;
  std::string subject;  ///< the file, or the place
  std::string text;
  std::optional<WalRange> lost;
  bool operator==(const WalFinding& other) const {
    return kind == other.kind && subject == other.subject && text == other.text;
  }
};

struct WalVerification {
  std::vector<WalFinding> findings;
  std::uint64_t segments_read = 0, segments_remembered = 0;
  std::uint64_t read_bytes = 0;
  std::optional<Timestamp> oldest_look;  ///< of all that was found right, now or earlier
};

struct VerifyWalSetup {
  ArchiveContext archive;
  /// Brings the index up to what is on disk.
  std::function<Status()> freshen;
};

/// `since`: what was verified before counts no more. A stop request ends it (interrupted); what was read by
/// then is remembered. The catalog is opened for writing.
[[nodiscard]] Result<WalVerification> verify_wal(const VerifyWalSetup& setup, Catalog& catalog,
                                                 Timestamp since, Progress& progress, std::stop_token stop);

}  // namespace walback
