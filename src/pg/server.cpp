#include "pg/server.h"

#include <fmt/format.h>

#include "base/text.h"
#include "pg/sql.h"

namespace walback {
namespace {

Result<Rows> one_row(Connection& connection, const std::string& sql,
                     const std::vector<std::string>& parameters = {}) {
  Rows rows = TRY(connection.query(sql, parameters));
  if (rows.count() != 1) {
    return fail(ErrorKind::internal,
                fmt::format("the server answered with {} rows, expected one: {}", rows.count(), sql));
  }
  return rows;
}

Result<Lsn> one_lsn(Connection& connection, const std::string& sql,
                    const std::vector<std::string>& parameters = {}) {
  const Rows rows = TRY(one_row(connection, sql, parameters));
  const auto lsn = rows.lsn(0, 0);
  if (!lsn) return fail(ErrorKind::internal, fmt::format("'{}' is no LSN: {}", rows.text(0, 0), sql));
  return *lsn;
}

/// PostgreSQL's "recovery is in progress" becomes a conflict that names what was asked.
template <class T>
Result<T> needs_primary(const Connection& connection, Result<T> result) {
  if (!result && connection.sqlstate() == "55000") {
    return fail(ErrorKind::conflict, "the server is a standby, expected a primary: " + result.error().message,
                "Let the connection string lead to the primary, for example with "
                "target_session_attrs=read-write and every host.");
  }
  return result;
}

}  // namespace

Result<ServerIdentity> server_identity(Connection& connection) {
  // A fresh primary's last checkpoint may still carry the timeline before its promotion; its WAL does not.
  const Rows rows = TRY(one_row(connection, R"(
    SELECT s.system_identifier, current_setting('server_version_num'), s.catalog_version_no, pg_is_in_recovery(),
           CASE WHEN pg_is_in_recovery()
                THEN greatest(c.timeline_id, r.min_recovery_end_timeline,
                              (SELECT received_tli FROM pg_stat_get_wal_receiver()))
                ELSE ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int END,
           i.bytes_per_wal_segment, i.data_page_checksum_version > 0,
           (SELECT setting FROM pg_settings WHERE name = 'data_directory')
      FROM pg_control_system() s, pg_control_checkpoint() c, pg_control_recovery() r, pg_control_init() i)"));
  ServerIdentity identity;
  identity.system_identifier = static_cast<std::uint64_t>(rows.integer(0, 0));
  identity.server_version_num = static_cast<int>(rows.integer(0, 1));
  identity.catalog_version = static_cast<std::uint32_t>(rows.integer(0, 2));
  identity.in_recovery = rows.boolean(0, 3);
  identity.timeline = TimelineId{static_cast<std::uint32_t>(rows.integer(0, 4))};
  const auto size = SegmentSize::from_bytes(static_cast<std::uint64_t>(rows.integer(0, 5)));
  if (!size) {
    return fail(
        ErrorKind::internal,
        fmt::format("wal_segment_size of the server is '{}', expected a power of two from 1 MB to 1 GB",
                    rows.text(0, 5)));
  }
  identity.segment_size = *size;
  identity.data_checksums = rows.boolean(0, 6);
  identity.data_directory = rows.text(0, 7);
  return identity;
}

Result<WalPositions> wal_positions(Connection& connection) {
  const auto read = [&]() -> Result<WalPositions> {
    // Flush is read first: read last it could lie beyond the insert position of a moment before.
    const Rows rows = TRY(one_row(connection, R"(
      SELECT pg_current_wal_flush_lsn(), pg_current_wal_lsn(), pg_current_wal_insert_lsn())"));
    return WalPositions{rows.lsn(0, 2).value_or(Lsn{}), rows.lsn(0, 1).value_or(Lsn{}),
                        rows.lsn(0, 0).value_or(Lsn{})};
  };
  return needs_primary(connection, read());
}

Result<Timestamp> server_clock(Connection& connection) {
  const Rows rows = TRY(one_row(connection, "SELECT " + sql_time("clock_timestamp()")));
  return rows.time(0, 0).value_or(Timestamp{});
}

Result<Timestamp> server_start_time(Connection& connection) {
  const Rows rows = TRY(one_row(connection, "SELECT " + sql_time("pg_postmaster_start_time()")));
  return rows.time(0, 0).value_or(Timestamp{});
}

Result<std::string> timeline_history_file(Connection& replication, TimelineId timeline) {
  return TRY(one_row(replication, fmt::format("TIMELINE_HISTORY {}", timeline.value))).text(0, 1);
}

Result<std::map<std::string, Setting>> server_settings(Connection& connection,
                                                       const std::vector<std::string>& names) {
  const Rows rows =
      TRY(connection.query("SELECT name, setting, unit, pending_restart FROM pg_settings WHERE name = ANY "
                           "(string_to_array($1, ','))",
                           {join(names, ",")}));
  std::map<std::string, Setting> settings;
  for (int i = 0; i < rows.count(); ++i) {
    settings[rows.text(i, 0)] = Setting{rows.text(i, 1), rows.text(i, 2), rows.boolean(i, 3)};
  }
  return settings;
}

const std::vector<std::string>& settings_to_check() {
  static const std::vector<std::string> names = {"archive_command",
                                                 "archive_library",
                                                 "archive_mode",
                                                 "data_checksums",
                                                 "fsync",
                                                 "full_page_writes",
                                                 "hot_standby",
                                                 "listen_addresses",
                                                 "max_connections",
                                                 "max_replication_slots",
                                                 "max_slot_wal_keep_size",
                                                 "max_wal_senders",
                                                 "shared_preload_libraries",
                                                 "synchronous_commit",
                                                 "synchronous_standby_names",
                                                 "track_commit_timestamp",
                                                 "wal_level",
                                                 "wal_log_hints",
                                                 "wal_sender_timeout"};
  return names;
}

Result<RolePrivileges> role_privileges(Connection& connection) {
  const Rows rows = TRY(one_row(connection, R"(
    SELECT rolname, rolsuper, rolreplication OR rolsuper, pg_has_role('pg_read_all_stats', 'USAGE'),
           has_database_privilege(current_database(), 'CREATE')
      FROM pg_roles WHERE rolname = current_user)"));
  return RolePrivileges{rows.text(0, 0), rows.boolean(0, 1), rows.boolean(0, 2), rows.boolean(0, 3),
                        rows.boolean(0, 4)};
}

Result<std::vector<ReplicationClient>> replication_clients(Connection& connection) {
  const Rows rows = TRY(connection.query(
      "SELECT r.pid, r.application_name, r.state, r.sync_state, r.sent_lsn, r.write_lsn, r.flush_lsn, "
      "r.replay_lsn, " +
      sql_time("r.reply_time") +
      ", s.slot_name FROM pg_stat_replication r LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid "
      "ORDER BY r.pid"));
  std::vector<ReplicationClient> clients;
  for (int i = 0; i < rows.count(); ++i) {
    ReplicationClient client;
    client.pid = static_cast<int>(rows.integer(i, 0));
    client.application_name = rows.text(i, 1);
    client.state = rows.text(i, 2);
    client.sync_state = rows.text(i, 3);
    client.sent_lsn = rows.lsn(i, 4);
    client.write_lsn = rows.lsn(i, 5);
    client.flush_lsn = rows.lsn(i, 6);
    client.replay_lsn = rows.lsn(i, 7);
    client.reply_time = rows.time(i, 8);
    client.slot = rows.text(i, 9);
    clients.push_back(std::move(client));
  }
  return clients;
}

Result<std::vector<Tablespace>> user_tablespaces(Connection& connection) {
  const Rows rows = TRY(connection.query(R"(
    SELECT oid, spcname, pg_tablespace_location(oid) FROM pg_tablespace
     WHERE spcname NOT IN ('pg_default', 'pg_global') ORDER BY oid)"));
  std::vector<Tablespace> tablespaces;
  for (int i = 0; i < rows.count(); ++i) {
    tablespaces.push_back({static_cast<std::uint32_t>(rows.integer(i, 0)), rows.text(i, 1), rows.text(i, 2)});
  }
  return tablespaces;
}

Result<std::uint64_t> cluster_size_bytes(Connection& connection) {
  const Rows rows = TRY(one_row(connection, "SELECT sum(pg_database_size(oid))::bigint FROM pg_database"));
  return static_cast<std::uint64_t>(rows.integer(0, 0));
}

Result<Lsn> create_restore_point(Connection& connection, const std::string& name) {
  return needs_primary(connection, one_lsn(connection, "SELECT pg_create_restore_point($1)", {name}));
}

Result<Lsn> switch_wal(Connection& connection) {
  return needs_primary(connection, one_lsn(connection, "SELECT pg_switch_wal()"));
}

}  // namespace walback
