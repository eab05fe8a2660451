#pragma once
#include "base/result.h"
#include "catalog/archive_layout.h"
#include "os/file_system.h"
#include "restore/plan.h"

namespace walback {

/// Of the segment in which a timeline ends, recovery reads the next timeline's, which repeats its records.
/// But the state of a prepared transaction is read back by the name of the timeline that is being replayed,
/// from pg_wal: where one is open at the end of the old timeline, PostgreSQL dies there of "requested WAL
/// segment … has already been removed". So each such segment is put into pg_wal under the old name, too.
/// Recovery itself asks for the newer name first, and never comes to it.
[[nodiscard]] Status lay_switch_segments(FileSystem& files, const RestorePlan& plan,
                                         const ArchiveLayout& archive, const Path& data);

}  // namespace walback
