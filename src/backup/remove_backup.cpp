#include "backup/remove_backup.h"

#include "backup/backup_files.h"
#include "os/crash_point.h"

namespace walback {
namespace {

/// A later one may bear its id; one that cannot be read is no later one.
bool is_the_expired_one(FileSystem& files, const ArchiveLayout& archive, const ArchiveIdentity& identity,
                        const ExpiredBackup& expired) {
  const auto row = read_backup(files, archive.backup(expired.id), expired.id, identity);
  return !row || row->start_lsn == expired.start_lsn;
}

}  // namespace

Status remove_expired_backups(FileSystem& files, const ArchiveLayout& archive,
                              const ArchiveIdentity& identity, Catalog& catalog) {
  for (const ExpiredBackup& expired : TRY(catalog.expired_backups())) {
    const Path hidden = archive.unfinished_backup(expired.id);
    if (exists(files, archive.backup(expired.id)) && is_the_expired_one(files, archive, identity, expired)) {
      TRY(files.remove_tree(hidden));
      TRY(files.rename(archive.backup(expired.id), hidden));
      TRY(files.sync_directory(archive.backups()));
      crash_point("expire.backup_hidden");
    }
    TRY(files.remove_tree(hidden));
    if (!exists(files, archive.backup(expired.id)))
      TRY(files.remove_tree(backup_facts_file(archive, expired.id)));
    TRY(files.sync_directory(archive.backups()));
    crash_point("expire.backup_removed");
    TRY(catalog.forget_expired_backup(expired.id));
  }
  return {};
}

}  // namespace walback
