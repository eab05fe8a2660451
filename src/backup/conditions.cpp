#include <fmt/format.h>

#include "backup/base_backup.h"
#include "base/text.h"

namespace walback {
namespace {

Status check_server(const ServerIdentity& server, const ArchiveIdentity& identity, const std::string& archive,
                    int programs_major) {
  if (server.system_identifier != identity.system_identifier) {
    return fail(ErrorKind::foreign_system,
                fmt::format("the primary carries system identifier {}, archive '{}' expects {}",
                            server.system_identifier, archive, identity.system_identifier),
                "Was the primary re-initialised or the connection string changed? An archive never mixes two "
                "clusters: begin a new one with walback init --archive.");
  }
  if (server.in_recovery) {
    return fail(ErrorKind::conflict, "primary.conninfo leads to a standby, expected the primary",
                "Base backups are taken from the server whose WAL is captured: correct primary.conninfo.");
  }
  if (server.major() != programs_major) {
    return fail(ErrorKind::conflict,
                fmt::format("pg_basebackup is of version {}, the primary of version {}", programs_major,
                            server.major()),
                fmt::format("Install postgresql-{} on this machine, or let postgres.bin name its directory.",
                            server.major()));
  }
  return {};
}

Status check_slot(const std::optional<ReplicationSlot>& slot, const std::string& name) {
  const std::string why = "the WAL of a base backup taken now would not be kept";
  if (!slot) {
    return fail(ErrorKind::not_found,
                fmt::format("replication slot '{}' does not exist on the primary: {}", name, why),
                "Run walback init to create it and start walback capture: slot first, base backup second.");
  }
  if (slot->wal_status == SlotWalStatus::lost || !slot->restart_lsn) {
    return fail(
        ErrorKind::conflict,
        fmt::format(
            "replication slot '{}' {} on the primary: {}", name,
            slot->wal_status == SlotWalStatus::lost ? "was invalidated (wal_status lost)" : "reserves no WAL",
            why),
        "Drop it, run walback init to create it with its WAL reserved, and start walback capture, which says "
        "what is lost and how to go on.");
  }
  return {};
}

}  // namespace

Status may_back_up(const BackupConditions& conditions, const ArchiveIdentity& identity,
                   const std::string& archive, const std::string& slot, int programs_major) {
  TRY(check_server(conditions.server, identity, archive, programs_major));
  TRY(check_slot(conditions.slot, slot));
  if (conditions.cluster_bytes && *conditions.cluster_bytes > conditions.available_bytes) {
    return fail(
        ErrorKind::disk_full,
        fmt::format("the cluster has {}, the archive's file system has {} left",
                    render_bytes(*conditions.cluster_bytes), render_bytes(conditions.available_bytes)),
        "Make room there, or put the archive on a larger file system. WAL is captured to the same place: "
        "leave room for it too.");
  }
  return {};
}

}  // namespace walback
