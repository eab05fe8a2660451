#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "os/process.h"
#include "pg/binaries.h"

namespace walback {

/// Holds a base backup against its manifest, every byte (SHA-256). A restore begins it while the copy is laid
/// and replays: one core for a while, and nobody waits for it unless the backup is large and the WAL short. A
/// restored cluster is handed over only after it: a byte that the archive's disk changed would replay without
/// a word. The archive's files are read, not the copy's, because replay has begun to change those.
class BaseVerification {
 public:
  [[nodiscard]] static Result<BaseVerification> begin(FileSystem& files, const Binaries& binaries,
                                                      const Path& backup);

  /// Waits for the end. corrupt: what pg_verifybackup found, in one line. `total_bytes`: of the backup, for
  /// the progress; 0 where nobody knows.
  [[nodiscard]] Status finish(Progress& progress, const std::stop_token& stop, std::uint64_t total_bytes = 0);

 private:
  struct Lines {
    std::mutex mutex;
    std::vector<std::string> said;
  };
  BaseVerification(std::shared_ptr<Lines> lines, std::unique_ptr<Process> process)
      : lines_(std::move(lines)), process_(std::move(process)) {}

  std::shared_ptr<Lines> lines_;
  std::unique_ptr<Process> process_;
};

}  // namespace walback
