#pragma once
#include "base/result.h"
#include "catalog/archive_layout.h"
#include "catalog/catalog.h"
#include "os/file_system.h"
#include "restore/plan.h"

/// What a plan takes from the catalog, held against the files: before any disk of the restore is touched.
namespace walback {

/// The files of the plan's WAL: there, of the size and the change time with which they were indexed. One that
/// changed since is read again, whole. Names the first that will not do (corrupt, or not_found).
[[nodiscard]] Status check_planned_files(FileSystem& files, const RestorePlan& plan, const Catalog& catalog,
                                         const ArchiveLayout& archive);

/// Reads the WAL around the stop, of a `.partial` all of it: every record from there to the one that decides
/// the stop is valid, and `expected_end` is known afterwards. Damage in the tail is found here (corrupt, with
/// what is reachable before it), not by PostgreSQL, which would take it for the end of WAL.
[[nodiscard]] Status settle_stop_from_files(FileSystem& files, RestorePlan& plan, const Catalog& catalog,
                                            const ArchiveLayout& archive);

}  // namespace walback
