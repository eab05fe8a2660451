#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <future>

#include "archive/watermark.h"
#include "base/text.h"
#include "integration/support/exactness.h"
#include "lab/lab_processes.h"
#include "os/system.h"
#include "pg/server.h"

/// Restores to moments at which nothing happened: what only a watermark can answer for.
using namespace walback;
using namespace walback::test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kSegmentBytes = 16U << 20;
constexpr auto kPatience = 60s;

Json window_of(const LabFixture& lab) {
  const WalbackRun status = lab.walback({"--json", "status"});
  REQUIRE_MESSAGE(status.json.is_object(), status.all());
  return status.json.at("recoverable_window");
}

Timestamp primary_clock(const LabFixture& lab) {
  Connection connection = lab.primary();
  const auto now = server_clock(connection);
  REQUIRE(now);
  return *now;
}

/// Until the archive can answer for the primary's present moment; that moment. A segment switch follows it,
/// so that nobody waits for the next watermark of an idle database.
Timestamp wait_for_silence(const LabFixture& lab) {
  const Timestamp now = primary_clock(lab);
  lab.execute("SELECT pg_switch_wal()");
  REQUIRE(wait_until(
      [&] {
        const Json window = window_of(lab);
        return window.at("watermark").is_object() && window.at("watermark").at("time") >= to_rfc3339(now);
      },
      kPatience));
  return now;
}

/// Its watermarks come every second, and it writes nothing to the primary.
void tune_manager(LabFixture& lab) {
  const auto text = real_file_system().read(lab.state().config());
  REQUIRE(text);
  std::string tuned;
  for (const auto line : split(*text, '\n')) {
    const auto indent = line.substr(0, line.size() - trim(line).size());
    std::string now(line);
    if (trim(line).starts_with("watermark_interval:")) now = fmt::format("{}watermark_interval: 1s", indent);
    if (trim(line).starts_with("mirror:")) now = fmt::format("{}mirror: false", indent);
    tuned += now + "\n";
  }
  REQUIRE(tuned.find("watermark_interval: 1s") != std::string::npos);
  REQUIRE(tuned.find("mirror: false") != std::string::npos);
  lab.kill_services();
  REQUIRE(real_file_system().write(lab.state().config(), tuned));
  lab.start_services();
}

/// Commits one row; its xid.
std::uint32_t commit_row(const LabFixture& lab, std::int64_t id) {
  Connection connection = lab.primary();
  const auto rows = connection.query(fmt::format(
      "INSERT INTO test_data (id, writer, payload) VALUES ({}, 99, 'row') RETURNING xmin::text", id));
  REQUIRE_MESSAGE(rows, rows.error().message);
  return static_cast<std::uint32_t>(rows->integer(0, 0));
}

Path libfaketime() {
  for (const std::string machine : {"x86_64", "aarch64"}) {
    const Path path = "/usr/lib/" + machine + "-linux-gnu/faketime/libfaketime.so.1";
    if (exists(real_file_system(), path)) return path;
  }
  FAIL("libfaketime is not here: scripts/setup installs it");
  return {};
}

/// A clock of the primary's own, that can be set while it runs: libfaketime, loaded into its processes alone.
class PrimaryClock {
 public:
  explicit PrimaryClock(const LabFixture& lab) : file_(lab.directory() / "primary.clock") {
    const Path library = libfaketime();
    set(0s);
    REQUIRE(stop_server(lab.state().primary.data));
    const std::vector<std::pair<const char*, std::string>> environment{
        {"LD_PRELOAD", library.string()},
        {"FAKETIME_TIMESTAMP_FILE", file_.string()},
        {"FAKETIME_NO_CACHE", "1"},
        {"FAKETIME_DONT_FAKE_MONOTONIC", "1"},
        {"NO_FAKE_STAT", "1"}};
    for (const auto& [name, value] : environment) ::setenv(name, value.c_str(), 1);
    LabSetup setup;
    setup.directory = lab.lab();
    setup.executable = lab.state().executable;
    const auto up = lab_up(setup, {}, {});
    for (const auto& [name, value] : environment) ::unsetenv(name);
    REQUIRE_MESSAGE(up, up.error().message);
  }
  void set(std::chrono::seconds difference) const {
    const Path next = file_.string() + ".next";
    REQUIRE(real_file_system().write(next, fmt::format("{:+}", difference.count())));
    REQUIRE(real_file_system().rename(next, file_));
  }

 private:
  Path file_;
};

