#include "os/system.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <regex>
#include <thread>

#include "os/process.h"
#include "support/fake_clock.h"
#include "support/recording_log.h"
#include "support/scripted_processes.h"
#include "support/temporary_directory.h"

using namespace walback;
using namespace std::chrono_literals;

namespace {

/// Runs `body` in a child process, whose exit code is the answer: for what changes a whole process.
template <class Body>
int in_child(Body body) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(body());
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

}  // namespace

TEST_CASE("clocks: the wall clock is in this century, the monotonic one goes on") {
  CHECK(real_clock().now().unix_us > 1'700'000'000'000'000);
  const auto before = real_clock().monotonic_us();
  std::this_thread::sleep_for(2ms);
  CHECK(real_clock().monotonic_us() - before >= 2000);
  FakeClock clock;
  CHECK(to_rfc3339(clock.now()) == "2026-11-20T10:00:00.000000Z");
  clock.advance(3s);
  CHECK(clock.monotonic_us() == 4'000'000);
  clock.set({0});
  CHECK(clock.now().unix_us == 0);
  CHECK(clock.monotonic_us() == 4'000'000);
}

TEST_CASE("log: time with milliseconds in front, no colour off a terminal, the level holds back") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const auto log = make_log(ends[1], LogLevel::info);
  log->debug("archive", "unheard");
  log->error("archive", "gap_found", {{key::segment, "000000010000000000000002"}, {key::hint, "look at it"}});
  ::close(ends[1]);
  char buffer[1000];
  const auto count = ::read(ends[0], buffer, sizeof buffer);
  ::close(ends[0]);
  REQUIRE(count > 0);
  CHECK(std::regex_match(std::string(buffer, static_cast<std::size_t>(count)),
                         std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ERROR archive gap_found )"
                                    R"(segment=000000010000000000000002 hint="look at it"\n)")));
  RecordingLog recording;
  recording.warn("os", "seen", {{key::pid, "7"}});
  CHECK(recording.lines() == std::vector<std::string>{"WARN os seen pid=7"});
  CHECK(recording.contains("pid=7"));
}

TEST_CASE("stop signals: SIGTERM becomes a stop request, a second SIGINT ends with 11, and sleepers wake") {
  CHECK(in_child([] {
          const StopSignals signals;
          ::kill(::getpid(), SIGTERM);
          return sleep_for(signals.token(), 30s) ? 1 : 0;
        }) == 0);
  CHECK(in_child([] {
          const StopSignals signals;
          ::kill(::getpid(), SIGINT);
          if (sleep_for(signals.token(), 30s)) return 1;
          ::kill(::getpid(), SIGINT);
          std::this_thread::sleep_for(30s);
          return 2;
        }) == 11);
  CHECK(in_child([] {
          const StopSignals signals;
          ::kill(::getpid(), SIGTERM);
          ::kill(::getpid(), SIGHUP);
          sleep_for(signals.token(), 30s);
          ::raise(SIGPIPE);
          return 0;
        }) == 0);
}

TEST_CASE("sleep_for: sleeps without a stop, not at all when it was requested before") {
  const auto begin = std::chrono::steady_clock::now();
  CHECK(sleep_for({}, 20ms));
  CHECK(std::chrono::steady_clock::now() - begin >= 20ms);
  std::stop_source source;
  source.request_stop();
  CHECK_FALSE(sleep_for(source.get_token(), 100s));
}

TEST_CASE("drop_root: the user, its groups and its HOME, for good; a parent-death signal stays") {
  if (::geteuid() != 0 || ::getpwnam("postgres") == nullptr) return;
  const TemporaryDirectory directory;
  REQUIRE(real_file_system().write(directory.path() / "file", ""));
  CHECK(in_child([&] {
          ::prctl(PR_SET_PDEATHSIG, SIGUSR1);
          if (::chdir(directory.path().c_str()) != 0) return 1;
          if (!give_to(directory.path() / "file")) return 2;
          if (!drop_root()) return 3;
          if (user_name() != "postgres" || ::getuid() == 0 || ::getgid() == 0) return 4;
          if (::setuid(0) == 0) return 5;
          if (environment_variable("HOME") != std::string(::getpwnam("postgres")->pw_dir)) return 6;
          int signal = 0;
          ::prctl(PR_GET_PDEATHSIG, &signal);
          if (signal != SIGUSR1) return 7;
          // The directory is root's with mode 0700: no place to stay in.
          char where[4096];
          if (::getcwd(where, sizeof where) == nullptr || std::string(where) != "/") return 8;
          return drop_root() ? 0 : 9;
        }) == 0);
  struct stat given {};
  REQUIRE(::stat((directory.path() / "file").c_str(), &given) == 0);
  CHECK(given.st_uid == ::getpwnam("postgres")->pw_uid);
  const auto nobody = drop_root("no_such_user");
  REQUIRE_FALSE(nobody.has_value());
  CHECK(nobody.error() == Error{ErrorKind::not_found, "there is no user 'no_such_user' on this machine",
                                "Install PostgreSQL's packages, which create it, or run walback as the user "
                                "that runs PostgreSQL."});
}

