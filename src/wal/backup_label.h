#pragma once
#include <string>
#include <string_view>

#include "base/result.h"
#include "wal/lsn.h"
#include "wal/segment_name.h"

namespace walback {

/// What `backup_label` says about a base backup: from where replay must begin.
struct BackupLabel {
  Lsn start_lsn;           ///< REDO of the backup's checkpoint
  std::string start_file;  ///< the segment that PostgreSQL names there, as it stands
  Lsn checkpoint_lsn;
  std::string method;      ///< "streamed"
  std::string from;        ///< "primary" or "standby"
  std::string start_time;  ///< text in the server's log_timezone: for people only
  std::string label;
  TimelineId timeline;
  bool operator==(const BackupLabel&) const = default;
};

/// Lines that PostgreSQL may add one day are passed over; a missing, repeated or unreadable one of these is
/// refused (corrupt).
[[nodiscard]] Result<BackupLabel> parse_backup_label(std::string_view text);

}  // namespace walback
