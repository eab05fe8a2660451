#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "os/file_system.h"
#include "pg/binaries.h"
#include "pg/control_data.h"
#include "restore/marker.h"
#include "restore/plan.h"
#include "restore/preloads.h"
#include "restore/restored_tablespace.h"

/// Will the place do? Asked by `plan --into` and by every restore before it touches the disk.
namespace walback {

struct Place {
  Path directory;
  std::uint16_t port = 0;
  Path chosen_tablespaces = {};  ///< empty: beside the directory
  /// Where the base backup's tablespaces go, `<oid>` each.
  [[nodiscard]] Path tablespaces() const;
};

/// What is in the directory already.
enum class Occupancy : std::uint8_t {
  vacant,      ///< absent or empty
  unfinished,  ///< a restore of ours that did not end: may be wiped
};

struct PlaceReport {
  Occupancy occupancy = Occupancy::vacant;
  std::optional<RestoreMarker> unfinished;
  std::uint64_t needed_bytes = 0, available_bytes = 0;
  Binaries binaries;
  ControlData control;  ///< of the base backup
  std::vector<std::string> preload_libraries;
  std::vector<Preload> missing_libraries;  ///< of the base: not installed here, and left out of the copy
  std::vector<RestoredTablespace> tablespaces;
};

struct PlaceFault {
  ErrorKind kind;
  std::string text, hint;
};

/// Every fault at once, a line each: kind conflict for the directories and the port, disk_full for room,
/// not_found for binaries or libraries that walback.yaml asks for; of several kinds the first counts. A
/// finished restored cluster, a paused one and anything that is not ours are refused.
/// So is a directory inside the archive or inside another data directory. `settings` are walback.yaml's for
/// the restored cluster: they may name other libraries to preload.
[[nodiscard]] Result<PlaceReport> check_place(FileSystem& files, const RestorePlan& plan,
                                              const ArchiveLayout& archive, const Place& place,
                                              const Path& configured_bin,
                                              const std::map<std::string, std::string>& settings);

/// Bytes a restore needs where it builds: the base, the WAL that stays in pg_wal until the first checkpoint
/// (at most kWalKept), the spool ahead of replay, and a little air.
[[nodiscard]] std::uint64_t bytes_needed(const RestorePlan& plan);
/// How much WAL may pile up in pg_wal before a restartpoint, given what is free after the base was laid.
[[nodiscard]] std::uint64_t wal_allowance_mb(std::uint64_t wal_bytes, std::uint64_t available_bytes);

/// A part of check_place: where tablespaces would go, those of the base and those that the WAL creates.
/// `report.tablespaces` is what the copy will have.
void check_tablespace_places(FileSystem& files, const RestorePlan& plan, const ArchiveLayout& archive,
                             const Place& place, PlaceReport& report, std::vector<PlaceFault>& faults);
/// Whether a path in which the WAL creates a tablespace may be somebody's: it is there, or nobody can tell,
/// and no restore of ours made it.
[[nodiscard]] bool may_be_owned(FileSystem& files, const Path& path);
/// A part of check_place: a copy inside the archive or inside another cluster would be in the way of those
/// who work there.
void check_surroundings(FileSystem& files, const Path& directory, const ArchiveLayout& archive,
                        std::vector<PlaceFault>& faults);

/// Catalog versions are fixed for a released major; 0 for a major that is not known here.
[[nodiscard]] std::uint32_t released_catalog_version(int major);

}  // namespace walback
