#include "pg/synchronous_queries.h"

#include <fmt/format.h>

#include "pg/sql.h"

namespace walback {
namespace {

constexpr std::int64_t kLockKey = 0x77616c6261636b;  // "walback"

Status read_settings(Connection& connection, SynchronousView& view) {
  const Rows rows = TRY(connection.query(fmt::format(
      R"(SELECT pg_is_in_recovery(), current_setting('synchronous_standby_names'), s.source,
                coalesce(s.sourcefile LIKE '%/postgresql.auto.conf', false),
                coalesce(current_setting('{}', true), ''),
                CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_flush_lsn() END, {}
           FROM pg_settings s WHERE s.name = 'synchronous_standby_names')",
      kSynchronousNote, sql_time("clock_timestamp()"))));
  if (rows.count() != 1) return fail(ErrorKind::internal, "the server knows no synchronous_standby_names");
  view.in_recovery = rows.boolean(0, 0);
  view.names = rows.text(0, 1);
  view.source = rows.text(0, 2);
  view.by_alter_system = rows.boolean(0, 3);
  view.note = rows.text(0, 4);
  view.flush_lsn = rows.lsn(0, 5).value_or(Lsn{});
  view.time = rows.time(0, 6).value_or(Timestamp{});
  return {};
}

Status read_receivers(Connection& connection, const std::string& receiver, SynchronousView& view) {
  const Rows rows = TRY(connection.query("SELECT state, sync_state, host(client_addr), flush_lsn, " +
                                             sql_time("reply_time") +
                                             " FROM pg_stat_replication WHERE lower(application_name) = "
                                             "lower($1) ORDER BY pid",
                                         {receiver}));
  for (int i = 0; i < rows.count(); ++i)
    view.receivers.push_back(
        {rows.text(i, 0), rows.text(i, 1), rows.text(i, 2), rows.lsn(i, 3), rows.time(i, 4)});
  return {};
}

Status read_sessions(Connection& connection, SynchronousView& view) {
  const Rows rows = TRY(connection.query(
      fmt::format(R"(SELECT wait_event IS NOT DISTINCT FROM 'SyncRep', pid, {}, {}, host(client_addr), {}
                       FROM pg_stat_activity
                      WHERE wait_event = 'SyncRep' OR application_name = '{}' ORDER BY pid)",
                  sql_time("coalesce(xact_start, query_start, backend_start)"),
                  "(extract(epoch FROM clock_timestamp() - query_start) * 1000000)::bigint",
                  "(extract(epoch FROM clock_timestamp() - greatest(query_start, state_change)) * "
                  "1000000)::bigint",
                  kWatcherName)));
  for (int i = 0; i < rows.count(); ++i) {
    if (rows.boolean(i, 0)) {
      view.waiters.push_back(
          {static_cast<int>(rows.integer(i, 1)), rows.time(i, 2).value_or(Timestamp{}), rows.integer(i, 3)});
    } else {
      view.watchers.push_back({rows.text(i, 4), rows.integer(i, 5)});
    }
  }
  return {};
}

std::string literal(const std::string& value) {
  std::string text = "'";
  for (const char c : value) text.append(c == '\'' ? 2 : 1, c);
  return text + "'";
}

}  // namespace

Result<SynchronousView> look_at_synchronous_mode(Connection& connection, const std::string& receiver) {
  SynchronousView view;
  TRY(read_settings(connection, view));
  TRY(read_receivers(connection, receiver, view));
  TRY(read_sessions(connection, view));
  return view;
}

Result<SynchronousPrivileges> synchronous_privileges(Connection& connection) {
  const Rows rows = TRY(connection.query(fmt::format(
      R"(SELECT current_user, has_parameter_privilege('synchronous_standby_names', 'ALTER SYSTEM'),
                has_parameter_privilege('{}', 'ALTER SYSTEM'),
                has_function_privilege('pg_reload_conf()', 'EXECUTE'),
                pg_has_role('pg_read_all_stats', 'USAGE'))",
      kSynchronousNote)));
  if (rows.count() != 1) return fail(ErrorKind::internal, "the server does not say what this role may do");
  return SynchronousPrivileges{rows.text(0, 0), rows.boolean(0, 1), rows.boolean(0, 2), rows.boolean(0, 3),
                               rows.boolean(0, 4)};
}

Result<std::string> server_synchronous_commit(const std::string& conninfo) {
  Connection connection = TRY(Connection::open(conninfo, {.replication = true}));
  const Rows rows = TRY(connection.query("SHOW synchronous_commit"));
  if (rows.count() != 1) return fail(ErrorKind::internal, "the server knows no synchronous_commit");
  return rows.text(0, 0);
}

Result<std::vector<std::string>> remote_apply_settings(Connection& connection) {
  const Rows rows = TRY(connection.query(R"(
    SELECT concat_ws(' in ', 'role ' || r.rolname, 'database ' || d.datname)
      FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole
      LEFT JOIN pg_database d ON d.oid = s.setdatabase
     WHERE 'synchronous_commit=remote_apply' = ANY (s.setconfig))"));
  std::vector<std::string> where;
  for (int i = 0; i < rows.count(); ++i) where.push_back(rows.text(i, 0));
  return where;
}

Status alter_system(Connection& connection, const std::string& setting,
                    const std::optional<std::string>& value) {
  // Up to 15 a setting with a prefix is only known to the session that has set it.
  if (setting.find('.') != std::string::npos) TRY(connection.execute(fmt::format("SET {} = ''", setting)));
  const Status done =
      connection.execute(value ? fmt::format("ALTER SYSTEM SET {} = {}", setting, literal(*value))
                               : fmt::format("ALTER SYSTEM RESET {}", setting));
  // What the session has set for itself would hide what the server is told.
  if (setting.find('.') != std::string::npos) TRY(connection.execute(fmt::format("RESET {}", setting)));
  return done;
}

Status reload_configuration(Connection& connection) {
  return connection.execute("SELECT pg_reload_conf()");
}

Result<bool> try_synchronous_lock(Connection& connection) {
  const Rows rows = TRY(connection.query("SELECT pg_try_advisory_lock($1)", {std::to_string(kLockKey)}));
  return rows.count() == 1 && rows.boolean(0, 0);
}

Status release_synchronous_lock(Connection& connection) {
  return connection.execute("SELECT pg_advisory_unlock($1)", {std::to_string(kLockKey)});
}

}  // namespace walback
