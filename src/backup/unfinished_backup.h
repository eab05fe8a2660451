#pragma once
#include <stop_token>
#include <string>

#include "backup/backup_files.h"
#include "base/log.h"

namespace walback {

/// A base backup's directory until it has its name. Whatever ends it before that, it is removed again.
class UnfinishedBackup {
 public:
  UnfinishedBackup(FileSystem& files, ArchiveLayout archive, Log& log, std::string id);
  UnfinishedBackup(const UnfinishedBackup&) = delete;
  UnfinishedBackup& operator=(const UnfinishedBackup&) = delete;
  ~UnfinishedBackup();

  [[nodiscard]] const Path& directory() const { return directory_; }
  /// Facts, every byte, the name: each durable before the next, so that what bears a backup's name is one,
  /// whenever the power fails. A stop that comes in time ends it (interrupted).
  [[nodiscard]] Status publish(const BackupFacts& facts, const std::stop_token& stop);

 private:
  FileSystem& files_;
  ArchiveLayout archive_;
  Log& log_;
  std::string id_;
  Path directory_;
  bool finished_ = false;
};

}  // namespace walback
