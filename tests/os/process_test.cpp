#include "os/process.h"

#include <dirent.h>
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "support/temporary_directory.h"

using namespace walback;
using namespace std::chrono_literals;

namespace {

Command shell(std::string script) {
  return {.program = "/bin/sh", .arguments = {"-c", std::move(script)}};
}

struct Lines {
  std::mutex mutex;
  std::vector<std::string> all;
  void operator()(std::string_view line) {
    const std::lock_guard lock(mutex);
    all.emplace_back(line);
  }
  std::function<void(std::string_view)> sink() {
    return [this](std::string_view line) { (*this)(line); };
  }
  std::size_t count() {
    const std::lock_guard lock(mutex);
    return all.size();
  }
};

template <class Condition>
bool eventually(Condition condition, std::chrono::milliseconds limit = 10s) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(2ms);
  }
  return true;
}

/// Of this process, zombies included; threads of this process do not count.
std::vector<int> children() {
  std::vector<int> found;
  DIR* proc = ::opendir("/proc");
  while (const dirent* entry = ::readdir(proc)) {
    const int pid = std::atoi(entry->d_name);
    if (pid <= 0) continue;
    const auto stat = real_file_system().read("/proc/" + std::string(entry->d_name) + "/stat");
    if (!stat) continue;
    char state = 0;
    int parent = 0;
    const auto end = stat->rfind(')');
    if (std::sscanf(stat->c_str() + end + 2, "%c %d", &state, &parent) == 2 && parent == ::getpid()) {
      found.push_back(pid);
    }
  }
  ::closedir(proc);
  return found;
}

}  // namespace

TEST_CASE("process: run keeps stdout and stderr apart and tells the exit code") {
  const auto output = run(shell("echo to out; echo to err >&2; exit 3"), 10s);
  REQUIRE(output.has_value());
  CHECK(output->out == "to out\n");
  CHECK(output->err == "to err\n");
  CHECK(output->status.code == 3);
  CHECK_FALSE(output->status.success());
  CHECK(to_string(output->status) == "exit code 3");
}

TEST_CASE("process: death by a signal is told as the signal") {
  const auto output = run(shell("kill -9 $$"), 10s);
  REQUIRE(output.has_value());
  CHECK(output->status.signal == 9);
  CHECK(to_string(output->status) == "signal 9 (Killed)");
}

TEST_CASE(
    "process: a program that is not there is not_found, whichever way it was named, and no child is left") {
  const auto absolute = run({.program = "/nowhere/pg_ctl"}, 10s);
  REQUIRE_FALSE(absolute.has_value());
  CHECK(absolute.error() ==
        Error{ErrorKind::not_found, "cannot execute '/nowhere/pg_ctl': no such file or directory", ""});
  const auto searched = real_processes().spawn({.program = "no_such_program_of_walback"}, {});
  REQUIRE_FALSE(searched.has_value());
  CHECK(searched.error() == Error{ErrorKind::not_found,
                                  "cannot execute 'no_such_program_of_walback': no such program in PATH",
                                  "Install the package that brings it, or name its directory."});
  const TemporaryDirectory directory;
  REQUIRE(real_file_system().write(directory.path() / "plain", "no program"));
  const auto plain = run({.program = directory.path() / "plain"}, 10s);
  REQUIRE_FALSE(plain.has_value());
  CHECK(plain.error().kind == ErrorKind::not_found);
  CHECK(plain.error().message ==
        "cannot execute '" + (directory.path() / "plain").string() + "': permission denied");
  const auto detached = spawn_detached({.program = "/nowhere/postgres"}, directory.path() / "log");
  REQUIRE_FALSE(detached.has_value());
  CHECK(detached.error().message == "cannot execute '/nowhere/postgres': no such file or directory");
  CHECK(children().empty());
}

TEST_CASE("process: a missing working directory is named") {
  Command command = shell("true");
  command.working_directory = "/nowhere/data";
  const auto output = run(command, 10s);
  REQUIRE_FALSE(output.has_value());
  CHECK(output.error() == Error{ErrorKind::not_found,
                                "cannot start /bin/sh in '/nowhere/data': no such file or directory", ""});
  CHECK(children().empty());
}

