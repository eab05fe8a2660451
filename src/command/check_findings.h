#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "archive/capture_end.h"
#include "archive/gap_impact.h"
#include "capture/disk_forecast.h"
#include "command/assurance.h"
#include "command/sync_report.h"
#include "config/config.h"
#include "os/file_system.h"
#include "pg/binaries.h"
#include "pg/mirror_queries.h"
#include "pg/server.h"
#include "pg/slots.h"

namespace walback {

/// good: said with -v. note: somebody may want to know. wrong: this primary is not protected, or not as it
/// seems.
enum class Severity : std::uint8_t { good, note, wrong };
[[nodiscard]] std::string_view name_of(Severity severity);

struct Finding {
  Severity severity = Severity::good;
  std::string subject;  ///< "wal_level", "slot walback", "disk of the archive"
  std::string text;     ///< what was found, and what was expected
  std::string mend;     ///< the command that mends it; empty where there is none
};

/// A program that walback runs, as it was found; no version: it was not.
struct ClientProgram {
  std::string name;
  Path path;
  std::optional<ProgramVersion> version;
};

/// A standby of walback.yaml, asked now. `problem`: why it could not be asked; then nothing else is known.
struct StandbyView {
  std::string name, slot, conninfo;
  std::string problem;
  ServerIdentity server;
  std::optional<Timestamp> started_at;
  std::optional<ReplicationSlot> found_slot;
  std::string synchronous_names;  ///< its own synchronous_standby_names, of use once it is promoted
};

/// What `walback check` asked for, as values.
struct CheckInput {
  explicit CheckInput(const Config& of) : config(of) {}

  const Config& config;
  std::uint64_t archive_system_identifier = 0;
  ServerIdentity server;
  std::optional<Timestamp> started_at;  ///< of the primary: two names may lead to it
  std::map<std::string, Setting> settings;
  RolePrivileges role;
  std::vector<ReplicationSlot> slots;
  std::vector<ReplicationClient> clients;
  std::vector<Tablespace> tablespaces;
  std::int64_t clock_difference_us = 0;  ///< the primary's minus ours
  std::uint64_t cluster_bytes = 0;
  std::optional<ArchiveDisk> archive_disk;
  std::optional<SlotForecast> slot_forecast;  ///< of our slot
  std::string followed_conninfo;              ///< where primary.conninfo names several hosts; else empty
  std::vector<Error> refused_hosts;  ///< of primary.conninfo: they take writes, and are not the primary
  std::optional<Lsn> resume_lsn;     ///< where pg_receivewal would go on; nothing: no WAL yet
  std::vector<StandbyView> standbys;
  std::optional<SyncReport> synchronous;  ///< nothing: could not be asked
  std::optional<MirrorTable> mirror;      ///< nothing: could not be asked
  std::optional<Binaries> binaries;       ///< of the primary's major; nothing: not installed here
  std::vector<ClientProgram> programs;
  bool capturer_runs = false, manager_runs = false;
  std::uint64_t backups = 0, usable_backups = 0;
  std::optional<CaptureEnd> capture_end;  ///< nothing: no WAL is indexed
  std::vector<GapImpact> gaps;
  std::vector<std::string> tablespaces_backed_up;  ///< "<oid> <path>", in the newest usable base backup
  Timestamp now;
  std::optional<Assurance> assurance;  ///< nothing: the archive could not be asked
};

/// Is this primary protected? Pure; in the order in which a person would mend things.
[[nodiscard]] std::vector<Finding> check_findings(const CheckInput& input);

}  // namespace walback
