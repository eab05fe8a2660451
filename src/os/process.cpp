#include "os/process.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <cstring>
#include <fstream>
#include <mutex>
#include <thread>

#include "base/text.h"
#include "os/launch.h"
#include "os/line_splitter.h"
#include "os/system_error.h"

namespace walback {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t kOutputLimit = 16U << 20;

/// By number: <sys/pidfd.h> of glibc 2.36 forgets that C++ exists.
int open_process(pid_t pid) {
  return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
}
bool signal_process(const Descriptor& handle, int signal) {
  return ::syscall(SYS_pidfd_send_signal, handle.get(), signal, nullptr, 0) == 0;
}

/// For poll(2): rounded up, so that a wait never spins through its last millisecond.
int poll_timeout(Clock::time_point deadline) {
  const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
}

Clock::time_point deadline_in(milliseconds timeout) {
  return Clock::now() + std::min<milliseconds>(timeout, std::chrono::hours(24 * 365));
}

bool wait_readable(int descriptor, Clock::time_point deadline) {
  while (true) {
    pollfd waited{descriptor, POLLIN, 0};
    const int count = retry([&] { return ::poll(&waited, 1, poll_timeout(deadline)); });
    if (count != 0) return count > 0;
    if (Clock::now() >= deadline) return false;
  }
}

ExitStatus reap(pid_t pid) {
  int status = 0;
  if (retry([&] { return ::waitpid(pid, &status, 0); }) != pid) return {.code = -1};
  if (WIFSIGNALED(status)) return {.signal = WTERMSIG(status)};
  return {.code = WEXITSTATUS(status)};
}

/// A child and both its outputs, read by whoever calls pump().
struct Child {
  pid_t pid = -1;
  Descriptor handle;  ///< pidfd: readable once it has ended
  Descriptor out, err;
};

Result<Child> start(const Command& command) {
  Pipe out = TRY(make_pipe());
  Pipe err = TRY(make_pipe());
  const pid_t pid = TRY(launch(command, {.out = out.write.get(), .err = err.write.get()}));
  Descriptor handle(open_process(pid));
  if (!handle.valid()) {
    const int number = errno;
    ::kill(pid, SIGKILL);
    reap(pid);
    return system_error("watch", command.program, number);
  }
  for (const Pipe* pipe : {&out, &err}) ::fcntl(pipe->read.get(), F_SETFL, O_NONBLOCK);
  return Child{pid, std::move(handle), std::move(out.read), std::move(err.read)};
}

enum class PumpEnd { child_ended, woken, timed_out };

/// Reads both pipes as bytes come, until the child has ended and the pipes are drained, `wake` is readable,
/// or the time is up. It does not wait for the end of the pipes: a grandchild (a server that pg_ctl started)
/// may hold them open for ever.
template <class OnBytes>
PumpEnd pump(Child& child, int wake, Clock::time_point deadline, OnBytes on_bytes) {
  std::array<char, 64U << 10> buffer;
  const auto drain = [&](Descriptor& pipe, bool is_err, int rounds) {
    for (; pipe.valid() && rounds > 0; --rounds) {
      const auto count = retry([&] { return ::read(pipe.get(), buffer.data(), buffer.size()); });
      if (count == -1 && errno == EAGAIN) return;
      if (count <= 0) {
        pipe.reset();
        return;
      }
      on_bytes(is_err, std::string_view(buffer.data(), static_cast<std::size_t>(count)));
    }
  };
  while (true) {
    std::array<pollfd, 4> waited{{{child.out.get(), POLLIN, 0},
                                  {child.err.get(), POLLIN, 0},
                                  {child.handle.get(), POLLIN, 0},
                                  {wake, POLLIN, 0}}};
    retry([&] { return ::poll(waited.data(), waited.size(), poll_timeout(deadline)); });
    if (waited[2].revents != 0) {
      // A pipe holds 64 kB unless somebody enlarged it: what the child wrote is within these rounds.
      drain(child.out, false, 32);
      drain(child.err, true, 32);
      return PumpEnd::child_ended;
    }
    if (waited[0].revents != 0) drain(child.out, false, 1);
    if (waited[1].revents != 0) drain(child.err, true, 1);
    if (waited[3].revents != 0) return PumpEnd::woken;
    if (Clock::now() >= deadline) return PumpEnd::timed_out;
  }
}

class RealProcess final : public Process {
 public:
  RealProcess(Child child, std::function<void(std::string_view)> on_line)
      : child_(std::move(child)), reader_([this, deliver = std::move(on_line)] { read_lines(deliver); }) {}

  ~RealProcess() override { RealProcess::stop(kStopGrace); }

  int pid() const override { return child_.pid; }

  std::optional<ExitStatus> wait(milliseconds timeout) override {
    if (!wait_readable(child_.handle.get(), deadline_in(timeout))) return std::nullopt;
    const std::lock_guard lock(mutex_);
    if (!ended_) {
      reader_.join();
      ended_ = reap(child_.pid);
    }
    return ended_;
  }

