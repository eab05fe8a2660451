#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/timestamp.h"
#include "pg/connection.h"
#include "wal/lsn.h"

/// Synchronous replication as the primary sees it, and the few statements that change it. No statement here
/// writes WAL.
namespace walback {

/// Sessions that watch the synchronous mode bear it: so everybody can see whether somebody does.
inline constexpr const char* kWatcherName = "walback sync watch";
/// walback's own note in postgresql.auto.conf, beside synchronous_standby_names: it goes where that goes.
inline constexpr const char* kSynchronousNote = "walback.synchronous";

/// A walsender with the receiver's application_name.
struct SynchronousReceiver {
  std::string state, sync_state, client_address;  ///< address: empty over a socket
  std::optional<Lsn> flush_lsn;
  std::optional<Timestamp> reply_time;  ///< the receiver's clock
};
/// A commit that waits for a receiver now. The pid and the transaction's start name it.
struct CommitWaiter {
  int pid = 0;
  Timestamp transaction_start;
  std::int64_t statement_age_us = 0;  ///< how long its statement runs: no less than it waits
};
struct SynchronousWatcher {
  std::string client_address;
  std::int64_t silent_us = 0;  ///< since its last look
};
struct SynchronousView {
  bool in_recovery = false;
  std::string names;   ///< synchronous_standby_names as this session sees it
  std::string source;  ///< pg_settings.source
  bool by_alter_system = false;
  std::string note;  ///< kSynchronousNote, "" when there is none
  Lsn flush_lsn;     ///< read before what follows; 0/0 in recovery
  Timestamp time;    ///< the server's clock
  std::vector<SynchronousReceiver> receivers;
  std::vector<CommitWaiter> waiters;
  std::vector<SynchronousWatcher> watchers;
};
/// Needs pg_read_all_stats for the waiters: without it there seem to be none.
[[nodiscard]] Result<SynchronousView> look_at_synchronous_mode(Connection& connection,
                                                               const std::string& receiver);

/// What keeps this session from switching the mode.
struct SynchronousPrivileges {
  std::string role;
  bool sets_names = false, sets_note = false, reloads = false, sees_waiters = false;
};
[[nodiscard]] Result<SynchronousPrivileges> synchronous_privileges(Connection& connection);
/// synchronous_commit as the server's configuration has it. Over a replication connection, because walback's
/// own sessions set it for themselves, and no view tells the value below.
[[nodiscard]] Result<std::string> server_synchronous_commit(const std::string& conninfo);
/// For whom synchronous_commit is remote_apply: "role app", "database shop", "role app in database shop".
/// What a session sets for itself cannot be seen.
[[nodiscard]] Result<std::vector<std::string>> remote_apply_settings(Connection& connection);

/// ALTER SYSTEM SET; nothing: RESET. Takes effect with reload_configuration.
[[nodiscard]] Status alter_system(Connection& connection, const std::string& setting,
                                  const std::optional<std::string>& value);
/// Asked for, not yet done: look again until it shows.
[[nodiscard]] Status reload_configuration(Connection& connection);

/// One at a time changes the mode. False: somebody else is at it. Given back with the session at the latest.
[[nodiscard]] Result<bool> try_synchronous_lock(Connection& connection);
[[nodiscard]] Status release_synchronous_lock(Connection& connection);

}  // namespace walback
