#include <fmt/format.h>

#include <algorithm>

#include "restore/place.h"

namespace walback {
namespace {

/// The same directory, or one below it.
bool within(const Path& path, const Path& directory) {
  const auto [rest, _] = std::ranges::mismatch(directory, path);
  return rest == directory.end();
}

/// Two that must lie beside each other: neither in the other.
void check_apart(const Path& one, const Path& other, std::string_view what, std::vector<PlaceFault>& faults) {
  if (!within(one, other) && !within(other, one)) return;
  faults.push_back(
      {ErrorKind::conflict,
       fmt::format("a tablespace would lie in '{}', and {} is '{}'", one.string(), what, other.string()),
       "Name directories that lie beside each other with --into and --tablespaces."});
}

/// What an unfinished restore into the same directory made is wiped first.
bool left_by_this_restore(FileSystem& files, const Path& directory, const Place& place,
                          const PlaceReport& report) {
  return report.occupancy == Occupancy::unfinished && claimant(files, directory) == place.directory;
}

void check_base_directory(FileSystem& files, const Place& place, const PlaceReport& report,
                          std::vector<PlaceFault>& faults) {
  const Path directory = place.tablespaces();
  const std::string hint = "Name another one with --tablespaces: absent or empty.";
  const auto info = files.stat(directory);
  if (!info && info.error().kind == ErrorKind::not_found) return;
  if (!info) return faults.push_back({info.error().kind, info.error().message, hint});
  if (info->kind != FileKind::directory) {
    return faults.push_back(
        {ErrorKind::conflict, fmt::format("'{}' is not a directory", directory.string()), hint});
  }
  const auto entries = files.list(directory);
  if (!entries)
    return faults.push_back({entries.error().kind, entries.error().message, entries.error().hint});
  if (entries->empty() || left_by_this_restore(files, directory, place, report)) return;
  const auto holder = claimant(files, directory);
  faults.push_back({ErrorKind::conflict,
                    holder ? fmt::format("'{}' holds the tablespaces of the restored cluster in '{}'",
                                         directory.string(), holder->string())
                           : fmt::format("directory '{}' is not empty: found '{}', expected nothing",
                                         directory.string(), entries->front().name),
                    hint});
}

void check_created(FileSystem& files, const RestoredTablespace& created, const Place& place,
                   const PlaceReport& report, std::vector<PlaceFault>& faults) {
  const Path& path = created.directory;
  if (left_by_this_restore(files, path, place, report)) return;
  if (const auto holder = claimant(files, path)) {
    return faults.push_back(
        {ErrorKind::conflict,
         fmt::format("the WAL up to the stop creates tablespace {} in '{}', which the restored cluster in "
                     "'{}' has",
                     created.oid, path.string(), holder->string()),
         "Only one copy can have it on this host: remove that one with `walback clusters remove`."});
  }
  if (!may_be_owned(files, path)) return;
  faults.push_back({ErrorKind::conflict,
                    fmt::format("the WAL up to the stop creates tablespace {} in '{}', and that path exists "
                                "on this host: it may be the live primary's",
                                created.oid, path.string()),
                    "Restore on a host without that path, or stop before it."});
}

}  // namespace

bool may_be_owned(FileSystem& files, const Path& path) {
  const auto info = files.stat(path);
  if (!info && info.error().kind == ErrorKind::not_found) return false;
  return !claimant(files, path);
}

void check_tablespace_places(FileSystem& files, const RestorePlan& plan, const ArchiveLayout& archive,
                             const Place& place, PlaceReport& report, std::vector<PlaceFault>& faults) {
  auto found = restored_tablespaces(files, plan, archive.backup(plan.backup.id), place.tablespaces());
  if (!found) return faults.push_back({found.error().kind, found.error().message, found.error().hint});
  report.tablespaces = std::move(*found);
  bool of_base = false;
  for (const RestoredTablespace& tablespace : report.tablespaces) {
    of_base = of_base || !tablespace.created_at;
    if (!tablespace.created_at) continue;
    check_created(files, tablespace, place, report, faults);
    check_apart(tablespace.directory, place.directory, "the restored cluster", faults);
    check_apart(tablespace.directory, archive.root, "the archive", faults);
    check_apart(tablespace.directory, place.tablespaces(), "the base backup's tablespaces' place", faults);
  }
  if (!of_base) return;
  check_base_directory(files, place, report, faults);
  check_surroundings(files, place.tablespaces(), archive, faults);
  check_apart(place.tablespaces(), place.directory, "the restored cluster", faults);
}

}  // namespace walback
