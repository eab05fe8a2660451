#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "restore/conf_file.h"
#include "restore/plan.h"
#include "restore/preloads.h"
#include "restore/refused_settings.h"
#include "wal/lsn.h"

/// The settings of a restored cluster, decided without touching a disk.
///
/// The base backup's own settings are kept where they shape what a query sees (time zone, work_mem, an
/// extension's parameters) and dropped where they could reach out of the copy: recovery targets, archiving,
/// replication, jobs, listening, anything that names a path of the primary's host. What is dropped is listed,
/// never silently lost.
namespace walback {

struct RestoredSettingsInput {
  std::string base_conf;       ///< the base's postgresql.conf; empty where it lies outside PGDATA (Debian)
  std::string base_auto_conf;  ///< the base's postgresql.auto.conf
  /// The parameters that a hot standby refuses to run below: the maximum over pg_control and every change in
  /// the WAL to be replayed. Below them PostgreSQL pauses before the target, or does not start.
  SettingsFloor floor;
  bool track_commit_timestamp = false;
  /// `restore.settings` of walback.yaml: they win over the base, and cannot undo what keeps the copy safe.
  std::map<std::string, std::string> overrides;
  /// Every setting that the server build knows; empty: not known. One that it does not know would keep it
  /// from starting (a base of a newer minor version). Names with a dot are always allowed.
  std::set<std::string> known;
  std::vector<Preload> missing_libraries;  ///< of the base's, and not installed here
  std::vector<RefusedSetting> refused;     ///< of the base's, by the server that will run the copy
  std::string listen_addresses;
  std::uint16_t port = 0;
  std::string socket_directory;
  std::uint64_t segment_bytes = 16U << 20;  ///< min_wal_size and max_wal_size must hold two segments
};

struct RestoredSettings {
  std::string postgresql_conf;       ///< the copy's own, for as long as it lives
  std::vector<std::string> dropped;  ///< "archive_command = '…' (archiving)", for the log and the proof
};
[[nodiscard]] RestoredSettings restored_settings(const RestoredSettingsInput& input);

/// Where recovery stops, as PostgreSQL's settings name it.
struct RecoverySettings {
  std::string restore_command;
  Lsn target;
  bool inclusive = true;
  TimelineId timeline;
  std::uint64_t max_wal_size_mb = 1024;  ///< as much WAL as may pile up before a restartpoint
  bool fsync = false;                    ///< on for a copy that stays paused: somebody keeps it
  bool in_place_tablespaces = false;     ///< there are some, or the WAL creates one
};
/// postgresql.auto.conf while the copy is not yet precious: the recovery target, and settings that trade
/// crash safety for speed, because a crash only means that the restore begins again. It is emptied when the
/// copy is finished.
[[nodiscard]] std::string recovery_auto_conf(const RecoverySettings& recovery);

/// pg_hba.conf until the proof is written (the private socket alone) and afterwards.
[[nodiscard]] std::string quarantine_hba();
[[nodiscard]] std::string released_hba(const std::vector<std::string>& lines);

}  // namespace walback
