#include "pg/recovery_queries.h"

#include <fmt/format.h>

namespace walback {
namespace {

constexpr const char* kRecoveryState =
    "select pg_is_in_recovery(), "
    "case when pg_is_in_recovery() then pg_get_wal_replay_pause_state() = 'paused' else false end, "
    "pg_last_wal_replay_lsn(), "
    "(extract(epoch from pg_last_xact_replay_timestamp()) * 1000000)::bigint";

constexpr const char* kPrepared =
    "select gid, database, to_char(prepared at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') "
    "from pg_prepared_xacts order by prepared";

// System catalogs are never unlogged; toast tables and indexes follow their table.
constexpr const char* kUnlogged =
    "select count(*) from pg_class where relpersistence = 'u' and relkind in ('r', 'm')";

constexpr const char* kOtherDatabases =
    "select datname from pg_database where datallowconn and datname <> current_database() order by datname";

constexpr const char* kCollations =
    "select datname, datcollversion, pg_database_collation_actual_version(oid) from pg_database "
    "where datcollversion is distinct from pg_database_collation_actual_version(oid) and datcollversion is "
    "not null "
    "order by datname";

}  // namespace

Result<RecoveryState> recovery_state(Connection& connection) {
  const Rows rows = TRY(connection.query(kRecoveryState));
  RecoveryState state;
  state.in_recovery = rows.boolean(0, 0);
  state.paused = rows.boolean(0, 1);
  state.replay_lsn = rows.lsn(0, 2);
  if (!rows.is_null(0, 3)) state.last_transaction_time = Timestamp{rows.integer(0, 3)};
  return state;
}

Status resume_replay(Connection& connection) {
  return connection.execute("select pg_wal_replay_resume()");
}

Result<TimelineId> control_timeline(Connection& connection) {
  const Rows rows = TRY(connection.query("select timeline_id from pg_control_checkpoint()"));
  return TimelineId{static_cast<std::uint32_t>(rows.integer(0, 0))};
}

Result<Curiosities> curiosities(Connection& connection) {
  Curiosities found;
  const Rows prepared = TRY(connection.query(kPrepared));
  for (int row = 0; row < prepared.count(); ++row) {
    found.prepared_transactions.push_back(fmt::format("{} in {}, prepared at {}", prepared.text(row, 0),
                                                      prepared.text(row, 1), prepared.text(row, 2)));
  }
  found.unlogged_tables = TRY(unlogged_tables(connection));
  const Rows collations = TRY(connection.query(kCollations));
  for (int row = 0; row < collations.count(); ++row) {
    found.collations.push_back(fmt::format("database {}: recorded {}, here {}", collations.text(row, 0),
                                           collations.text(row, 1), collations.text(row, 2)));
  }
  return found;
}

Result<std::uint64_t> unlogged_tables(Connection& connection) {
  return static_cast<std::uint64_t>(TRY(connection.query(kUnlogged)).integer(0, 0));
}

Result<std::vector<std::string>> other_databases(Connection& connection) {
  const Rows rows = TRY(connection.query(kOtherDatabases));
  std::vector<std::string> names;
  for (int row = 0; row < rows.count(); ++row) names.push_back(rows.text(row, 0));
  return names;
}

Status reload_settings(Connection& connection) {
  return connection.execute("select pg_reload_conf()");
}

Result<std::string> setting_value(Connection& connection, const std::string& name) {
  return TRY(connection.query("select current_setting($1)", {name})).text(0, 0);
}

Status run_checkpoint(Connection& connection) {
  return connection.execute("checkpoint");
}

Result<bool> is_superuser(Connection& connection) {
  return TRY(connection.query("select rolsuper from pg_roles where rolname = current_user")).boolean(0, 0);
}

}  // namespace walback
