#include "restore/place.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"
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

struct Fault {
  ErrorKind kind;
  std::string text, hint;
};

/// A copy inside the archive or inside another cluster would be in the way of those who work there.
void check_surroundings(FileSystem& files, const Path& directory, const ArchiveLayout& archive,
                        std::vector<Fault>& faults) {
  for (Path parent = directory; parent.has_relative_path(); parent = parent.parent_path()) {
    const bool in_archive = parent == archive.root;
    if (!in_archive && (parent == directory || !exists(files, parent / "PG_VERSION"))) continue;
    return faults.push_back({ErrorKind::conflict,
                             fmt::format("'{}' lies inside {} '{}'", directory.string(),
                                         in_archive ? "the archive" : "the data directory", parent.string()),
                             "Name a directory outside of it."});
  }
}

void check_directory(FileSystem& files, const Path& directory, PlaceReport& report,
                     std::vector<Fault>& faults) {
  const auto info = files.stat(directory);
  if (!info && info.error().kind == ErrorKind::not_found) return;
  if (!info) return faults.push_back({info.error().kind, info.error().message, info.error().hint});
  if (info->kind != FileKind::directory) {
    return faults.push_back({ErrorKind::conflict, fmt::format("'{}' is not a directory", directory.string()),
                             "Name a directory that does not exist yet."});
  }
  const auto entries = files.list(directory);
  if (!entries)
    return faults.push_back({entries.error().kind, entries.error().message, entries.error().hint});
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

void check_room(FileSystem& files, const RestorePlan& plan, const Path& directory, PlaceReport& report,
                std::vector<Fault>& faults) {
  Path existing = directory;
  while (!exists(files, existing) && existing.has_parent_path() && existing != existing.parent_path()) {
    existing = existing.parent_path();
  }
  const auto space = files.space(existing);
  if (!space) return faults.push_back({space.error().kind, space.error().message, space.error().hint});
  report.needed_bytes = bytes_needed(plan);
  report.available_bytes = space->available_bytes;
  // What an unfinished restore left there is wiped first; it is not counted, so this errs on the safe side.
  if (report.needed_bytes > report.available_bytes) {
    faults.push_back({ErrorKind::disk_full,
                      fmt::format("'{}' has {} free, the restore needs {}", existing.string(),
                                  render_bytes(report.available_bytes), render_bytes(report.needed_bytes)),
                      "Free some room, or restore --into another file system."});
  }
}

/// What the copy will preload: the base's list, or walback.yaml's in its place. A session's libraries count
/// too: without them nobody could connect.
std::vector<std::string> preloaded(FileSystem& files, const Path& base,
                                   const std::map<std::string, std::string>& settings) {
  std::map<std::string, std::string> lists{{"shared_preload_libraries", ""},
                                           {"session_preload_libraries", ""}};
  for (const char* name : {"postgresql.conf", "postgresql.auto.conf"}) {
    const auto text = files.read(base / name);
    for (const ConfLine& setting : text ? parse_settings(*text) : std::vector<ConfLine>{}) {
      if (const auto list = lists.find(setting.name); list != lists.end()) list->second = setting.value;
    }
  }
  std::vector<std::string> libraries;
  for (const auto& [name, value] : lists) {
    const auto own = settings.find(name);
    for (std::string& library : libraries_of(own == settings.end() ? value : own->second)) {
      libraries.push_back(std::move(library));
    }
  }
  return libraries;
}

void check_libraries(FileSystem& files, const Path& base, const std::map<std::string, std::string>& settings,
                     PlaceReport& report, std::vector<Fault>& faults) {
  const Path directory = report.binaries.directory.parent_path() / "lib";
  report.preload_libraries = preloaded(files, base, settings);
  // PostgreSQL's own library is where all of them are: without it this is another layout, and nobody can
  // tell.
  if (!exists(files, directory / "plpgsql.so")) return;
  for (std::string library : report.preload_libraries) {
    if (library.starts_with("$libdir/")) library = library.substr(8);
    const Path file = directory / (library.ends_with(".so") ? library : library + ".so");
    if (exists(files, file)) continue;
    faults.push_back(
        {ErrorKind::not_found,
         fmt::format("the base backup preloads '{}', which is not installed here: '{}' is missing", library,
                     file.string()),
         "Install the extension's package, or set restore.settings.shared_preload_libraries in walback.yaml "
         "without it."});
  }
}

/// Whatever stands under a link would be shared with the cluster that the base was taken of.
void check_links(FileSystem& files, const Path& base, std::vector<Fault>& faults) {
  for (const Path& directory : {base, base / "pg_tblspc"}) {
    const auto entries = files.list(directory);
    for (const DirectoryEntry& entry : entries ? *entries : std::vector<DirectoryEntry>{}) {
      if (entry.kind != FileKind::symlink) continue;
      faults.push_back({ErrorKind::conflict,
                        fmt::format("the base backup has a link where its own files should be: '{}'",
                                    (directory / entry.name).string()),
                        "A copy of it would share what it points to; take another base backup."});
    }
  }
}

void check_binaries(const RestorePlan& plan, const Path& base, const Path& configured_bin,
                    PlaceReport& report, std::vector<Fault>& faults) {
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
  std::vector<Fault> faults;
  const Path base = archive.backup(plan.backup.id);
  check_surroundings(files, place.directory, archive, faults);
  check_directory(files, place.directory, report, faults);
  // The server of an unfinished restore of ours is stopped before the port is needed.
  const bool ours = report.unfinished && report.unfinished->port == place.port;
  if (!ours && !port_is_free(place.port)) {
    faults.push_back({ErrorKind::conflict, fmt::format("port {} is taken on this host", place.port),
                      "Choose another one with --port."});
  }
  check_room(files, plan, place.directory, report, faults);
  check_links(files, base, faults);
  check_binaries(plan, base, configured_bin, report, faults);
  if (!report.binaries.directory.empty()) check_libraries(files, base, settings, report, faults);
  if (faults.empty()) return report;
  std::vector<std::string> texts, hints;
  for (const Fault& fault : faults) {
    texts.push_back(fault.text);
    if (!fault.hint.empty()) hints.push_back(fault.hint);
  }
  return fail(faults.front().kind, join(texts, "; "), join(hints, " "));
}

}  // namespace walback
