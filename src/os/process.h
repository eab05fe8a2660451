#pragma once
#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "os/file_system.h"

namespace walback {

/// How a child ended: its exit code, or the signal that killed it.
struct ExitStatus {
  int code = 0;
  int signal = 0;
  [[nodiscard]] bool success() const { return code == 0 && signal == 0; }
};
/// "exit code 1", "signal 9 (Killed)"
[[nodiscard]] std::string to_string(ExitStatus status);

struct Command {
  Path program = {};                        ///< absolute, or looked up in PATH
  std::vector<std::string> arguments = {};  ///< without the program's name; never a secret
  /// Added to (or, with an empty value, taken from) the parent's environment. LC_ALL=C is always set.
  std::vector<std::pair<std::string, std::string>> environment = {};
  Path working_directory = "/";
};

/// A running child. Wraps Boost.Process so that its traps (shared/inherited descriptors, zombies after a
/// failed exec, deadlocks between two pipes, wait_for in threads) are dealt with once. The child gets an
/// empty signal mask, default SIGPIPE, no descriptor but 0, 1, 2, a process group of its own (Ctrl-C reaches
/// walback, which then stops its children in order), and SIGTERM when the spawning THREAD ends: spawn from a
/// thread that outlives it. Destruction stops it (SIGTERM, then SIGKILL after kStopGrace) and reaps it.
/// Once wait() or stop() has told how it ended, every line has been delivered and no more will come. Must not
/// be waited for from inside on_line.
class Process {
 public:
  virtual ~Process() = default;
  [[nodiscard]] virtual int pid() const = 0;
  /// Ended within `timeout`: how; else nothing. 0 only asks.
  [[nodiscard]] virtual std::optional<ExitStatus> wait(std::chrono::milliseconds timeout) = 0;
  /// SIGTERM, `grace`, SIGKILL, reap.
  virtual ExitStatus stop(std::chrono::milliseconds grace) = 0;
  /// Nothing when it has ended.
  virtual void kill(int signal) = 0;
};
inline constexpr std::chrono::milliseconds kStopGrace{10'000};

/// The door through which children are started, so that a test can script them.
class Processes {
 public:
  virtual ~Processes() = default;
  /// Each line the child writes to stdout or stderr goes to `on_line` (from one reader thread, in order).
  /// Lines longer than 64 kB lose the rest. A program that cannot be executed is an error (not_found).
  [[nodiscard]] virtual Result<std::unique_ptr<Process>> spawn(
      const Command& command, std::function<void(std::string_view line)> on_line) = 0;
};
[[nodiscard]] Processes& real_processes();

/// Runs to the end; stdout and stderr apart, of each the first 16 MB. `timeout`: stopped, `unavailable`. A
/// stop request: stopped, `interrupted`. A non-zero exit is not an error here: look at `status`.
struct Output {
  ExitStatus status;
  std::string out, err;
};
[[nodiscard]] Result<Output> run(const Command& command, std::chrono::milliseconds timeout,
                                 std::stop_token stop = {});

/// Starts a program that outlives us: own session, stdin from /dev/null, both outputs appended to `log`, no
/// parent-death signal. Returns its pid. It is nobody's child (init reaps it), so that it leaves no zombie
/// behind in a caller that runs for months. A program that cannot be executed is an error (not_found).
[[nodiscard]] Result<int> spawn_detached(const Command& command, const Path& log);

/// Is this pid alive, and is it still the process that was recorded (start time in clock ticks from
/// /proc/<pid>/stat)?
[[nodiscard]] std::optional<std::uint64_t> process_start_ticks(int pid);

/// Stops a process that need not be our child: `first_signal` (pg_ctl's fast mode is SIGINT), `grace`,
/// SIGKILL. It is signalled only while it is the one that started at `start_ticks`, so that a reused pid is
/// never hit. True: it is gone, or was already. False: it could not be signalled (another user's), or does
/// not die.
[[nodiscard]] bool stop_by_pid(int pid, std::uint64_t start_ticks, std::chrono::milliseconds grace,
                               int first_signal = SIGTERM);

}  // namespace walback