TEST_CASE(
    "file lock: the second is refused with the holder's pid, also in one process; it ends with the holder") {
  const TemporaryDirectory directory;
  const Path path = directory.path() / "locks/capture.lock";
  {
    auto held = FileLock::take(path, "capture");
    REQUIRE(held.has_value());
    const auto second = FileLock::take(path, "capture");
    REQUIRE_FALSE(second.has_value());
    const std::string pid = std::to_string(::getpid());
    CHECK(second.error() == Error{ErrorKind::conflict,
                                  "capture is already running: pid " + pid + " holds '" + path.string() + "'",
                                  "Wait until pid " + pid + " has ended, or end it with: kill " + pid});
    const FileLock moved = std::move(*held);
    CHECK_FALSE(FileLock::take(path, "capture").has_value());
  }
  CHECK(FileLock::take(path, "capture").has_value());

  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t holder = ::fork();
  if (holder == 0) {
    const auto lock = FileLock::take(path, "capture");
    [[maybe_unused]] const auto told = ::write(ready[1], lock ? "y" : "n", 1);
    ::pause();
    ::_exit(0);
  }
  char answer = 0;
  REQUIRE(::read(ready[0], &answer, 1) == 1);
  CHECK(answer == 'y');
  const auto refused = FileLock::take(path, "capture");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().message ==
        "capture is already running: pid " + std::to_string(holder) + " holds '" + path.string() + "'");
  ::kill(holder, SIGKILL);
  ::waitpid(holder, nullptr, 0);
  CHECK(FileLock::take(path, "capture").has_value());
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_CASE(
    "directory watch: hears creation, writing, renaming and deletion; else the time or the stop ends it") {
  const TemporaryDirectory directory;
  auto watch = DirectoryWatch::open();
  REQUIRE(watch.has_value());
  REQUIRE((*watch)->add(directory.path()));
  CHECK_FALSE((*watch)->wait({}, 5ms));
  const Path file = directory.path() / "000000010000000000000001.partial";
  REQUIRE(real_file_system().write(file, "x"));
  CHECK((*watch)->wait({}, 10s));
  CHECK_FALSE((*watch)->wait({}, 5ms));
  using Change = DirectoryWatch::Change;
  CHECK((*watch)->take_changes().named == std::set<Change>{{Change::Kind::written, file.filename()}});
  REQUIRE(real_file_system().rename(file, directory.path() / "000000010000000000000001"));
  CHECK((*watch)->wait({}, 10s));
  CHECK((*watch)->take_changes().named == std::set<Change>{{Change::Kind::gone, file.filename()}});
  REQUIRE(real_file_system().remove(directory.path() / "000000010000000000000001"));
  CHECK((*watch)->wait({}, 10s));
  const auto changes = (*watch)->take_changes();
  CHECK(changes.complete);
  CHECK(changes.named == std::set<Change>{{Change::Kind::gone, "000000010000000000000001"}});
  std::stop_source source;
  source.request_stop();
  CHECK_FALSE((*watch)->wait(source.get_token(), 100s));
  const auto absent = (*watch)->add(directory.path() / "gone");
  REQUIRE_FALSE(absent.has_value());
  CHECK(absent.error().kind == ErrorKind::not_found);
}

TEST_CASE("port_is_free: not while somebody listens, neither on one family alone") {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  REQUIRE(::bind(listener, reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(::listen(listener, 1) == 0);
  REQUIRE(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  CHECK_FALSE(port_is_free(ntohs(address.sin_port)));
  ::close(listener);
  CHECK(port_is_free(ntohs(address.sin_port)));
  CHECK_FALSE(port_is_free(0));
}

TEST_CASE("system: the small answers") {
  CHECK(core_count() >= 1);
  CHECK(core_count() <= std::max(1U, std::thread::hardware_concurrency()));
  CHECK(own_executable().filename() == "test_os");
  CHECK_FALSE(user_name().empty());
  CHECK(random_u64() != random_u64());
  CHECK_FALSE(environment_variable("WALBACK_NO_SUCH_VARIABLE").has_value());
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  CHECK_FALSE(is_terminal(ends[0]));
  ::close(ends[0]);
  ::close(ends[1]);
  const TemporaryDirectory directory;
  CHECK(real_file_system().stat(directory.path())->mode == 0700);
}

TEST_CASE("scripted processes: they say their lines, end, refuse, and are stopped") {
  ScriptedProcesses processes;
  std::vector<std::string> lines;
  const auto sink = [&](std::string_view line) { lines.emplace_back(line); };
  processes.add("pg_receivewal", {.lines = {"one", "two"}, .status = ExitStatus{.code = 1}});
  processes.add("pg_receivewal", {.error = Error{ErrorKind::not_found, "gone", ""}});
  processes.set_always("pg_receivewal", {.status = std::nullopt});
  const Command command{.program = "/usr/bin/pg_receivewal", .arguments = {"--slot", "walback"}};
  auto first = processes.spawn(command, sink);
  REQUIRE(first.has_value());
  CHECK((*first)->wait(0ms)->code == 1);
  CHECK(processes.spawn(command, sink).error().kind == ErrorKind::not_found);
  auto third = processes.spawn(command, sink);
  CHECK_FALSE((*third)->wait(1ms).has_value());
  processes.say("three");
  CHECK((*third)->stop(0ms).signal == SIGTERM);
  CHECK(lines == std::vector<std::string>{"one", "two", "three"});
  CHECK(processes.signals() == std::vector<int>{SIGTERM});
  CHECK(processes.wait_for_spawns(3, 0ms));
  CHECK(processes.commands().back() == "pg_receivewal --slot walback");
  CHECK(processes.spawn({.program = "psql"}, sink).error().message == "the test has no script for 'psql'");
}