/// Sets the clock back by ten minutes while a round waits for a transaction: it gives no watermark, though
/// the transaction ends in time.
void set_back_within_a_round(const LabFixture& lab, const PrimaryClock& clock) {
  Connection gate = lab.primary(), busy = lab.primary(), asking = lab.primary();
  REQUIRE(busy.execute("SET application_name = 'busy'"));
  REQUIRE(asking.execute("SET application_name = 'asking'"));
  const auto wait_for = [&](const std::string& state) {
    const std::string sql = "SELECT count(*) FROM pg_stat_activity WHERE " + state;
    REQUIRE(wait_until([&] { return lab.value(sql) == "1"; }, kPatience));
  };
  REQUIRE(gate.execute("SELECT pg_advisory_lock(7)"));
  auto statement = std::async(std::launch::async, [&] {
    return busy.execute("SELECT pg_current_xact_id(); SELECT pg_advisory_lock(7)");
  });
  wait_for("application_name = 'busy' AND wait_event = 'advisory'");
  auto round = std::async(std::launch::async, [&] { return take_watermark(asking, {1}, real_clock(), {}); });
  wait_for("application_name = 'asking' AND query LIKE '%prepared_may_commit%'");
  clock.set(-600s);
  REQUIRE(gate.execute("SELECT pg_advisory_unlock(7)"));
  REQUIRE(statement.get());
  const auto taken = round.get();
  REQUIRE_MESSAGE(taken, taken.error().message);
  CHECK_FALSE(taken->taken);
  CHECK(taken->reason == "the primary's clock was set during the round");
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("silence: behind a segment switch, and with a transaction that is prepared and committed later") {
  LabFixture lab(LabOptions{.settings = {{"autovacuum", "off"}, {"max_prepared_transactions", "2"}}});
  tune_manager(lab);
  REQUIRE(run_load(lab.load_setup(2, 0.3), {}, {}));
  lab.ask({"backup"});
  Connection session = lab.primary();
  REQUIRE(session.execute("BEGIN"));
  const auto open = session.query(
      "INSERT INTO test_data (id, writer, payload) VALUES (-1, 99, 'prepared') RETURNING xmin::text");
  REQUIRE(open);
  REQUIRE(session.execute("PREPARE TRANSACTION 'later'"));
  WrittenRows rows = ledger_rows(lab);
  rows.emplace_back(-1, static_cast<std::uint32_t>(open->integer(0, 0)));
  rows.emplace_back(-2, commit_row(lab, -2));

  const Timestamp quiet = wait_for_silence(lab);
  const auto lsn = parse_lsn(window_of(lab).at("watermark").at("lsn").get<std::string>());
  CHECK(to_string(*lsn) == lab.value("SELECT pg_current_wal_insert_lsn()"));
  CHECK(lsn->value % kSegmentBytes == 0x28);  // a page header that no record follows
  const std::vector<std::string> silent{"--to-time", to_rfc3339(quiet)};
  {
    const WaldumpOracle oracle = oracle_of(lab);
    check_restore(lab, oracle, rows, {"silence behind a switch", silent, oracle.at_end()});
  }

  REQUIRE(session.execute("COMMIT PREPARED 'later'"));
  lab.wait_captured();
  const WaldumpOracle oracle = oracle_of(lab);
  const Asker ask(lab, oracle);
  const Question before = ask.time("the silence before it was committed", quiet, false);
  CHECK(oracle.next_commit(*before.cut)->xid == rows[rows.size() - 2].second);
  ask.check(before);
  const Timestamp later = wait_for_silence(lab);
  check_restore(lab, oracle, rows,
                {"silence behind the commit", {"--to-time", to_rfc3339(later)}, oracle.at_end()});
}

TEST_CASE("silence: the primary's clock is set back, and everybody says so until it has caught up") {
  LabFixture lab(LabOptions{.settings = {{"autovacuum", "off"}}});
  tune_manager(lab);
  const PrimaryClock clock(lab);
  REQUIRE(run_load(lab.load_setup(2, 0.3), {}, {}));
  lab.ask({"backup"});
  WrittenRows rows = ledger_rows(lab);
  rows.emplace_back(-1, commit_row(lab, -1));
  lab.wait_captured();
  const Timestamp quiet = wait_for_silence(lab);
  const std::vector<std::string> to_quiet{"--json", "plan", "--to-time", to_rfc3339(quiet)};
  CHECK(lab.walback(to_quiet).ok());
  CHECK(window_of(lab).at("clock_set_back").is_null());

  clock.set(-300s);
  // Nothing is written: the manager's own look at the clock tells.
  REQUIRE(wait_until([&] { return window_of(lab).at("clock_set_back").is_object(); }, kPatience));
  const WalbackRun doubted = lab.walback(to_quiet);
  CHECK(doubted.exit_code == 4);
  CHECK_MESSAGE(contains(doubted.out, ": the primary's clock was set back"), doubted.all());
  const WalbackRun status = lab.walback({"status"});
  CHECK_MESSAGE(contains(status.out + status.err, "the primary's clock was set back: at 0/"), status.all());
  CHECK(wait_until(
      [&] {
        const auto log = real_file_system().read(lab.state().walback_log());
        return log && contains(*log, "watermark_time_went_back");
      },
      kPatience));
  set_back_within_a_round(lab, clock);

  // Commits of the second time, behind and stamped before those of the first.
  for (std::int64_t id = -3; id <= -2; ++id) rows.emplace_back(id, commit_row(lab, id));
  lab.wait_captured();
  const WaldumpOracle oracle = oracle_of(lab);
  const Asker ask(lab, oracle);
  const auto commits = oracle.commits();
  const auto first_time = std::ranges::find(commits, rows[rows.size() - 3].second, &DumpedEnd::xid);
  REQUIRE(first_time != commits.end());
  const Question twice = ask.time("a time that came twice", {first_time->time.unix_us - 1}, false);
  CHECK(twice.stragglers >= 3);
  ask.check(twice);
  std::vector<std::string> plan{"plan"};
  plan.insert(plan.end(), twice.target.begin(), twice.target.end());
  CHECK_MESSAGE(contains(lab.walback(plan).out, "the primary's clock was set back, by "),
                lab.walback(plan).all());
  check_restore(lab, oracle, rows,
                ask.xid("a transaction of the second time", rows[rows.size() - 2].second, false));

  clock.set(0s);
  REQUIRE(wait_until([&] { return lab.walback(to_quiet).ok(); }, kPatience));
  CHECK(window_of(lab).at("clock_set_back").is_null());
}
