#pragma once
#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "os/file_system.h"

namespace walback {

[[nodiscard]] Clock& real_clock();

/// Lines to a descriptor (stderr), with the time in front; `colour` only on a terminal. Thread safe.
[[nodiscard]] std::unique_ptr<Log> make_log(int descriptor, LogLevel least);

/// SIGINT, SIGTERM and SIGHUP become a stop request, once, for the whole program; call before any thread
/// starts. A second SIGINT ends the process at once with code 11. SIGPIPE is ignored.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  [[nodiscard]] std::stop_token token() const;

 private:
  struct Watcher;
  std::unique_ptr<Watcher> watcher_;
};

/// Sleeps, or until a stop is requested. False: stopped.
bool sleep_for(std::stop_token stop, std::chrono::milliseconds duration);

/// Started by root: become `user` (groups too) for good, HOME, USER and LOGNAME with it, and the working
/// directory becomes "/" where the user has no access to the present one. Not root: nothing happens. Call
/// before any thread starts and before any child is spawned (it would clear a child's parent-death signal).
[[nodiscard]] Status drop_root(const std::string& user = "postgres");
/// Of a path that root made for the user it is about to become: that one path, not what is in it. Not root:
/// nothing happens.
[[nodiscard]] Status give_to(const Path& path, const std::string& user = "postgres");

[[nodiscard]] std::optional<std::string> environment_variable(const std::string& name);
[[nodiscard]] bool is_terminal(int descriptor);
[[nodiscard]] Path own_executable();
[[nodiscard]] std::string user_name();
/// That this process may use: its CPU affinity and its cgroup's quota count. At least 1.
[[nodiscard]] unsigned core_count();
/// Nothing listens on 127.0.0.1:port or ::1 and it can be bound now. Another may take it a moment later.
[[nodiscard]] bool port_is_free(std::uint16_t port);
/// A new directory under $TMPDIR (or /tmp), mode 0700.
[[nodiscard]] Result<Path> make_temporary_directory(const std::string& prefix);
/// A random 64-bit number from the system.
[[nodiscard]] std::uint64_t random_u64();

/// An advisory lock on a file that holds the holder's pid; freed when the process dies, however it dies.
/// Taken: `conflict`, naming the pid ("capture is already running: pid 123 holds '<path>'"), also within one
/// process. The file stays when the lock is gone: deleting it would let two holders in.
class FileLock {
 public:
  [[nodiscard]] static Result<FileLock> take(const Path& path, const std::string& what);
  /// Does somebody hold it now? False where there is no such file. Disturbs neither holder nor taker.
  [[nodiscard]] static bool is_held(const Path& path);
  /// The lock of a directory itself, where no file may be added; it names no pid.
  [[nodiscard]] static Result<FileLock> take_directory(const Path& path, const std::string& what);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();

 private:
  explicit FileLock(int descriptor);
  int descriptor_ = -1;
};

/// Wakes when a directory changes (created, closed after writing, renamed, deleted, modified). inotify;
/// `wait` also returns after `timeout`, because a watch can be lost: a slow scan is the safety net.
class DirectoryWatch {
 public:
  [[nodiscard]] static Result<std::unique_ptr<DirectoryWatch>> open();
  virtual ~DirectoryWatch() = default;
  /// Again for a directory that was removed and made anew; for one that is watched already nothing changes.
  [[nodiscard]] virtual Status add(const Path& directory) = 0;
  /// True: something changed. False: the time is up or a stop was requested.
  virtual bool wait(std::stop_token stop, std::chrono::milliseconds timeout) = 0;

  /// What happened to one name since the last call. gone: deleted or moved away, an empty name for the
  /// directory itself. written: its bytes were changed in place.
  struct Change {
    enum class Kind : std::uint8_t { gone, written };
    Kind kind = Kind::gone;
    std::string name;
    auto operator<=>(const Change&) const = default;
  };
  /// Each once. `complete` is false when the system dropped some.
  struct Changes {
    std::set<Change> named;
    bool complete = true;
  };
  virtual Changes take_changes() = 0;
};

}  // namespace walback
