#pragma once
#include <chrono>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/result.h"
#include "catalog/archive_layout.h"
#include "catalog/catalog.h"
#include "catalog/rows.h"
#include "os/file_system.h"
#include "os/process.h"
#include "pg/binaries.h"
#include "pg/server.h"
#include "pg/slots.h"

namespace walback {

struct BackupSetup {
  ArchiveLayout archive;
  std::string conninfo;  ///< of the primary, without a password
  std::string slot;      ///< the capturer's
  Binaries binaries;     ///< of the primary's major version; pg_basebackup and pg_verifybackup
  bool spread = false;   ///< a spread checkpoint instead of a fast one
  FileSystem& files;
  Processes& processes;
  Clock& clock;
  Log& log;
  Catalog& catalog;
  /// A healthy archiver takes a segment in seconds; pg_basebackup itself warns first after 60 s.
  std::chrono::milliseconds archiver_bound{60'000};
};

/// Takes a base backup of the primary into `<archive>/backups/<id>`, without WAL: that is the capturer's
/// part.
///
/// Order: the lock, leftovers of crashed backups away, may_back_up, pg_basebackup into `.<id>.unfinished`
/// (tablespaces too: catalog/backup_tablespaces.h), pg_verifybackup, the label held against the manifest,
/// everything synced, rename, its directory synced, its row in the catalog. Whatever ends it before the
/// rename (a signal, kill -9, a full disk, a lost server) leaves nothing that looks like a backup, and what
/// it leaves is removed by the next one. Whether the archive holds its WAL is another question:
/// wait_until_usable (usable.h).
[[nodiscard]] Result<BackupRow> take_base_backup(const BackupSetup& setup, Progress& progress,
                                                 std::stop_token stop);

/// What is known before a backup begins.
struct BackupConditions {
  ServerIdentity server;
  std::optional<ReplicationSlot> slot;
  std::vector<Tablespace> tablespaces;
  std::optional<std::uint64_t> cluster_bytes;  ///< nothing: the role may not see it
  std::uint64_t available_bytes = 0;           ///< where the backup goes
};
/// Refusals, each with what to do: another cluster (foreign_system); a standby, programs of another major
/// version (conflict); a slot that is missing (not_found) or keeps no WAL (conflict), because what is written
/// during the backup would be lost and the copy would not start; no room (disk_full).
[[nodiscard]] Status may_back_up(const BackupConditions& conditions, const ArchiveIdentity& identity,
                                 const std::string& archive, const std::string& slot, int programs_major);

}  // namespace walback
