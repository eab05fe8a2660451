#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/timestamp.h"
#include "wal/lsn.h"
#include "wal/segment_name.h"

namespace walback {

/// indexing: catching up. current: everything on disk is in the catalog. failing: see `last_error`; it is
/// being retried. stopped: ended cleanly.
enum class ManageState : std::uint8_t { indexing, current, failing, stopped };
[[nodiscard]] std::string_view name_of(ManageState state);

/// `manage.status` in the archive: what the WAL manager says of itself. Whether it still lives is told by its
/// lock, not by this file.
struct ManageStatus {
  struct Indexed {
    TimelineId timeline;
    Lsn end_lsn;  ///< end of the last valid record in the catalog
    bool operator==(const Indexed&) const = default;
  };
  struct Watermark {
    TimelineId timeline;
    Lsn lsn;
    Timestamp time;
    bool operator==(const Watermark&) const = default;
  };

  int pid = 0;
  ManageState state = ManageState::indexing;
  Timestamp started_at;
  Timestamp updated_at;
  std::optional<Timestamp> last_intake_at;  ///< the last pass that ended well
  std::vector<Indexed> indexed;             ///< one for each timeline, oldest first
  std::optional<Watermark> watermark;       ///< the last one taken and covered, stored or overtaken
  std::string last_error;                   ///< of the intake; empty when the last pass ended well
  std::string primary_error;                ///< of watermarks or the mirror, the same way
  bool operator==(const ManageStatus&) const = default;
};

[[nodiscard]] std::string to_text(const ManageStatus& status);
[[nodiscard]] Result<ManageStatus> parse_manage_status(const std::string& text, const std::string& what);

}  // namespace walback
