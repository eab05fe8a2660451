#pragma once
#include <optional>

#include "base/result.h"
#include "catalog/archive_layout.h"
#include "catalog/held_wal.h"
#include "os/file_system.h"

namespace walback {

/// Where the WAL in an epoch ends: behind the last valid record of the `.partial` at which pg_receivewal goes
/// on, else where `resume` says. For the capturer, which has no catalog, and must know a server that stands
/// behind this before pg_receivewal writes that segment anew.
[[nodiscard]] Lsn held_end(FileSystem& files, const Path& epoch, const ArchiveIdentity& identity,
                           const ResumePoint& resume);

}  // namespace walback
