#include "lab/lab_state.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include "lab/lab_processes.h"
#include "lab/lab_server.h"
#include "lab/local_lab.h"
#include "os/process.h"
#include "support/temporary_directory.h"

using namespace walback;

namespace {

LabState example() {
  LabState state;
  state.directory = "/srv/my lab";
  state.socket_directory = "/srv/my lab/s";
  state.binaries = "/usr/lib/postgresql/15/bin";
  state.executable = "/usr/bin/walback";
  state.primary = {"primary", "/srv/my lab/primary", "/srv/my lab/log/primary.log", 20001, true, {17, 4711}};
  state.standby = {"standby", "/srv/my lab/standby", "/srv/my lab/log/standby.log", 20002, false, {}};
  return state;
}

}  // namespace

TEST_CASE("lab state: as JSON and back, with and without a standby") {
  LabState state = example();
  CHECK(*parse_lab_state(to_text(to_json(state)), "lab.json") == state);
  state.standby.reset();
  state.capturing = false;
  state.synchronous = true;
  CHECK(*parse_lab_state(to_text(to_json(state)), "lab.json") == state);
}

TEST_CASE("lab state: a missing member, another type and garbage are corrupt, and named") {
  Json json = to_json(example());
  json["primary"]["process"].erase("start_ticks");
  auto parsed = parse_lab_state(to_text(json), "'/srv/lab.json'");
  REQUIRE(!parsed);
  CHECK(
      parsed.error() ==
      Error{ErrorKind::corrupt, "'/srv/lab.json': 'start_ticks' is missing or of the wrong type",
            "It was not written by walback, or was edited: stop the lab's processes by hand and remove it."});
  CHECK(!parse_lab_state("[]", "lab.json"));
  CHECK(!parse_lab_state("", "lab.json"));
}

TEST_CASE("lab state: conninfo of a path with a blank and a quote") {
  LabState state = example();
  CHECK(state.primary_conninfo() == "host='/srv/my lab/s' port=20001 user=postgres dbname=postgres");
  state.socket_directory = "/srv/it's";
  CHECK(state.standby_conninfo() == R"(host='/srv/it\'s' port=20002 user=postgres dbname=postgres)");
}

TEST_CASE("lab settings: only a primary waits for the capturer") {
  LabState state = example();
  state.synchronous = true;
  state.fsync = false;
  CHECK(lab_settings(state, state.primary).find("synchronous_standby_names = 'walback_capture'\n") !=
        std::string::npos);
  CHECK(lab_settings(state, *state.standby).find("synchronous_standby_names = ''\n") != std::string::npos);
  CHECK(lab_settings(state, state.primary).find("fsync = 'off'\n") != std::string::npos);
  CHECK(lab_settings(state, state.primary).find("unix_socket_directories = '\"/srv/my lab/s\"'\n") !=
        std::string::npos);
}

TEST_CASE("lab: what makes no sense is refused before anything is touched") {
  const auto refusal = [](LabSetup setup) {
    const auto up = lab_up(setup, {}, {});
    REQUIRE(!up);
    CHECK(up.error().kind == ErrorKind::usage);
    return up.error().message;
  };
  LabSetup setup;
  setup.directory = "lab";
  CHECK(refusal(setup) == "'lab' is not an absolute path");
  setup.directory = "/nonexistent/a\"b";
  CHECK(refusal(setup) == "'/nonexistent/a\"b' holds a quote, a comma, a backslash or a newline");
  setup.directory = "/nonexistent/lab";
  setup.segment_size_mb = 3;
  CHECK(refusal(setup) == "a segment size of 3 MB is asked for, expected a power of two from 1 to 1024");
  setup.segment_size_mb = 16;
  setup.port = 80;
  CHECK(refusal(setup) == "port 80 is asked for, expected 1024 to 65534");
}

TEST_CASE("lab: a directory that holds something else is refused by up and by down, and stays as it is") {
  const TemporaryDirectory directory;
  const Path file = directory.path() / "precious";
  REQUIRE(real_file_system().write(file, "x"));
  LabSetup setup;
  setup.directory = directory.path();
  const auto up = lab_up(setup, {}, {});
  REQUIRE(!up);
  CHECK(up.error() ==
        Error{ErrorKind::conflict,
              "'" + directory.path().string() + "' is not empty (it holds 'precious') and is no lab",
              "Name a directory that is empty or does not exist yet."});
  const Status down = lab_down(directory.path(), false, {});
  REQUIRE(!down);
  CHECK(down.error() == Error{ErrorKind::not_found, "there is no lab in '" + directory.path().string() + "'",
                              "Start one with: walback lab up --dir '" + directory.path().string() + "'"});
  CHECK(real_file_system().list(directory.path())->size() == 1);
}

TEST_CASE("lab processes: a recorded pid that belongs to another process now is not running") {
  const int self = ::getpid();
  const auto ticks = process_start_ticks(self);
  REQUIRE(ticks);
  CHECK(is_running({self, *ticks}));
  CHECK(!is_running({self, *ticks + 1}));
  CHECK(!is_running({}));
}

TEST_CASE("lab processes: a program that is not postgres, in a data directory, is left alone") {
  const TemporaryDirectory directory;
  const auto sleeper =
      real_processes().spawn({"sleep", {"600"}, {}, directory.path()}, [](std::string_view) {});
  REQUIRE(sleeper);
  CHECK(postgres_processes_below(directory.path())->empty());
  CHECK(stop_server(directory.path()));
  CHECK(kill_server(directory.path()));
  CHECK(!(*sleeper)->wait(std::chrono::milliseconds(0)));
  const Status paused = signal_server(directory.path(), SIGSTOP);
  REQUIRE(!paused);
  CHECK(paused.error().message == "no server runs in '" + directory.path().string() + "'");
}

TEST_CASE("log tail: the last lines, or that there are none") {
  const TemporaryDirectory directory;
  const Path log = directory.path() / "log";
  CHECK(log_tail(log) == "  (empty)");
  REQUIRE(real_file_system().write(log, "one\ntwo\nthree\n"));
  CHECK(log_tail(log, 2) == "  two\n  three");
}
