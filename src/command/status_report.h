#pragma once
#include <optional>
#include <string>
#include <vector>

#include "archive/manage_status.h"
#include "capture/capture_status.h"
#include "capture/disk_forecast.h"
#include "command/assurance.h"
#include "command/session.h"
#include "command/sync_report.h"
#include "pg/server.h"
#include "pg/slots.h"
#include "restore/recoverable_window.h"

namespace walback {

/// The newest restore that was held against its plan.
struct LastProof {
  std::string name, target;
  bool holds = false;
  Timestamp at;
};
/// Nothing where no restore came as far. `restores`: newest first, as the catalog lists them.
[[nodiscard]] std::optional<LastProof> last_proof(const std::vector<RestoreRow>& restores);

/// One look at everything: what `status` shows, scrapes and turns into an exit code. Each part that cannot be
/// asked is nothing, and a problem says why; a silent server is a finding, not an error of the command.
struct StatusReport {
  explicit StatusReport(ArchiveIdentity of) : identity(of) {}

  Timestamp taken_at;
  ArchiveIdentity identity;
  std::string archive;

  bool primary_answers = false;
  std::string primary_host;  ///< that is followed; empty: none was found
  TimelineId primary_timeline;
  std::optional<Lsn> primary_lsn;  ///< flushed there now
  std::vector<ReplicationSlot> slots;
  std::vector<ReplicationClient> clients;
  std::optional<SyncReport> synchronous;

  bool capturer_runs = false, manager_runs = false;
  std::optional<CaptureStatus> capture;
  std::optional<ManageStatus> manage;

  /// What is lost, in bytes of WAL, if the primary dies now (held), and if this machine dies with it
  /// (durable).
  std::optional<std::uint64_t> held_loss_bytes, durable_loss_bytes;

  RecoverableWindow window;
  std::vector<GapRow> gaps;
  std::vector<BackupRow> backups;
  std::string latest_usable_backup;  ///< its id; empty: none is usable
  std::optional<RestoreRow> last_restore;
  std::optional<LastProof> proof;
  std::optional<ArchiveDisk> disk;  ///< the archive's
  std::optional<SlotForecast> slot_forecast;
  Assurance assurance;

  std::vector<std::string> problems;  ///< what somebody should look at; empty: all is well
};

/// Somebody holds the role's lock ("capture", "manage").
[[nodiscard]] bool service_runs(const ArchiveLayout& layout, const std::string& role);

[[nodiscard]] Result<StatusReport> take_status(const Context& context);

[[nodiscard]] Json to_json(const StatusReport& report);
[[nodiscard]] std::string render_text(const StatusReport& report, const std::string& zone, bool verbose);
/// Prometheus text format, version 0.0.4.
[[nodiscard]] std::string render_metrics(const StatusReport& report);

}  // namespace walback
