#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "pg/connection.h"

namespace walback {

/// A row of pg_stat_progress_basebackup.
struct BaseBackupProgress {
  int pid = 0;  ///< of the walsender
  std::string phase;
  std::uint64_t streamed_bytes = 0;
  std::optional<std::uint64_t> total_bytes;  ///< an estimate; nothing without --progress
  int tablespaces_streamed = 0, tablespaces_total = 0;
};
/// Of the walsender with this application_name; nothing when there is none (not begun, or over).
[[nodiscard]] Result<std::optional<BaseBackupProgress>> base_backup_progress(
    Connection& connection, const std::string& application_name);

}  // namespace walback
