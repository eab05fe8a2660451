#include "command/backup_soundness.h"

#include <algorithm>

#include "backup/backup_files.h"

namespace walback {
namespace {

Status check(const ArchiveContext& archive, const BackupRow& backup) {
  return check_backup(archive.files, archive.layout, backup.id, archive.identity);
}

/// In a connection of its own: a plan's session only reads.
Status put_problem(const ArchiveContext& archive, const std::string& id, const std::string& problem) {
  Catalog catalog = TRY(Catalog::open(archive.catalog_path));
  auto backups = TRY(catalog.backups());
  const auto row = std::ranges::find(backups, id, &BackupRow::id);
  if (row == backups.end()) return {};
  row->problem = problem;
  return catalog.put_backup(*row);
}

}  // namespace

Status call_unusable(const ArchiveContext& archive, const std::string& id, const std::string& problem) {
  archive.log.error(
      "backup", "backup_unusable",
      {{"id", id},
       {"problem", problem},
       {key::hint, "Put its files back if there is a copy, and take a new one: walback backup."}});
  return put_problem(archive, id, problem);
}

Status call_usable_again(const ArchiveContext& archive, const BackupRow& backup) {
  // Its row may have been made from a damaged directory: read as it is now.
  BackupRow now = backup;
  now.problem.clear();
  for (BackupRow& found : TRY(backups_on_disk(archive)())) {
    if (found.id == backup.id) now = std::move(found);
  }
  Catalog catalog = TRY(Catalog::open(archive.catalog_path));
  TRY(catalog.put_backup(now));
  archive.log.info("backup", "backup_usable_again", {{"id", backup.id}, {"was", backup.problem}});
  return {};
}

Status readmit_mended_backups(const ArchiveSession& session) {
  for (const BackupRow& backup : TRY(session.catalog.backups())) {
    if (backup.problem.empty() || backup.problem.starts_with(kBytesDiffer)) continue;
    if (!check(session.archive, backup)) continue;
    TRY(call_usable_again(session.archive, backup));
  }
  return {};
}

Result<bool> is_sound(const ArchiveSession& session, const BackupRow& backup) {
  const Status checked = check(session.archive, backup);
  if (checked) return true;
  const ErrorKind kind = checked.error().kind;
  if (kind != ErrorKind::corrupt && kind != ErrorKind::not_found && kind != ErrorKind::foreign_system)
    return tl::unexpected(checked.error());
  TRY(call_unusable(session.archive, backup.id, checked.error().message));
  return false;
}

void note_differing_bytes(const ArchiveContext& archive, const std::string& id, const std::string& found) {
  if (const auto noted = call_unusable(archive, id, std::string(kBytesDiffer) + ": " + found); !noted) {
    archive.log.warn("backup", "damage_not_recorded", {{key::error, noted.error().message}});
  }
}

}  // namespace walback
