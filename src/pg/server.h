#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/timestamp.h"
#include "pg/connection.h"
#include "wal/lsn.h"
#include "wal/segment_name.h"

/// What walback asks any server, primary or standby: who it is, where its WAL stands, how it is set up.
namespace walback {

struct ServerIdentity {
  std::uint64_t system_identifier = 0;
  int server_version_num = 0;  ///< 150020
  std::uint32_t catalog_version = 0;
  bool in_recovery = false;
  TimelineId timeline;  ///< of the WAL that is written now; on a standby the newest it is known to follow
  SegmentSize segment_size = *SegmentSize::from_bytes(16U << 20);
  bool data_checksums = false;
  std::string data_directory;  ///< empty where the role may not see it

  [[nodiscard]] int major() const { return server_version_num / 10000; }
};
[[nodiscard]] Result<ServerIdentity> server_identity(Connection& connection);

/// Of a primary; a standby is `conflict`. Insert is where the next record goes, flush what survives a crash.
struct WalPositions {
  Lsn insert, write, flush;
};
[[nodiscard]] Result<WalPositions> wal_positions(Connection& connection);

/// clock_timestamp(): the server's clock, not ours.
[[nodiscard]] Result<Timestamp> server_clock(Connection& connection);

/// pg_postmaster_start_time(): the same server has the same one until it is restarted.
[[nodiscard]] Result<Timestamp> server_start_time(Connection& connection);

/// The text of the timeline's `.history` file. Of a replication connection, and not for timeline 1.
[[nodiscard]] Result<std::string> timeline_history_file(Connection& replication, TimelineId timeline);

/// As pg_settings shows it: the value is in `unit` ("" where it has none, else "kB", "8kB", "ms", "MB", …).
struct Setting {
  std::string value, unit;
  bool pending_restart = false;
};
/// Those of `names` that this server knows and this role may see; others are simply not in the map.
[[nodiscard]] Result<std::map<std::string, Setting>> server_settings(Connection& connection,
                                                                     const std::vector<std::string>& names);
/// What `walback check` looks at.
[[nodiscard]] const std::vector<std::string>& settings_to_check();

struct RolePrivileges {
  std::string role;
  bool superuser = false;
  bool replication = false;  ///< may stream and make slots (a superuser may too)
  bool reads_all_stats =
      false;  ///< sees other sessions' state: pg_read_all_stats, by itself or by pg_monitor
  bool creates_schemas = false;  ///< CREATE on this database: for the mirror table
};
[[nodiscard]] Result<RolePrivileges> role_privileges(Connection& connection);

/// A row of pg_stat_replication. NULLs (no privilege, or not yet reported) are nothing.
struct ReplicationClient {
  int pid = 0;
  std::string application_name, state, sync_state;
  std::optional<Lsn> sent_lsn, write_lsn, flush_lsn, replay_lsn;
  std::optional<Timestamp> reply_time;
  std::string slot;  ///< the slot it uses, or empty
};
[[nodiscard]] Result<std::vector<ReplicationClient>> replication_clients(Connection& connection);

/// Tablespaces besides pg_default and pg_global. `location` is the path on the server's host.
struct Tablespace {
  std::uint32_t oid = 0;
  std::string name, location;
};
[[nodiscard]] Result<std::vector<Tablespace>> user_tablespaces(Connection& connection);

/// Bytes of all databases; pg_read_all_stats or CONNECT on each is needed.
[[nodiscard]] Result<std::uint64_t> cluster_size_bytes(Connection& connection);

/// What the server knows of a top-level xid. in_future: not begun here. forgotten: its status is no longer
/// kept. The 32-bit xid is taken to be the one nearest to the server's next xid.
enum class TransactionStatus : std::uint8_t { committed, aborted, in_progress, in_future, forgotten };
[[nodiscard]] std::string_view name_of(TransactionStatus status);
[[nodiscard]] Result<TransactionStatus> transaction_status(Connection& connection, std::uint32_t xid);

/// With track_commit_timestamp=on: the commit record's own time. Nothing for an xid that did not commit, or
/// whose time is no longer (or was never) kept; off: `conflict`.
[[nodiscard]] Result<std::optional<Timestamp>> commit_timestamp(Connection& connection, std::uint32_t xid);

/// pg_create_restore_point: the end of its record.
[[nodiscard]] Result<Lsn> create_restore_point(Connection& connection, const std::string& name);
/// pg_switch_wal
[[nodiscard]] Result<Lsn> switch_wal(Connection& connection);

}  // namespace walback
