#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <optional>

#include "capture/capture_status.h"
#include "integration/support/exactness.h"
#include "lab/lab_processes.h"
#include "os/process.h"
#include "os/system.h"
#include "sync/switch.h"

/// Commits that wait for the capturer: up to the bound and no longer, and never again lost.
using namespace walback;
using namespace walback::test;
using namespace std::chrono_literals;

namespace {

constexpr auto kBound = 2'000ms;
/// For machines that do much else at the same time; an idle one stays below the bound.
constexpr auto kSlack = 4'000ms;

std::string state_of(const LabFixture& lab) {
  return lab.walback({"--json", "sync", "status"}).json.value("state", "");
}
bool becomes(const LabFixture& lab, const std::string& state) {
  return wait_until([&] { return state_of(lab) == state; }, 60s);
}

std::string names_in_force(const LabFixture& lab) {
  return lab.value("SELECT current_setting('synchronous_standby_names')");
}

int receiver_pid(const LabFixture& lab) {
  const auto status = read_capture_status(real_file_system(), {lab.archive()});
  REQUIRE(status);
  REQUIRE(status->receivewal_pid);
  return *status->receivewal_pid;
}

/// A process that is stopped from construction on, and goes on in the end whatever happens.
class Stopped {
 public:
  explicit Stopped(int pid) : pid_(pid) { REQUIRE(::kill(pid_, SIGSTOP) == 0); }
  ~Stopped() { go_on(); }
  void go_on() { ::kill(pid_, SIGCONT); }
  Stopped(const Stopped&) = delete;
  Stopped& operator=(const Stopped&) = delete;

 private:
  int pid_;
};

void run_on_until(const BackgroundLoad& load, std::uint64_t more) {
  const std::uint64_t until = load.acknowledged() + more;
  REQUIRE(wait_until([&] { return load.acknowledged() >= until; }, 60s));
}

struct Account {
  std::uint64_t durable = 0, not_durable = 0, in_doubt = 0, lost_durable = 0, lost_acknowledged = 0,
                unknown = 0;
  std::int64_t longest_us = 0;
};

Account account(const LabFixture& lab, const std::set<std::int64_t>& found) {
  const auto ledger = read_ledger(lab.ledger());
  REQUIRE(ledger);
  Account result;
  std::uint64_t known = 0;
  for (const LedgerEntry& entry : ledger->entries) {
    const bool there = found.contains(entry.id);
    if (there) ++known;
    if (entry.state == LedgerState::in_doubt) ++result.in_doubt;
    if (entry.state != LedgerState::acknowledged) continue;
    ++(entry.durable ? result.durable : result.not_durable);
    if (!there) ++result.lost_acknowledged;
    if (!there && entry.durable) ++result.lost_durable;
    result.longest_us = std::max(result.longest_us, *entry.acknowledged_us - entry.sent_us);
  }
  result.unknown = found.size() - known;
  return result;
}

/// The primary's machine is gone while the load runs on; what the archive alone gives back.
Account lose_primary_and_restore(LabFixture& lab, BackgroundLoad& load) {
  REQUIRE(kill_primary(lab.state()));
  REQUIRE(wipe_primary(lab.state()));
  load.request_stop();
  static_cast<void>(load.finish());
  const auto cluster = lab.restore({"--to-latest"});
  CHECK(cluster.proof.at("verdict") == "proven");
  const Account result = account(lab, ids_in(lab.connect(cluster)));
  lab.stop(cluster);
  MESSAGE(result.durable << " durable, " << result.not_durable << " acknowledged without, " << result.in_doubt
                         << " in doubt; lost: " << result.lost_durable << " durable, "
                         << result.lost_acknowledged << " acknowledged; the longest commit took "
                         << result.longest_us / 1000 << " ms of a bound of " << kBound.count());
  return result;
}

BackgroundLoad load_on(const LabFixture& lab) {
  LoadSetup setup = lab.load_setup(4, 0);
  setup.rate = 400;
  return BackgroundLoad(setup);
}

/// `walback sync watch` beside the lab; ended with the test.
std::unique_ptr<Process> start_watch(const LabFixture& lab) {
  auto process = real_processes().spawn(lab.command({"sync", "watch"}), [](std::string_view) {});
  REQUIRE(process);
  return std::move(*process);
}

std::size_t journal_count(const LabFixture& lab, const std::string& event) {
  const auto journal = read_journal(real_file_system(), ArchiveLayout{lab.archive()}.journal());
  REQUIRE(journal);
  return static_cast<std::size_t>(
      std::count_if(journal->entries.begin(), journal->entries.end(), [&](const JournalEntry& entry) {
        return entry.kind == "synchronous" && entry.body.value("event", "") == event;
      }));
}
/// The watcher writes its line a moment after the primary shows what it did.
bool journal_reaches(const LabFixture& lab, const std::string& event, std::size_t count) {
  return wait_until([&] { return journal_count(lab, event) == count; }, 5s);
}

}  // namespace

