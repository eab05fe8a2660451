#pragma once
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backup/arrange_tablespaces.h"
#include "backup/base_backup.h"
#include "base/progress.h"
#include "base/result.h"
#include "pg/connection.h"

namespace walback {

/// Lines of a child, from its reader thread to ours.
struct ChildLines {
  std::mutex mutex;
  std::vector<std::string> waiting;
  void add(std::string_view line) {
    const std::lock_guard guard(mutex);
    waiting.emplace_back(line);
  }
  std::vector<std::string> take() {
    const std::lock_guard guard(mutex);
    return std::exchange(waiting, {});
  }
};

[[nodiscard]] Error backup_interrupted();

/// The second connection, which watches the first.
[[nodiscard]] Result<Connection> connect_for_backup(const BackupSetup& setup);

struct BasebackupInput {
  std::string id;
  Path directory;
  std::vector<TablespaceMapping> tablespaces;
};

/// Runs pg_basebackup, watched (backup_watch.h) and bounded. What it copied is the caller's to remove when
/// this fails. Returns how many tablespaces it announced (BackupWatch::tablespaces_listed).
[[nodiscard]] Result<std::optional<std::uint64_t>> run_basebackup(const BackupSetup& setup,
                                                                  Progress& progress, Connection connection,
                                                                  const BasebackupInput& input,
                                                                  std::stop_token stop);

}  // namespace walback
