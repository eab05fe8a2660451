#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "catalog/archive_layout.h"
#include "catalog/catalog.h"
#include "restore/clock_set_back.h"

namespace walback {

/// A stretch of the newest timeline's history in which every moment can be reached.
struct RecoverableSpan {
  std::string backup;  ///< id of the base backup with which it begins
  Lsn from_lsn;        ///< that backup's consistency
  Timestamp from_time;
  Lsn to_lsn;  ///< end of the last valid record before the next obstacle, or at all
  std::optional<Timestamp> last_commit_time;
};

/// From the first consistent LSN of the oldest usable base backup to the last valid record captured, minus
/// gaps. No spans: nothing can be restored, and `problem` says why.
struct RecoverableWindow {
  TimelineId timeline;                    ///< the newest
  std::vector<RecoverableSpan> spans;     ///< oldest first
  std::optional<WatermarkRow> watermark;  ///< the newest that the index covers: idle time counts up to here
  std::optional<ClockSetBack> clock_set_back;  ///< and has not shown the old time again
  std::vector<std::string> obstacles;  ///< missing and damaged WAL after the first consistent point, in words
  std::string problem;
};

[[nodiscard]] Result<RecoverableWindow> recoverable_window(const Catalog& catalog,
                                                           const ArchiveIdentity& identity);
[[nodiscard]] Json to_json(const RecoverableWindow& window);

}  // namespace walback
