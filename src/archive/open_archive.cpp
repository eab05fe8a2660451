#include <utility>

#include "archive/archive_context.h"
#include "catalog/archive.h"
#include "catalog/follow_journal.h"
#include "os/crash_point.h"

namespace walback {
namespace {

/// Set once a new catalog holds what the backups and the journal know. A crash in between leaves it unset,
/// and the filling, which changes nothing when repeated, begins again.
constexpr const char* kFilledFact = "filled_from_archive";

/// The journal tells what was let go, not whether its files are gone by now.
Status forget_removed_backups(const ArchiveContext& archive, Catalog& catalog) {
  const ArchiveLayout& layout = archive.layout;
  for (const ExpiredBackup& expired : TRY(catalog.expired_backups()))
    if (!exists(archive.files, layout.backup(expired.id)) &&
        !exists(archive.files, layout.unfinished_backup(expired.id)))
      TRY(catalog.forget_expired_backup(expired.id));
  return {};
}

Result<FollowedJournal> follow(const ArchiveContext& archive, Catalog& catalog) {
  FollowedJournal followed = TRY(follow_journal(archive.files, archive.layout.journal(), catalog));
  for (const Error& damage : followed.damage)
    archive.log.error("archive", "journal_damaged", {{key::error, damage.message}, {key::hint, damage.hint}});
  if (followed.entries != 0) TRY(forget_removed_backups(archive, catalog));
  return followed;
}

}  // namespace

Status fill_catalog(const ArchiveContext& archive, const ListBackups& backups, Catalog& catalog) {
  crash_point("catalog.created");
  const std::vector<BackupRow> found = TRY(backups());
  TRY(catalog.transaction([&]() -> Status {
    for (const BackupRow& backup : found) TRY(catalog.put_backup(backup));
    return {};
  }));
  crash_point("catalog.backups_registered");
  const FollowedJournal journal = TRY(follow(archive, catalog));
  crash_point("catalog.journal_replayed");
  TRY(catalog.put_fact(kFilledFact, "1"));
  archive.log.info(
      "archive", "catalog_filled",
      {{"backups", std::to_string(found.size())}, {"journal_entries", std::to_string(journal.entries)}});
  return {};
}

namespace {

/// Never deleted: a person may want to know what happened to it.
Status move_damaged_catalog_aside(const ArchiveContext& archive, const Error& damage) {
  const Path aside = archive.catalog_path.string() + ".damaged";
  archive.log.error(
      "archive", "catalog_damaged",
      {{key::path, archive.catalog_path.string()},
       {key::error, damage.message},
       {key::hint, "It is built again from WAL, backups and journal; the damaged one is kept as " +
                       aside.string() + "."}});
  for (const char* suffix : {"-wal", "-shm"}) {
    const Path companion = archive.catalog_path.string() + suffix;
    if (exists(archive.files, companion)) TRY(archive.files.rename(companion, aside.string() + suffix));
  }
  if (exists(archive.files, archive.catalog_path)) TRY(archive.files.rename(archive.catalog_path, aside));
  return archive.files.sync_directory(archive.catalog_path.parent_path());
}

}  // namespace

Result<ArchiveContext> open_archive(const Config& config, FileSystem& files, Clock& clock, Log& log) {
  const ArchiveLayout layout{config.archive};
  ArchiveIdentity identity = TRY(read_archive_identity(files, layout));
  return ArchiveContext{layout, identity, config.catalog_file(), files, clock, log};
}

Result<Catalog> rebuild_catalog(const ArchiveContext& archive, const ListBackups& backups,
                                const Error& damage) {
  TRY(move_damaged_catalog_aside(archive, damage));
  crash_point("catalog.set_aside");
  Catalog catalog = TRY(Catalog::open(archive.catalog_path));
  TRY(fill_catalog(archive, backups, catalog));
  return catalog;
}

Result<Catalog> open_or_rebuild_catalog(const ArchiveContext& archive, const ListBackups& backups) {
  auto opened = Catalog::open(archive.catalog_path);
  if (!opened && opened.error().kind == ErrorKind::corrupt)
    return rebuild_catalog(archive, backups, opened.error());
  Catalog catalog = TRY(std::move(opened));
  const auto filled = catalog.fact(kFilledFact);
  if (!filled && filled.error().kind == ErrorKind::corrupt) {
    { const Catalog closed = std::move(catalog); }
    return rebuild_catalog(archive, backups, filled.error());
  }
  if (!TRY(filled)) TRY(fill_catalog(archive, backups, catalog));
  TRY(follow(archive, catalog));
  return catalog;
}

}  // namespace walback
