#pragma once
#include <chrono>
#include <memory>
#include <stop_token>

#include "archive/archive_context.h"
#include "os/system.h"

namespace walback {

/// What woke the manager. growth: what pg_receivewal does. tampering: a file that it had finished was
/// removed, moved away or written to, or a whole directory is gone; every file has to be looked at, at once.
enum class WalNews : std::uint8_t { nothing, growth, tampering };

/// pg_receivewal writes and renames `.partial` and `.tmp` files, and never touches a finished one again.
[[nodiscard]] WalNews judge_changes(const DirectoryWatch::Changes& changes);

/// Waits for news in wal/ and in every epoch's directory. Where they cannot be watched it only sleeps, which
/// is said once: the slow scan is the safety net.
class WalWatch {
 public:
  explicit WalWatch(const ArchiveContext& archive) : archive_(archive) {}

  void open();
  /// After every whole scan: a directory that was removed and made anew is another one.
  void follow_epochs();
  [[nodiscard]] WalNews wait(const std::stop_token& stop, std::chrono::milliseconds timeout);

 private:
  void follow(const Path& directory);

  ArchiveContext archive_;
  std::unique_ptr<DirectoryWatch> watch_;
  bool said_ = false;
};

}  // namespace walback
