#include "archive/reindex.h"

#include <fmt/format.h>

#include <array>

#include "archive/intake.h"
#include "archive/wal_directory.h"
#include "catalog/archive.h"
#include "os/crash_point.h"

namespace walback {
namespace {

/// SQLite's files of one database. A -wal that stays behind would be taken for the next one's.
constexpr std::array<const char*, 3> kSuffixes{"", "-wal", "-shm"};

Path with(const Path& path, const char* suffix) {
  return path.string() + suffix;
}

Status remove_database(FileSystem& files, const Path& path) {
  for (const char* suffix : kSuffixes) TRY(files.remove_tree(with(path, suffix)));
  return {};
}

Result<std::uint64_t> bytes_of_wal(const ArchiveContext& archive) {
  std::uint64_t segments = 0;
  for (const std::uint32_t epoch : TRY(list_epochs(archive.files, archive.layout)).numbers)
    segments +=
        TRY(list_epoch(archive.files, archive.layout, epoch, archive.identity.segment_size)).segments.size();
  return segments * archive.identity.segment_size.bytes();
}

Result<Reindexed> build(const ArchiveContext& archive, const ListBackups& backups, Progress& progress,
                        std::stop_token stop) {
  Catalog catalog = TRY(Catalog::open(archive.catalog_path));
  TRY(fill_catalog(archive, backups, catalog));
  Intake intake(archive, catalog);
  ProgressState state{.phase = "reading WAL", .done = 0, .total = TRY(bytes_of_wal(archive)), .detail = ""};
  intake.on_segment([&](SegmentName name) {
    state.done += archive.identity.segment_size.bytes();
    state.detail = file_name(name, archive.identity.segment_size);
    progress.report(state);
  });
  const IntakeReport report = TRY(intake.pass(Scan::all, std::move(stop)));
  if (!report.complete)
    return fail(ErrorKind::interrupted, "stopped while the catalog was built",
                "The old one is in its place; `walback reindex` begins anew.");
  const std::size_t registered = TRY(catalog.backups()).size();
  return Reindexed{report.segments_read, report.records, registered, TRY(catalog.gaps()).size()};
}

/// SQLite has moved everything into the one file when its last user closed it.
Status require_closed(FileSystem& files, const Path& built) {
  if (exists(files, with(built, "-wal")))
    return fail(ErrorKind::conflict, fmt::format("another process has {} open", built.string()),
                "Let it end, and run `walback reindex` again.");
  return files.sync_file(built);
}

/// The file first: who opens the catalog now finds none, and neither half of two.
Status take_place(FileSystem& files, const Path& built, const Path& place) {
  const Path old = with(place, ".replaced");
  for (const char* suffix : kSuffixes)
    if (exists(files, with(place, suffix))) TRY(files.rename(with(place, suffix), with(old, suffix)));
  TRY(files.sync_directory(place.parent_path()));
  crash_point("reindex.old_set_aside");
  TRY(files.rename(built, place));
  TRY(files.sync_directory(place.parent_path()));
  crash_point("reindex.published");
  return remove_database(files, old);
}

}  // namespace

Result<Reindexed> reindex(const ArchiveContext& archive, const ListBackups& backups, Progress& progress,
                          std::stop_token stop) {
  ArchiveContext beside = archive;
  beside.catalog_path = with(archive.catalog_path, ".reindex");
  TRY(remove_database(archive.files, beside.catalog_path));
  TRY(remove_database(archive.files, with(archive.catalog_path, ".replaced")));
  auto built = build(beside, backups, progress, std::move(stop));
  progress.finish();
  if (!built) {
    (void)remove_database(archive.files, beside.catalog_path);
    return built;
  }
  crash_point("reindex.built");
  TRY(require_closed(archive.files, beside.catalog_path));
  crash_point("reindex.closed");
  TRY(take_place(archive.files, beside.catalog_path, archive.catalog_path));
  return built;
}

}  // namespace walback
