#include "backup/unfinished_backup.h"

#include <utility>

#include "backup/basebackup_run.h"
#include "os/crash_point.h"

namespace walback {

UnfinishedBackup::UnfinishedBackup(FileSystem& files, ArchiveLayout archive, Log& log, std::string id)
    : files_(files),
      archive_(std::move(archive)),
      log_(log),
      id_(std::move(id)),
      directory_(archive_.unfinished_backup(id_)) {}

UnfinishedBackup::~UnfinishedBackup() {
  if (finished_) return;
  for (const auto& path : {directory_, backup_facts_file(archive_, id_)}) {
    if (const auto removed = files_.remove_tree(path); !removed) {
      log_.warn("backup", "leftover_not_removed", {{key::error, removed.error().message}});
    }
  }
}

Status UnfinishedBackup::publish(const BackupFacts& facts, const std::stop_token& stop) {
  TRY(walback::publish(files_, backup_facts_file(archive_, id_), to_text(facts)));
  crash_point("backup.facts_published");
  TRY(files_.sync_file_system(directory_));
  crash_point("backup.synced");
  if (stop.stop_requested()) return tl::unexpected(backup_interrupted());
  TRY(files_.rename(directory_, archive_.backup(id_)));
  finished_ = true;
  crash_point("backup.named");
  TRY(files_.sync_directory(archive_.backups()));
  crash_point("backup.name_durable");
  return {};
}

}  // namespace walback
