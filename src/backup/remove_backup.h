#pragma once
#include "base/result.h"
#include "catalog/archive_layout.h"
#include "catalog/catalog.h"
#include "os/file_system.h"

namespace walback {

/// Removes the files of base backups that have expired, this time or before. Each first loses its name, so
/// that half a backup is never taken for one. Only for the holder of the backup lock.
[[nodiscard]] Status remove_expired_backups(FileSystem& files, const ArchiveLayout& archive,
                                            const ArchiveIdentity& identity, Catalog& catalog);

}  // namespace walback
