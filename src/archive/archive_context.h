#pragma once
#include <functional>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "catalog/archive_layout.h"
#include "catalog/catalog.h"
#include "config/config.h"
#include "os/file_system.h"

namespace walback {

/// One opened archive and the doors to the world: what every part of the WAL manager works with. Cheap to
/// copy; the doors outlive it.
struct ArchiveContext {
  ArchiveLayout layout;
  ArchiveIdentity identity;
  Path catalog_path;
  FileSystem& files;
  Clock& clock;
  Log& log;
};

/// Reads whose archive this is. No archive there: not_found, with the command that makes one.
[[nodiscard]] Result<ArchiveContext> open_archive(const Config& config, FileSystem& files, Clock& clock,
                                                  Log& log);

/// The lock of whoever writes the WAL's rows: the manager as long as it lives, else a command that needs a
/// fresh index, for one pass. Another one than the manager's own, so that a manager that starts beside a
/// command waits for it and is not refused.
inline constexpr const char* kIntakeLock = "intake";

/// The base backups as they lie on disk. Given by command/, because backups are another room's business and
/// a rebuilt catalog must know them.
using ListBackups = std::function<Result<std::vector<BackupRow>>()>;

/// Brings what the base backups and the journal know into a new catalog. Again: changes nothing.
[[nodiscard]] Status fill_catalog(const ArchiveContext& archive, const ListBackups& backups,
                                  Catalog& catalog);

/// Opens the catalog for writing. Where there is none, or it is damaged, a new one is filled with the base
/// backups and what the journal knows; the WAL is the next intake's work. Needs the intake's lock: two may
/// not rebuild at once.
[[nodiscard]] Result<Catalog> open_or_rebuild_catalog(const ArchiveContext& archive,
                                                      const ListBackups& backups);
/// For damage that shows only in use: moves the catalog aside, named "<catalog>.damaged", and begins a new
/// one. Nobody may hold it open.
[[nodiscard]] Result<Catalog> rebuild_catalog(const ArchiveContext& archive, const ListBackups& backups,
                                              const Error& damage);

}  // namespace walback
