#include "restore/place.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"
#include "os/mounts.h"
#include "os/process.h"
#include "os/system.h"
#include "restore/feeder.h"
#include "restore/restored_settings.h"

namespace walback {
namespace {

constexpr std::uint64_t kMegabyte = 1U << 20;
/// Replayed WAL stays in pg_wal until a restartpoint; without one a restore is faster. This bounds it.
constexpr std::uint64_t kWalKept = 8ULL << 30;
constexpr std::uint64_t kAir = 64 * kMegabyte;

constexpr std::string_view kMarkerBeingWritten = "walback-restore.json.tmp";

void check_directory(FileSystem& files, const Path& directory, PlaceReport& report,
                     std::vector<PlaceFault>& faults) {
  const auto info = files.stat(directory);
  if (!info && info.error().kind == ErrorKind::not_found) return;
  if (!info) return faults.push_back({info.error().kind, info.error().message, info.error().hint});
  if (info->kind != FileKind::directory) {
    return faults.push_back({ErrorKind::conflict, fmt::format("'{}' is not a directory", directory.string()),
                             "Name a directory that does not exist yet."});
  }
  auto entries = files.list(directory);
  if (!entries)
    return faults.push_back({entries.error().kind, entries.error().message, entries.error().hint});
  // A restore that was killed while it wrote its first mark has laid nothing yet.
  std::erase_if(*entries, [](const DirectoryEntry& entry) { return entry.name == kMarkerBeingWritten; });
  if (entries->empty()) return;
  auto marker = read_marker(files, {directory});
  if (!marker || !*marker) {
    return faults.push_back({ErrorKind::conflict,
                             fmt::format("directory '{}' is not empty: found '{}', expected nothing",
                                         directory.string(), entries->front().name),
                             "Name another directory; walback never overwrites what it did not build."});
  }
  const RestorePhase phase = (*marker)->phase;
  if (phase == RestorePhase::complete || phase == RestorePhase::paused) {
    return faults.push_back(
        {ErrorKind::conflict,
         fmt::format("directory '{}' holds the restored cluster '{}' ({})", directory.string(),
                     (*marker)->name, name_of(phase)),
         fmt::format("Name another directory, or remove it with `walback clusters remove {}`.",
                     (*marker)->name)});
  }
  const auto ticks = process_start_ticks((*marker)->pid);
  if (ticks && *ticks == (*marker)->pid_start_ticks && (*marker)->pid != ::getpid()) {
    return faults.push_back(
        {ErrorKind::conflict,
         fmt::format("a restore into '{}' is already running: pid {}", directory.string(), (*marker)->pid),
         "Wait for it, or end that process."});
  }
  report.occupancy = Occupancy::unfinished;
  report.unfinished = **marker;
}

Path nearest_existing(FileSystem& files, Path path) {
  while (!exists(files, path) && path.has_parent_path() && path != path.parent_path()) {
    path = path.parent_path();
  }
  return path;
}

void check_room_for(FileSystem& files, const Path& existing, std::uint64_t needed, std::uint64_t& available,
                    std::vector<PlaceFault>& faults) {
  const auto space = files.space(existing);
  if (!space) return faults.push_back({space.error().kind, space.error().message, space.error().hint});
  available = space->available_bytes;
  // What an unfinished restore left there is wiped first; it is not counted, so this errs on the safe side.
  if (needed <= available) return;
  faults.push_back({ErrorKind::disk_full,
                    fmt::format("'{}' has {} free, the restore needs {}", existing.string(),
                                render_bytes(available), render_bytes(needed)),
                    "Free some room, or restore --into another file system."});
}

/// Tablespaces may lie on a file system of their own.
void check_room(FileSystem& files, const RestorePlan& plan, const Place& place, PlaceReport& report,
                std::vector<PlaceFault>& faults) {
  const Path data = nearest_existing(files, place.directory);
  const Path elsewhere = nearest_existing(files, place.tablespaces());
  std::uint64_t apart = 0;
  if (!same_file_system(data, elsewhere)) {
    for (const RestoredTablespace& tablespace : report.tablespaces) apart += tablespace.bytes;
  }
  report.needed_bytes = bytes_needed(plan) - std::min(apart, plan.backup.size_bytes);
  check_room_for(files, data, report.needed_bytes, report.available_bytes, faults);
  std::uint64_t available_apart = 0;
  if (apart > 0) check_room_for(files, elsewhere, apart, available_apart, faults);
}

std::string text_or_nothing(FileSystem& files, const Path& path) {
  return files.read(path).value_or("");
}

/// What the base preloads and is not here is left out of the copy, and said to be: the host that restores
/// need not have every extension of the primary. What walback.yaml asks for is another matter.
void check_libraries(FileSystem& files, const Path& base, const std::map<std::string, std::string>& settings,
                     PlaceReport& report, std::vector<PlaceFault>& faults) {
  const Path directory = report.binaries.directory.parent_path() / "lib";
  const auto wanted = preloads(text_or_nothing(files, base / "postgresql.conf"),
                               text_or_nothing(files, base / "postgresql.auto.conf"), settings);
  for (const Preload& preload : wanted) report.preload_libraries.push_back(preload.library);
  // PostgreSQL's own library is where all of them are: without it this is another layout, and nobody can
  // tell.
  if (!exists(files, directory / "plpgsql.so")) return;
  for (const Preload& preload : wanted) {
    const Path file = library_file(directory, preload);
    if (exists(files, file)) continue;
    if (!preload.asked_for) {
      report.missing_libraries.push_back(preload);
      continue;
    }
    faults.push_back({ErrorKind::not_found,
                      fmt::format("restore.settings.{} of walback.yaml names '{}', which is not installed "
                                  "here: '{}' is missing",
                                  preload.setting, preload.library, file.string()),
                      "Install the extension's package, or leave the library out."});
  }
}

/// Whatever stands under a link would be shared with the cluster that the base was taken of.
void check_links(FileSystem& files, const Path& base, std::vector<PlaceFault>& faults) {
  const auto entries = files.list(base);
  for (const DirectoryEntry& entry : entries ? *entries : std::vector<DirectoryEntry>{}) {
    if (entry.kind != FileKind::symlink) continue;
    faults.push_back({ErrorKind::conflict,
                      fmt::format("the base backup has a link where its own files should be: '{}'",
                                  (base / entry.name).string()),
                      "A copy of it would share what it points to; take another base backup."});
  }
}

void check_binaries(const RestorePlan& plan, const Path& base, const Path& configured_bin,
                    PlaceReport& report, std::vector<PlaceFault>& faults) {
  const int major = static_cast<int>(plan.backup.server_version_num / 10000);
  const auto binaries = find_binaries(configured_bin, major);
  if (!binaries)
    return faults.push_back({binaries.error().kind, binaries.error().message, binaries.error().hint});
  report.binaries = *binaries;
  if (binaries->major != major) {
    return faults.push_back(
        {ErrorKind::not_found,
         fmt::format("the binaries in '{}' are PostgreSQL {}, the base backup is of {}",
                     binaries->directory.string(), binaries->major, major),
         fmt::format("Install postgresql-{}, or set postgres.bin in walback.yaml.", major)});
  }
  const auto control = read_control_data(*binaries, base);
  if (!control)
    return faults.push_back({control.error().kind, control.error().message, control.error().hint});
  report.control = *control;
  const std::uint32_t expected = released_catalog_version(major);
  if (expected != 0 && control->catalog_version != expected) {
    faults.push_back({ErrorKind::conflict,
                      fmt::format("the base backup has catalog version {}, PostgreSQL {} in '{}' expects {}",
                                  control->catalog_version, major, binaries->directory.string(), expected),
                      "It was made by a development version; restore it with the binaries that made it."});
  }
}

}  // namespace

void check_surroundings(FileSystem& files, const Path& directory, const ArchiveLayout& archive,
                        std::vector<PlaceFault>& faults) {
  for (Path parent = directory; parent.has_relative_path(); parent = parent.parent_path()) {
    const bool in_archive = parent == archive.root;
    if (!in_archive && (parent == directory || !exists(files, parent / "PG_VERSION"))) continue;
    return faults.push_back({ErrorKind::conflict,
                             fmt::format("'{}' lies inside {} '{}'", directory.string(),
                                         in_archive ? "the archive" : "the data directory", parent.string()),
                             "Name a directory outside of it."});
  }
}

Path Place::tablespaces() const {
  return chosen_tablespaces.empty() ? Path(directory.string() + ".tablespaces") : chosen_tablespaces;
}

std::uint32_t released_catalog_version(int major) {
  switch (major) {
    case 15:
      return 202209061;
    case 16:
      return 202307071;
    case 17:
      return 202406281;
    default:
      return 0;
  }
}

std::uint64_t bytes_needed(const RestorePlan& plan) {
  const std::uint64_t segment = plan.identity.segment_size.bytes();
  const std::uint64_t spool =
      std::min(plan.segment_count, segments_ahead(plan.identity.segment_size)) * segment;
  return plan.backup.size_bytes + std::min(plan.wal_bytes, kWalKept) + spool + kAir;
}

std::uint64_t wal_allowance_mb(std::uint64_t wal_bytes, std::uint64_t available_bytes) {
  const std::uint64_t allowed = std::min({wal_bytes * 2, kWalKept, available_bytes / 2});
  return std::max<std::uint64_t>(allowed / kMegabyte, 1024);
}

Result<PlaceReport> check_place(FileSystem& files, const RestorePlan& plan, const ArchiveLayout& archive,
                                const Place& place, const Path& configured_bin,
                                const std::map<std::string, std::string>& settings) {
  PlaceReport report;
  std::vector<PlaceFault> faults;
  const Path base = archive.backup(plan.backup.id);
  check_surroundings(files, place.directory, archive, faults);
  check_directory(files, place.directory, report, faults);
  // The server of an unfinished restore of ours is stopped before the port is needed.
  const bool ours = report.unfinished && report.unfinished->port == place.port;
  if (!ours && !port_is_free(place.port)) {
    faults.push_back({ErrorKind::conflict, fmt::format("port {} is taken on this host", place.port),
                      "Choose another one with --port."});
  }
  check_tablespace_places(files, plan, archive, place, report, faults);
  check_room(files, plan, place, report, faults);
  check_links(files, base, faults);
  check_binaries(plan, base, configured_bin, report, faults);
  if (!report.binaries.directory.empty()) check_libraries(files, base, settings, report, faults);
  if (faults.empty()) return report;
  std::vector<std::string> texts, hints;
  for (const PlaceFault& fault : faults) {
    texts.push_back(fault.text);
    if (!fault.hint.empty()) hints.push_back(fault.hint);
  }
  return fail(faults.front().kind, join(texts, "; "), join(hints, " "));
}

}  // namespace walback
