#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/timestamp.h"
#include "pg/connection.h"
#include "wal/lsn.h"
#include "wal/segment_name.h"

/// What a restored cluster is asked on its way from recovery to read-write.
namespace walback {

/// A server in recovery, as it says itself. `replay_lsn` is the end of the last record replayed.
struct RecoveryState {
  bool in_recovery = false;
  bool paused = false;  ///< pg_get_wal_replay_pause_state() = 'paused'; may also mean "settings too low"
  std::optional<Lsn> replay_lsn;
  std::optional<Timestamp> last_transaction_time;  ///< of the last commit or abort replayed since the start
};
[[nodiscard]] Result<RecoveryState> recovery_state(Connection& connection);

/// Ends the pause: at a recovery target this promotes. (pg_promote() waits up to a second at a pause.)
[[nodiscard]] Status resume_replay(Connection& connection);

/// The timeline in the control file: after a promotion the new one.
[[nodiscard]] Result<TimelineId> control_timeline(Connection& connection);

/// Things that a person who looks into the copy should know: none of them is a defect of the restore.
struct Curiosities {
  std::vector<std::string> prepared_transactions;  ///< "<gid> in <database>, prepared at <time>"
  std::uint64_t unlogged_tables = 0;               ///< they come back empty
  std::vector<std::string> collations;             ///< "<name>: recorded 2.31, here 2.36"
};
/// Of unlogged tables those of the connection's own database alone: see `unlogged_tables`.
[[nodiscard]] Result<Curiosities> curiosities(Connection& connection);
/// Those of the connection's database.
[[nodiscard]] Result<std::uint64_t> unlogged_tables(Connection& connection);
/// All that let somebody in, but for the connection's own.
[[nodiscard]] Result<std::vector<std::string>> other_databases(Connection& connection);

[[nodiscard]] Status reload_settings(Connection& connection);
[[nodiscard]] Result<std::string> setting_value(Connection& connection, const std::string& name);
[[nodiscard]] Status run_checkpoint(Connection& connection);
[[nodiscard]] Result<bool> is_superuser(Connection& connection);

}  // namespace walback
