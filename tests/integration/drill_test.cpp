#include <doctest/doctest.h>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <random>

#include "catalog/archive_layout.h"
#include "integration/support/lab_fixture.h"
#include "lab/lab_processes.h"
#include "os/process.h"
#include "os/system.h"

/// `walback drill` on a real archive: a random moment comes back, is looked at, and leaves nothing but its
/// record.
using namespace walback;
using namespace walback::test;
using namespace std::chrono_literals;

namespace {

/// Under a load, with a base backup in its midst, the services stopped at the end: the archive stands still.
struct World {
  LabFixture lab;

  World() {
    LoadSetup setup = lab.load_setup(2, 0);
    setup.rate = 200;
    BackgroundLoad load(setup);
    REQUIRE(wait_until([&] { return load.acknowledged() > 50; }, 60s));
    lab.ask({"backup"});
    const std::uint64_t until = load.acknowledged() + 300;
    REQUIRE(wait_until([&] { return load.acknowledged() > until; }, 60s));
    load.request_stop();
    load.finish();
  }
  [[nodiscard]] WalbackRun drill(std::vector<std::string> options = {}) const {
    options.insert(options.begin(), {"--json", "drill"});
    return lab.walback(options);
  }
  [[nodiscard]] std::vector<std::string> copies() const {
    std::vector<std::string> found;
    const auto entries = real_file_system().list(lab.lab());
    REQUIRE(entries);
    for (const DirectoryEntry& entry : *entries)
      if (entry.name.starts_with("walback-drill")) found.push_back(entry.name);
    return found;
  }
  [[nodiscard]] std::size_t servers() const {
    std::size_t count = 0;
    for (const std::string& copy : copies()) count += postgres_processes_below(lab.lab() / copy)->size();
    return count;
  }
  [[nodiscard]] Json last_drill() const { return lab.ask({"status"}).at("assurance").at("last_drill"); }
};

World& world() {
  static World made;
  return made;
}

}  // namespace

TEST_CASE("drill: restores, proves, checks, removes, and measures") {
  World& w = world();
  const WalbackRun run = w.drill({"--amcheck", "--check-pages"});
  REQUIRE_MESSAGE(run.ok(), run.all());
  MESSAGE(run.json.at("target").get<std::string>());
  CHECK(run.json.at("proof").at("verdict") == "proven");
  CHECK(run.json.at("checks").at("amcheck").get<std::string>().ends_with(": nothing found"));
  CHECK(run.json.at("checks").at("pages") == "every page fits its checksum");
  CHECK(w.copies().empty());
  CHECK(w.lab.ask({"clusters"}).empty());
  const Json last = w.last_drill();
  CHECK(last.at("result") == "passed");
  CHECK(last.at("rto_us") == run.json.at("rto_us"));
  CHECK(last.at("rto_us").get<std::int64_t>() > 0);
  CHECK(last.at("checks") == "proof, pages, amcheck");
}

TEST_CASE("drill: what a killed one left behind goes with the next; two at once are refused") {
  World& w = world();
  Command killed = w.lab.command({"drill"});
  killed.environment.emplace_back("WALBACK_CRASH_AT", "restore.stop_reached:1");
  const auto died = walback::run(killed, 2min);
  REQUIRE(died);
  CHECK(died->status.signal == SIGKILL);
  CHECK(w.copies().size() == 1);
  CHECK(w.servers() > 0);
  {
    const auto lock = FileLock::take(ArchiveLayout{w.lab.archive()}.lock("drill"), "a drill");
    REQUIRE(lock);
    const WalbackRun second = w.drill();
    CHECK(second.exit_code == exit_code(ErrorKind::conflict));
    CHECK(second.json.at("error").at("message").get<std::string>().find(fmt::format("pid {}", ::getpid())) !=
          std::string::npos);
    CHECK(w.copies().size() == 1);
  }
  const Path elsewhere = w.lab.directory() / "elsewhere";
  REQUIRE(real_file_system().create_directories(elsewhere));
  const WalbackRun next = w.drill({"--directory", elsewhere.string()});
  CHECK_MESSAGE(next.ok(), next.all());
  CHECK(w.copies().empty());
  CHECK(real_file_system().list(elsewhere)->empty());
}

TEST_CASE("drill: interrupted, it cleans up and says so") {
  World& w = world();
  auto drill = real_processes().spawn(w.lab.command({"drill"}), [](std::string_view) {});
  REQUIRE(drill);
  REQUIRE(wait_until([&] { return w.servers() > 0; }, 60s));
  (*drill)->kill(SIGTERM);
  const auto how = (*drill)->wait(60s);
  REQUIRE(how);
  CHECK(how->code == exit_code(ErrorKind::interrupted));
  CHECK(w.copies().empty());
  CHECK(w.last_drill().at("result") == "passed");  // an interrupted one proves nothing, neither way
}

TEST_CASE(
    "drill: the same seed over the same archive draws the same moment; damage that nobody saw fails it") {
  World& w = world();
  // An index that lacks rows: its function is no longer what it was.
  w.lab.execute("CREATE FUNCTION bad(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1'");
  w.lab.execute("CREATE TABLE broken AS SELECT generate_series(1, 100) AS a");
  w.lab.execute("CREATE INDEX ON broken (bad(a))");
  w.lab.execute(
      "CREATE OR REPLACE FUNCTION bad(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1000'");
  w.lab.ask({"backup"});
  w.lab.wait_captured();
  w.lab.kill_services();
  // The newest moment is drawn by this seed, whatever the window.
  std::string seed;
  for (int candidate = 0; seed.empty(); ++candidate) {
    std::mt19937_64 dice(static_cast<std::uint64_t>(candidate));
    if (dice() % 100 >= 85) seed = std::to_string(candidate);
  }
  const std::vector<std::string> options{"--seed", seed, "--amcheck", "--heapallindexed", "--keep-failed"};
  const WalbackRun failed = w.drill(options);
  CHECK_MESSAGE(failed.exit_code == exit_code(ErrorKind::corrupt), failed.all());
  CHECK(failed.json.at("target") == "--to-latest");
  CHECK(failed.json.at("error").at("message").get<std::string>().find("broken_bad_idx") != std::string::npos);
  // Kept, stopped, and among the restored clusters.
  CHECK(w.copies().size() == 1);
  CHECK(w.servers() == 0);
  CHECK(w.lab.ask({"clusters", "remove", w.copies().front()}).at("action") == "remove");
  CHECK(w.copies().empty());
  CHECK(w.last_drill().at("result") == "failed");
  CHECK(w.lab.walback({"status"}).out.find("the last drill failed (--to-latest, seed " + seed) !=
        std::string::npos);
  const WalbackRun check = w.lab.walback({"check"});
  CHECK(check.exit_code == exit_code(ErrorKind::findings));
  CHECK(check.out.find("wrong  drill: ") != std::string::npos);
  const WalbackRun again = w.drill({"--seed", seed});
  CHECK_MESSAGE(again.ok(), again.all());
  CHECK(again.json.at("target") == failed.json.at("target"));
  CHECK(w.last_drill().at("result") == "passed");
}