  ExitStatus stop(milliseconds grace) override {
    RealProcess::kill(SIGTERM);
    if (const auto ended = wait(grace)) return *ended;
    // With its group: a child that ignored SIGTERM may have children of its own.
    {
      const std::lock_guard lock(mutex_);
      if (!ended_) ::kill(-child_.pid, SIGKILL);
    }
    RealProcess::kill(SIGKILL);
    while (true) {
      if (const auto ended = wait(std::chrono::hours(1))) return *ended;
    }
  }

  void kill(int signal) override { signal_process(child_.handle, signal); }

 private:
  void read_lines(const std::function<void(std::string_view)>& deliver) {
    std::array<LineSplitter, 2> lines;
    while (pump(child_, -1, deadline_in(std::chrono::hours(1)), [&](bool is_err, std::string_view bytes) {
             lines[is_err ? 1 : 0].feed(bytes, deliver);
           }) != PumpEnd::child_ended) {
    }
    for (LineSplitter& rest : lines) rest.finish(deliver);
  }

  Child child_;
  std::mutex mutex_;
  std::optional<ExitStatus> ended_;
  std::jthread reader_;
};

class RealProcesses final : public Processes {
 public:
  Result<std::unique_ptr<Process>> spawn(const Command& command,
                                         std::function<void(std::string_view)> on_line) override {
    return std::make_unique<RealProcess>(TRY(start(command)), std::move(on_line));
  }
};

ExitStatus stop_and_reap(Child& child) {
  ::kill(child.pid, SIGTERM);
  const auto ended = pump(child, -1, deadline_in(kStopGrace), [](bool, std::string_view) {});
  if (ended != PumpEnd::child_ended) ::kill(-child.pid, SIGKILL);
  return reap(child.pid);
}

}  // namespace

std::string to_string(ExitStatus status) {
  if (status.signal == 0) return fmt::format("exit code {}", status.code);
  const char* words = ::sigdescr_np(status.signal);
  return words != nullptr ? fmt::format("signal {} ({})", status.signal, words)
                          : fmt::format("signal {}", status.signal);
}

Processes& real_processes() {
  static RealProcesses processes;
  return processes;
}

Result<Output> run(const Command& command, milliseconds timeout, std::stop_token stop) {
  const StopEvent event(stop);
  Child child = TRY(start(command));
  Output output;
  const PumpEnd end =
      pump(child, event.descriptor(), deadline_in(timeout), [&](bool is_err, std::string_view bytes) {
        std::string& text = is_err ? output.err : output.out;
        text += bytes.substr(0, kOutputLimit - text.size());
      });
  const std::string program = command.program.string();
  switch (end) {
    case PumpEnd::child_ended:
      output.status = reap(child.pid);
      return output;
    case PumpEnd::woken:
      stop_and_reap(child);
      return fail(ErrorKind::interrupted, fmt::format("'{}' was stopped before its end", program));
    case PumpEnd::timed_out:
      break;
  }
  stop_and_reap(child);
  return fail(ErrorKind::unavailable,
              fmt::format("'{}' did not end within {} ms and was stopped", program, timeout.count()));
}

Result<int> spawn_detached(const Command& command, const Path& log) {
  const Descriptor file =
      above_standard(Descriptor(::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)));
  if (!file.valid()) return system_error("open", log, errno);
  return TRY(launch(command, {.out = file.get(), .err = file.get(), .detached = true}));
}

std::optional<std::uint64_t> process_start_ticks(int pid) {
  if (pid <= 0) return std::nullopt;
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string stat;
  if (!std::getline(file, stat)) return std::nullopt;
  // The name, field 2, may hold blanks and parentheses: count from behind the last one. Field 3 is the state.
  const auto end = stat.rfind(')');
  if (end == std::string::npos || end + 2 >= stat.size()) return std::nullopt;
  const auto fields = split(std::string_view(stat).substr(end + 2), ' ');
  constexpr std::size_t kStartTime = 22 - 3;
  if (fields.size() <= kStartTime) return std::nullopt;
  // A zombie is dead: it holds no port, no lock, no memory, only its number.
  if (fields[0] == "Z" || fields[0] == "X") return std::nullopt;
  return parse_decimal(fields[kStartTime]);
}

bool stop_by_pid(int pid, std::uint64_t start_ticks, milliseconds grace, int first_signal) {
  const auto gone = [&] { return process_start_ticks(pid) != start_ticks; };
  if (pid <= 0) return true;
  // First the handle, then the look: the handle keeps meaning the process that was looked at.
  const Descriptor handle(open_process(pid));
  if (!handle.valid()) return errno == ESRCH || gone();
  if (gone()) return true;
  constexpr milliseconds kKillGrace{5'000};
  for (const auto& [signal, patience] : {std::pair{first_signal, grace}, std::pair{SIGKILL, kKillGrace}}) {
    if (!signal_process(handle, signal) && errno != ESRCH) return false;
    if (wait_readable(handle.get(), deadline_in(patience)) || gone()) return true;
  }
  return gone();
}

}  // namespace walback
