#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "lab/lab_processes.h"
#include "lab/lab_server.h"
#include "lab/load.h"
#include "lab/local_lab.h"
#include "os/process.h"
#include "os/system.h"
#include "pg/connection.h"
#include "pg/server.h"
#include "support/temporary_directory.h"

using namespace walback;

namespace {

/// A lab below a fresh directory, gone at the end of the scope whatever the test did to it.
class TestLab {
 public:
  TestLab() : root_(fresh_root()) {
    setup.directory = root_ / "lab";
    setup.fsync = false;
    setup.capturing = false;
    setup.executable = environment_variable("WALBACK").value_or("");
  }
  ~TestLab() {
    static_cast<void>(lab_down(setup.directory, false, {}));
    static_cast<void>(real_file_system().remove_tree(root_));
  }
  TestLab(const TestLab&) = delete;
  TestLab& operator=(const TestLab&) = delete;

  LabState up() {
    const auto state = lab_up(setup, {}, {});
    REQUIRE_MESSAGE(state, state.error().message);
    return *state;
  }
  void down() {
    const Status status = lab_down(setup.directory, false, {});
    REQUIRE_MESSAGE(status, status.error().message);
    CHECK(!exists(real_file_system(), setup.directory));
  }
  LabSetup setup;

 private:
  static Path fresh_root() {
    REQUIRE(drop_root());
    return make_temporary_directory("walback-lab-test").value();
  }
  Path root_;
};

std::int64_t number(const std::string& conninfo, const std::string& sql) {
  auto connection = Connection::open(conninfo);
  REQUIRE_MESSAGE(connection, connection.error().message);
  const auto rows = connection->query(sql);
  REQUIRE_MESSAGE(rows, rows.error().message);
  return rows->integer(0, 0);
}

template <class Condition>
bool eventually(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

/// How many postgres processes work below the directory.
std::size_t servers_below(const Path& directory) {
  return postgres_processes_below(directory)->size();
}

}  // namespace

TEST_CASE("lab: primary and standby come up, replicate, and go without a trace") {
  TestLab lab;
  lab.setup.segment_size_mb = 1;
  const LabState state = lab.up();
  CHECK(number(state.primary_conninfo(),
               "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == 1);
  CHECK(number(state.primary_conninfo(), "SELECT current_setting('track_commit_timestamp')::boolean::int") ==
        1);
  CHECK(number(state.primary_conninfo(), "SELECT current_setting('data_checksums')::boolean::int") == 1);
  CHECK(number(state.primary_conninfo(), "SELECT pg_size_bytes(current_setting('wal_segment_size'))") ==
        1 << 20);
  CHECK(number(state.standby_conninfo(), "SELECT pg_is_in_recovery()::int") == 1);
  auto primary = Connection::open(state.primary_conninfo());
  REQUIRE(primary);
  REQUIRE(primary->execute("CREATE TABLE seen AS SELECT 17 AS n"));
  CHECK(eventually([&] {
    return number(state.standby_conninfo(), "SELECT (to_regclass('seen') IS NOT NULL)::int") == 1;
  }));
  const auto status = lab_status(lab.setup.directory);
  REQUIRE(status);
  CHECK(status->all_running());
  REQUIRE(status->parts.size() == 2);
  CHECK(status->parts[0].pid == postmaster_of(state.primary.data)->pid);
  lab.down();
  CHECK(servers_below(lab.setup.directory) == 0);
}

TEST_CASE("lab: up again changes nothing, and starts what was killed") {
  TestLab lab;
  const LabState first = lab.up();
  CHECK(lab.up() == first);
  REQUIRE(kill_primary(first));
  CHECK(!postmaster_of(first.primary.data));
  CHECK(!lab_status(lab.setup.directory)->all_running());
  const LabState second = lab.up();
  CHECK(second.primary.port == first.primary.port);
  CHECK(second.primary.process != first.primary.process);
  CHECK(second.standby->process == first.standby->process);
  lab.down();
}

TEST_CASE("lab: a wiped primary is not invented again") {
  TestLab lab;
  lab.setup.standby = false;
  const LabState state = lab.up();
  const Status refused = wipe_primary(state);
  REQUIRE(!refused);
  CHECK(refused.error().kind == ErrorKind::conflict);
  REQUIRE(kill_primary(state));
  REQUIRE(wipe_primary(state));
  const auto up = lab_up(lab.setup, {}, {});
  REQUIRE(!up);
  CHECK(up.error().message ==
        "the data directory '" + state.primary.data.string() + "' of the primary is gone");
  lab.down();
}

TEST_CASE("lab: a paused primary answers nobody until it is resumed, and down ends even a paused one") {
  TestLab lab;
  lab.setup.standby = false;
  const LabState state = lab.up();
  ConnectionOptions impatient;
  impatient.connect_timeout = std::chrono::milliseconds(300);
  REQUIRE(pause_primary(state));
  CHECK(!Connection::open(state.primary_conninfo(), impatient));
  REQUIRE(resume_primary(state));
  CHECK(Connection::open(state.primary_conninfo()));
  REQUIRE(pause_primary(state));
  lab.down();
}

TEST_CASE("lab: two ups at a time, one is refused") {
  TestLab lab;
  REQUIRE(real_file_system().create_directories(lab.setup.directory));
  const auto lock = FileLock::take(lab.setup.directory / "lab.lock", "lab up or down");
  REQUIRE(lock);
  const auto up = lab_up(lab.setup, {}, {});
  REQUIRE(!up);
  CHECK(up.error().kind == ErrorKind::conflict);
}

TEST_CASE("lab: a taken port is named, the log is the evidence, and nothing is left running") {
  TestLab one, two;
  one.setup.standby = two.setup.standby = false;
  const LabState state = one.up();
  two.setup.port = state.primary.port;
  const auto up = lab_up(two.setup, {}, {});
  REQUIRE(!up);
  CHECK(up.error().kind == ErrorKind::conflict);
  CHECK(up.error().message ==
        "port " + std::to_string(state.primary.port) + " of the primary is taken by another program");
  CHECK(servers_below(two.setup.directory) == 0);
  two.down();
}

TEST_CASE("lab: a server that cannot start says why, and what was started before is stopped again") {
  TestLab lab;
  const LabState state = lab.up();
  REQUIRE(stop_server(state.standby->data));
  REQUIRE(kill_primary(state));
  const Path conf = state.standby->data / "postgresql.conf";
  REQUIRE(real_file_system().write(conf, *real_file_system().read(conf) + "\nno_such_setting = 1\n"));
  const auto up = lab_up(lab.setup, {}, {});
  REQUIRE(!up);
  CHECK(up.error().kind == ErrorKind::unavailable);
  CHECK(up.error().message.find("the standby of the lab did not start; its log ends with:\n") == 0);
  CHECK(up.error().message.find("unrecognized configuration parameter \"no_such_setting\"") !=
        std::string::npos);
  CHECK(servers_below(lab.setup.directory) == 0);
  lab.down();
}

TEST_CASE("lab: up killed with -9 at any moment, down cleans up, and up works in its place") {
  const auto executable = environment_variable("WALBACK");
  if (!executable) return;
  for (const int after_ms : {20, 150, 600, 1'500, 2'500}) {
    CAPTURE(after_ms);
    TestLab lab;
    auto up = real_processes().spawn(
        {*executable, {"lab", "up", "--dir", lab.setup.directory.string(), "--fsync", "off"}, {}, "/"},
        [](std::string_view) {});
    REQUIRE(up);
    const bool ended = (*up)->wait(std::chrono::milliseconds(after_ms)).has_value();
    (*up)->kill(SIGKILL);
    static_cast<void>((*up)->wait(std::chrono::milliseconds(5'000)));
    const Status down = lab_down(lab.setup.directory, false, {});
    // Killed before it wrote lab.json: then it has started nothing either.
    if (!down) CHECK(down.error().kind == ErrorKind::not_found);
    CHECK(eventually([&] { return servers_below(lab.setup.directory) == 0; }));
    CHECK(walback_processes_on(lab.setup.directory / "walback.yaml")->empty());
    if (!ended && down) CHECK(!exists(real_file_system(), lab.setup.directory));
  }
}

TEST_CASE("lab: the whole topology; commits in synchronous mode are durable, walback is started again") {
  if (!environment_variable("WALBACK")) return;
  TestLab lab;
  lab.setup.capturing = true;
  lab.setup.synchronous = true;
  const LabState state = lab.up();
  CHECK(exists(real_file_system(), state.config()));
  CHECK(exists(real_file_system(), state.archive() / "wal"));
  CHECK(number(state.primary_conninfo(),
               "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == 2);
  LoadSetup load;
  load.conninfo = state.primary_conninfo();
  load.writers = 4;
  load.seconds = 3;
  load.ledger = state.directory / "verification_log.json";
  const auto figures = run_load(load, {}, {});
  REQUIRE_MESSAGE(figures, figures.error().message);
  CHECK(figures->acknowledged > 100);
  CHECK(figures->durable > 0);
  CHECK(figures->in_doubt == 0);

  REQUIRE(stop_by_pid(state.walback.pid, state.walback.start_ticks, std::chrono::seconds(20), SIGKILL));
  CHECK(!lab_status(lab.setup.directory)->all_running());
  const LabState again = lab.up();
  CHECK(again.walback != state.walback);
  CHECK(again.primary.process == state.primary.process);
  lab.down();
  CHECK(walback_processes_on(state.config())->empty());
}