TEST_CASE(
    "process: more output than the pipes hold, on both at once, does not deadlock and is cut at 16 MB") {
  const auto output = run(shell("head -c 20000000 /dev/zero & head -c 3000000 /dev/zero >&2; wait"), 30s);
  REQUIRE(output.has_value());
  CHECK(output->out.size() == 16U << 20);
  CHECK(output->err.size() == 3'000'000);
}

TEST_CASE("process: the child's environment, directory, signals and descriptors are clean") {
  sigset_t blocked, former;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &blocked, &former);
  signal(SIGPIPE, SIG_IGN);
  int leaked[2];
  REQUIRE(::pipe(leaked) == 0);
  ::setenv("WALBACK_TEST_TAKEN", "x", 1);
  Command command = shell(
      "echo $LC_ALL $WALBACK_TEST_ADDED ${WALBACK_TEST_TAKEN:-taken}; pwd; ls /proc/self/fd | tr '\\n' ' '; "
      "echo;"
      "grep -E 'SigBlk|SigIgn' /proc/self/status");
  command.environment = {{"WALBACK_TEST_ADDED", "added"}, {"WALBACK_TEST_TAKEN", ""}};
  const auto output = run(command, 10s);
  pthread_sigmask(SIG_SETMASK, &former, nullptr);
  ::close(leaked[0]);
  ::close(leaked[1]);
  REQUIRE(output.has_value());
  CHECK(output->out ==
        "C added taken\n/\n0 1 2 3 \n"  // 3 is ls looking into the directory
        "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST_CASE("process: run ends at its timeout and at a stop request, and leaves no child") {
  const auto late = run(shell("sleep 100"), 50ms);
  REQUIRE_FALSE(late.has_value());
  CHECK(late.error() ==
        Error{ErrorKind::unavailable, "'/bin/sh' did not end within 50 ms and was stopped", ""});
  std::stop_source source;
  std::jthread stopper([&] {
    std::this_thread::sleep_for(30ms);
    source.request_stop();
  });
  const auto stopped = run(shell("sleep 100"), 100s, source.get_token());
  REQUIRE_FALSE(stopped.has_value());
  CHECK(stopped.error() == Error{ErrorKind::interrupted, "'/bin/sh' was stopped before its end", ""});
  CHECK(children().empty());
}

TEST_CASE("process: a grandchild that keeps the pipe open does not hold up the end") {
  const auto begin = std::chrono::steady_clock::now();
  const auto output = run(shell("sleep 20 & echo $!"), 30s);
  REQUIRE(output.has_value());
  CHECK(std::chrono::steady_clock::now() - begin < 10s);
  const int left = std::atoi(output->out.c_str());
  REQUIRE(left > 0);
  ::kill(left, SIGKILL);
}

TEST_CASE(
    "process: lines arrive in order, long ones are cut, the unfinished last one counts, all before wait "
    "returns") {
  Lines lines;
  auto child = real_processes().spawn(
      shell("echo one; echo; head -c 70000 /dev/zero | tr '\\0' x; echo; printf last"), lines.sink());
  REQUIRE(child.has_value());
  const auto ended = (*child)->wait(10s);
  REQUIRE(ended.has_value());
  CHECK(ended->success());
  REQUIRE(lines.all.size() == 4);
  CHECK(lines.all[0] == "one");
  CHECK(lines.all[1].empty());
  CHECK(lines.all[2] == std::string(64U << 10, 'x'));
  CHECK(lines.all[3] == "last");
  CHECK((*child)->wait(0ms)->success());
  (*child)->kill(SIGTERM);
}

