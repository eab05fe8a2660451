#include "pg/base_backup_progress.h"

namespace walback {

Result<std::optional<BaseBackupProgress>> base_backup_progress(Connection& connection,
                                                               const std::string& application_name) {
  // pg_stat_activity gives the name to every role; phases and sizes need pg_read_all_stats.
  const Rows rows = TRY(connection.query(R"(
    SELECT p.pid, p.phase, p.backup_streamed, p.backup_total, p.tablespaces_streamed, p.tablespaces_total
      FROM pg_stat_progress_basebackup p JOIN pg_stat_activity a ON a.pid = p.pid
     WHERE a.application_name = $1 ORDER BY a.backend_start DESC LIMIT 1)",
                                         {application_name}));
  if (rows.count() == 0) return std::nullopt;
  BaseBackupProgress progress;
  progress.pid = static_cast<int>(rows.integer(0, 0));
  progress.phase = rows.text(0, 1);
  progress.streamed_bytes = static_cast<std::uint64_t>(rows.integer(0, 2));
  if (!rows.is_null(0, 3)) progress.total_bytes = static_cast<std::uint64_t>(rows.integer(0, 3));
  progress.tablespaces_streamed = static_cast<int>(rows.integer(0, 4));
  progress.tablespaces_total = static_cast<int>(rows.integer(0, 5));
  return progress;
}

}  // namespace walback