TEST_CASE(
    "sync: a stopped receiver hangs no commit beyond the bound; what is acknowledged as durable is kept") {
  LabFixture lab;
  lab.ask({"backup"});
  const Json on = lab.ask({"sync", "on", "--timeout", "2s"});
  CHECK(on.at("state") == "waiting");
  CHECK(on.at("receivers").at(0).at("sync_state") == "sync");
  // What was set a moment ago is not believed yet (pg/load_queries.h).
  REQUIRE(wait_until(
      [&] { return lab.value("SELECT now() > pg_conf_load_time() + interval '1 second'") == "t"; }, 10s));
  BackgroundLoad load = load_on(lab);
  run_on_until(load, 300);
  Stopped receiver(receiver_pid(lab));
  REQUIRE(becomes(lab, "fallen_back"));
  run_on_until(load, 400);
  CHECK(lab.walback({"sync", "status"}).exit_code == exit_code(ErrorKind::findings));
  const Json problems = lab.walback({"--json", "status"}).json.at("problems");
  CHECK(std::any_of(problems.begin(), problems.end(), [](const Json& problem) {
    return problem.get<std::string>().starts_with(
        "synchronous mode: commits do not wait for the capturer since");
  }));

  bool returns = false;
  SUBCASE("the receiver goes on, commits wait again, then the primary's machine dies") {
    receiver.go_on();
    returns = true;
    REQUIRE(becomes(lab, "waiting"));
    run_on_until(load, 600);
  }
  SUBCASE(
      "the primary's machine dies meanwhile: those that were let go are lost, and were not called durable") {}

  const Account result = lose_primary_and_restore(lab, load);
  CHECK(result.lost_durable == 0);
  CHECK(result.unknown == 0);
  CHECK(result.durable >= 200);
  CHECK(result.not_durable >= 400);
  CHECK((result.lost_acknowledged > 0) == !returns);
  CHECK(result.longest_us > 500'000);
  CHECK(result.longest_us < std::chrono::microseconds(kBound + kSlack).count());
  CHECK(journal_reaches(lab, "fell_back", 1));
  CHECK(journal_reaches(lab, "returned", returns ? 1 : 0));
}

TEST_CASE(
    "sync: with archive and capturer gone a watcher on the primary's host lets commits go, and only once") {
  LabFixture lab;
  lab.execute("CREATE TABLE t (i int)");
  lab.ask({"sync", "on", "--timeout", "2s"});
  CHECK(lab.walback({"check"}).out.find("synchronous mode") == std::string::npos);
  lab.kill_services();

  Connection writer = lab.primary();
  REQUIRE(writer.execute("SET synchronous_commit = on"));
  const auto begun = std::chrono::steady_clock::now();
  auto committed = std::async(std::launch::async, [&] { return writer.execute("INSERT INTO t VALUES (1)"); });
  CHECK(committed.wait_for(1'000ms) == std::future_status::timeout);
  // As a watcher leaves it that is killed between ALTER SYSTEM and the reload.
  lab.execute("ALTER SYSTEM RESET synchronous_standby_names");
  const auto first = start_watch(lab), second = start_watch(lab);
  const Status done = committed.get();
  const auto took = std::chrono::steady_clock::now() - begun;
  CHECK(done);
  CHECK(writer.notices().empty());  // let go: no warning
  CHECK(took < kBound + kSlack);
  REQUIRE(becomes(lab, "fallen_back"));
  CHECK(names_in_force(lab).empty());
  CHECK(journal_reaches(lab, "fell_back", 1));

  // What is wanted survives the primary's restart.
  REQUIRE(stop_server(lab.state().primary.data));
  lab.start_again();
  REQUIRE(becomes(lab, "waiting"));
  CHECK(names_in_force(lab) == "walback_capture");
  CHECK(journal_reaches(lab, "returned", 1));
  CHECK(lab.ask({"sync", "off"}).at("state") == "off");
}

TEST_CASE("sync: refused before anything is touched; off brings back what was there; grants suffice") {
  LabFixture lab;
  const auto auto_conf = [&] {
    return real_file_system().read(lab.state().primary.data / "postgresql.auto.conf").value_or("");
  };
  const std::string untouched = auto_conf();
  const auto refused = [&](const std::vector<std::string>& arguments, ErrorKind kind) {
    const std::string before = auto_conf();
    const WalbackRun run = lab.walback(arguments);
    CHECK_MESSAGE(run.exit_code == exit_code(kind), run.all());
    CHECK(auto_conf() == before);
    return run.err;
  };

  lab.execute("ALTER SYSTEM SET synchronous_standby_names = 's1'");
  lab.execute("SELECT pg_reload_conf()");
  REQUIRE(wait_until([&] { return names_in_force(lab) == "s1"; }, 10s));
  CHECK(refused({"sync", "on"}, ErrorKind::conflict).find("FIRST 2 (walback_capture, s1)") !=
        std::string::npos);
  CHECK(lab.ask({"sync", "on", "--with-others"}).at("synchronous_standby_names") ==
        "FIRST 2 (walback_capture, s1)");
  CHECK(lab.ask({"sync", "off"}).at("synchronous_standby_names") == "s1");
  lab.execute("ALTER SYSTEM RESET synchronous_standby_names");
  lab.execute("SELECT pg_reload_conf()");
  REQUIRE(wait_until([&] { return names_in_force(lab).empty(); }, 10s));
  CHECK(auto_conf() == untouched);

  lab.execute("ALTER ROLE postgres SET synchronous_commit = remote_apply");
  CHECK(refused({"sync", "on"}, ErrorKind::conflict).find("role postgres") != std::string::npos);
  lab.execute("ALTER ROLE postgres RESET synchronous_commit");

  // A role with what the refusal's hint grants, and no more.
  lab.execute("CREATE ROLE weak LOGIN REPLICATION");
  const SynchronousRequest request{
      lab.state().primary_conninfo() + " user=weak", std::nullopt, real_clock(), {}};
  const auto weak = turn_synchronous_on(request, true, kBound, false);
  REQUIRE_FALSE(weak);
  CHECK(weak.error().kind == ErrorKind::config);
  const std::string hint = weak.error().hint;
  lab.execute(hint.substr(hint.find("GRANT")));
  const auto granted = turn_synchronous_on(request, true, kBound, false);
  REQUIRE_MESSAGE(granted, granted.error().message);
  CHECK(names_in_force(lab) == "walback_capture");
  CHECK(turn_synchronous_off(request).value_or(false));

  // Another primary, which was never told: the archive remembers.
  lab.ask({"sync", "on"});
  CHECK(turn_synchronous_off(request).value_or(false));
  const WalbackRun lost = lab.walback({"--json", "sync", "status"});
  CHECK(lost.exit_code == exit_code(ErrorKind::findings));
  CHECK(
      lost.json.at("problems").at(0).at("text").get<std::string>().starts_with("it was on for this archive"));
  CHECK(lab.walback({"check"}).out.find("wrong  synchronous mode: it was on") != std::string::npos);
  lab.ask({"sync", "off"});
  CHECK(lab.walback({"sync", "status"}).ok());

  lab.kill_services();
  refused({"sync", "on"}, ErrorKind::unavailable);
  CHECK(auto_conf() == untouched);
}