TEST_CASE("process: wait asks without waiting; stop is SIGTERM first, SIGKILL after the grace") {
  Lines lines;
  auto polite = real_processes().spawn(
      shell("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done"), lines.sink());
  REQUIRE(polite.has_value());
  CHECK_FALSE((*polite)->wait(0ms).has_value());
  REQUIRE(eventually([&] { return lines.count() == 1; }));
  CHECK((*polite)->stop(10s).success());
  CHECK(lines.all == std::vector<std::string>{"up", "bye"});

  Lines deaf_lines;
  auto deaf =
      real_processes().spawn(shell("trap '' TERM; echo up; while :; do sleep 0.01; done"), deaf_lines.sink());
  REQUIRE(deaf.has_value());
  REQUIRE(eventually([&] { return deaf_lines.count() == 1; }));
  CHECK((*deaf)->stop(50ms).signal == SIGKILL);
}

TEST_CASE("process: destruction stops and reaps") {
  int pid = 0;
  {
    auto child = real_processes().spawn(shell("exec sleep 100"), {});
    REQUIRE(child.has_value());
    pid = (*child)->pid();
    CHECK(process_start_ticks(pid).has_value());
  }
  CHECK_FALSE(process_start_ticks(pid).has_value());
  CHECK(children().empty());
}

TEST_CASE("process: a child ends with the thread that spawned it") {
  std::unique_ptr<Process> child;
  std::thread([&] { child = real_processes().spawn(shell("exec sleep 100"), {}).value(); }).join();
  const auto ended = child->wait(10s);
  REQUIRE(ended.has_value());
  CHECK(ended->signal == SIGTERM);
}

TEST_CASE("process: 200 children from 8 threads, each with its own output and exit code") {
  std::atomic<int> wrong = 0;
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([thread, &wrong] {
      for (int i = 0; i < 25; ++i) {
        const int code = (thread * 25 + i) % 100;
        if (i % 2 == 0) {
          const auto output =
              run(shell("echo " + std::to_string(code) + "; exit " + std::to_string(code)), 30s);
          if (!output || output->status.code != code || output->out != std::to_string(code) + "\n") ++wrong;
        } else {
          std::string said;
          auto child =
              real_processes().spawn(shell("echo " + std::to_string(code) + "; exit " + std::to_string(code)),
                                     [&](std::string_view line) { said = line; });
          const auto ended = child ? (*child)->wait(30s) : std::nullopt;
          if (!ended || ended->code != code || said != std::to_string(code)) ++wrong;
        }
      }
    });
  }
  threads.clear();
  CHECK(wrong == 0);
  CHECK(children().empty());
}

TEST_CASE(
    "process: a detached one has its own session, appends to its log, is nobody's child, and is stopped by "
    "its pid") {
  const TemporaryDirectory directory;
  const Path log = directory.path() / "postgres.log";
  REQUIRE(real_file_system().write(log, "before\n"));
  int pid = 0;
  std::thread([&] { pid = spawn_detached(shell("echo up; exec sleep 100"), log).value(); }).join();
  REQUIRE(pid > 0);
  REQUIRE(eventually([&] { return real_file_system().read(log) == "before\nup\n"; }));
  CHECK(children().empty());
  CHECK(::getsid(pid) != ::getsid(0));
  const auto ticks = process_start_ticks(pid);
  REQUIRE(ticks.has_value());
  CHECK(stop_by_pid(pid, *ticks + 1, 1s));  // that process is gone; this one is another
  CHECK(process_start_ticks(pid) == ticks);
  CHECK(stop_by_pid(pid, *ticks, 10s));
  CHECK_FALSE(process_start_ticks(pid).has_value());
  CHECK(stop_by_pid(pid, *ticks, 10s));
}

TEST_CASE("process: stop_by_pid kills what does not listen") {
  const TemporaryDirectory directory;
  const Path log = directory.path() / "log";
  const auto pid = spawn_detached(shell("trap '' INT TERM; echo up; while :; do sleep 0.01; done"), log);
  REQUIRE(pid.has_value());
  REQUIRE(eventually([&] { return real_file_system().read(log) == "up\n"; }));
  CHECK(stop_by_pid(*pid, process_start_ticks(*pid).value(), 50ms, SIGINT));
  CHECK_FALSE(process_start_ticks(*pid).has_value());
}
