#include <doctest/doctest.h>

#include <chrono>
#include <future>
#include <map>
#include <set>
#include <thread>

#include "integration/support/throwaway_server.h"
#include "lab/ledger.h"
#include "lab/load.h"
#include "os/system.h"
#include "pg/connection.h"
#include "pg/server.h"
#include "support/temporary_directory.h"

using namespace walback;
using walback::test::ThrowawayOptions;
using walback::test::ThrowawayServer;

namespace {

std::unique_ptr<ThrowawayServer> make_server(std::vector<std::pair<std::string, std::string>> settings = {}) {
  ThrowawayOptions options;
  options.settings = std::move(settings);
  options.settings.emplace_back("track_commit_timestamp", "on");
  auto server = ThrowawayServer::create(options);
  REQUIRE_MESSAGE(server, server.error().message);
  return std::move(*server);
}

LoadSetup setup_for(const ThrowawayServer& server, const TemporaryDirectory& directory) {
  LoadSetup setup;
  setup.conninfo = server.socket_conninfo();
  setup.writers = 8;
  setup.seconds = 2;
  setup.ledger = directory.path() / "verification_log.json";
  return setup;
}

/// id → the xid that inserted it, as the server has it.
std::map<std::int64_t, std::uint32_t> rows_of(const ThrowawayServer& server) {
  auto connection = Connection::open(server.socket_conninfo());
  REQUIRE(connection);
  const auto rows = connection->query("SELECT id, xmin FROM test_data");
  REQUIRE(rows);
  std::map<std::int64_t, std::uint32_t> found;
  for (int i = 0; i < rows->count(); ++i) {
    found[rows->integer(i, 0)] = static_cast<std::uint32_t>(rows->integer(i, 1));
  }
  return found;
}

Ledger ledger_of(const LoadSetup& setup) {
  auto ledger = read_ledger(setup.ledger);
  REQUIRE(ledger);
  CHECK(ledger->damaged_lines == 0);
  return std::move(*ledger);
}

std::uint64_t count(const Ledger& ledger, LedgerState state) {
  return static_cast<std::uint64_t>(std::count_if(ledger.entries.begin(), ledger.entries.end(),
                                                  [&](const auto& entry) { return entry.state == state; }));
}

/// True as soon as `condition` holds, within 30 s.
template <class Condition>
bool eventually(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

struct Running {
  std::stop_source stop;
  std::atomic<std::uint64_t> acknowledged{0};
  std::future<Result<LoadFigures>> result;

  explicit Running(const LoadSetup& setup) {
    result = std::async(std::launch::async, [this, setup] {
      return run_load(
          setup, [this](const LoadFigures& now) { acknowledged = now.acknowledged; }, stop.get_token());
    });
  }
  LoadFigures finish() {
    auto figures = result.get();
    REQUIRE_MESSAGE(figures, figures.error().message);
    return *figures;
  }
};

}  // namespace

TEST_CASE(
    "load: every acknowledged row is there, with its xid, its LSNs around the commit and its commit's time") {
  const auto server = make_server();
  const TemporaryDirectory directory;
  const LoadSetup setup = setup_for(*server, directory);
  const auto figures = run_load(setup, {}, {});
  REQUIRE_MESSAGE(figures, figures.error().message);
  MESSAGE(figures->commits_per_second << " commits/s, p50 " << figures->latency_p50_us << " us, p99 "
                                      << figures->latency_p99_us << " us");
  CHECK(figures->failed == 0);
  CHECK(figures->in_doubt == 0);
  CHECK(figures->reconnects == 0);
  CHECK(figures->commits_per_second > 500);  // 2,000 with the machine for itself

  const Ledger ledger = ledger_of(setup);
  const auto rows = rows_of(*server);
  CHECK(ledger.entries.size() == figures->acknowledged);
  CHECK(rows.size() == ledger.entries.size());
  std::set<int> writers;
  std::uint64_t wrong = 0, disordered = 0;
  for (const LedgerEntry& entry : ledger.entries) {
    const auto row = rows.find(entry.id);
    if (row == rows.end() || row->second != entry.xid) ++wrong;
    if (!entry.insert_lsn_after || !entry.insert_lsn_before || !entry.commit_time || !entry.created_at ||
        !entry.acknowledged_us || entry.durable) {
      ++wrong;
      continue;
    }
    if (*entry.insert_lsn_before >= *entry.insert_lsn_after || *entry.commit_time < *entry.created_at ||
        *entry.acknowledged_us <= entry.sent_us) {
      ++disordered;
    }
    writers.insert(entry.writer);
  }
  CHECK(wrong == 0);
  CHECK(disordered == 0);
  CHECK(writers.size() == 8);
  auto connection = Connection::open(server->socket_conninfo());
  REQUIRE(connection);
  const LedgerEntry& last = ledger.entries.back();
  CHECK(*commit_timestamp(*connection, last.xid) == last.commit_time);
}

TEST_CASE("load: a rate is kept, a second run goes on in the same table and ledger") {
  const auto server = make_server();
  const TemporaryDirectory directory;
  LoadSetup setup = setup_for(*server, directory);
  setup.rate = 100;
  for (int run = 1; run <= 2; ++run) {
    const auto figures = run_load(setup, {}, {});
    REQUIRE(figures);
    CHECK(figures->acknowledged >= 150);
    CHECK(figures->acknowledged <= 202);
  }
  CHECK(rows_of(*server).size() == ledger_of(setup).entries.size());
}

TEST_CASE("load: one commit a writer and interval") {
  const auto server = make_server();
  const TemporaryDirectory directory;
  LoadSetup setup = setup_for(*server, directory);
  setup.writers = 2;
  setup.every = 0.5;
  setup.seconds = 1.9;
  const auto figures = run_load(setup, {}, {});
  REQUIRE(figures);
  CHECK(figures->acknowledged >= 6);
  CHECK(figures->acknowledged <= 8);
}

TEST_CASE(
    "load: the server is killed with -9 and comes back: acknowledged rows are there, doubts are settled "
    "right") {
  const auto server = make_server();
  const TemporaryDirectory directory;
  LoadSetup setup = setup_for(*server, directory);
  setup.seconds = 0;
  Running load(setup);
  for (int round = 0; round < 3; ++round) {
    const std::uint64_t before = load.acknowledged;
    REQUIRE(eventually([&] { return load.acknowledged > before + 200; }));
    server->kill_all();
    REQUIRE(server->start());
  }
  const std::uint64_t before = load.acknowledged;
  REQUIRE(eventually([&] { return load.acknowledged > before + 200; }));
  load.stop.request_stop();
  const LoadFigures figures = load.finish();
  CHECK(figures.reconnects >= 3);  // some of the eight may still be backing off at the next kill
  MESSAGE(figures.acknowledged << " acknowledged, " << figures.in_doubt << " in doubt, " << figures.failed
                               << " failed");
  CHECK(figures.in_doubt > 0);

  const auto rows = rows_of(*server);
  Ledger ledger = ledger_of(setup);
  CHECK(count(ledger, LedgerState::acknowledged) == figures.acknowledged);
  std::set<std::int64_t> known;
  for (const LedgerEntry& entry : ledger.entries) {
    known.insert(entry.id);
    if (entry.state == LedgerState::acknowledged) CHECK(rows.contains(entry.id));
    if (entry.state == LedgerState::failed) CHECK(!rows.contains(entry.id));
    CHECK(!entry.durable);
  }
  for (const auto& [id, xid] : rows) CHECK(known.contains(id));

  auto connection = Connection::open(server->socket_conninfo());
  REQUIRE(connection);
  const auto settled = settle_ledger(*connection, setup.ledger);
  REQUIRE_MESSAGE(settled, settled.error().message);
  CHECK(settled->in_doubt == figures.in_doubt);
  CHECK(settled->undecided == 0);
  ledger = ledger_of(setup);
  for (const LedgerEntry& entry : ledger.entries) {
    if (entry.state != LedgerState::in_doubt) continue;
    REQUIRE(entry.settled);
    CHECK((*entry.settled == Settlement::committed) == rows.contains(entry.id));
  }
  const auto again = settle_ledger(*connection, setup.ledger);
  REQUIRE(again);
  CHECK(again->in_doubt == 0);
}

TEST_CASE("load: commits that wait for a receiver that is not there are cancelled at the end, and in doubt") {
  const auto server = make_server({{"synchronous_standby_names", "nobody"}});
  const TemporaryDirectory directory;
  LoadSetup setup = setup_for(*server, directory);
  setup.writers = 3;
  setup.seconds = 1;
  const auto started = std::chrono::steady_clock::now();
  const auto figures = run_load(setup, {}, {});
  const auto took = std::chrono::steady_clock::now() - started;
  REQUIRE_MESSAGE(figures, figures.error().message);
  CHECK(took < std::chrono::seconds(1) + kLoadEnding);
  CHECK(figures->acknowledged == 0);
  CHECK(figures->in_doubt == 3);
  for (const LedgerEntry& entry : ledger_of(setup).entries) {
    CHECK(entry.problem == "canceling wait for synchronous replication due to user request");
    CHECK(entry.acknowledged_us);
    CHECK(!entry.durable);
  }
  auto connection = Connection::open(server->socket_conninfo());
  REQUIRE(connection);
  const auto settled = settle_ledger(*connection, setup.ledger);
  REQUIRE(settled);
  CHECK(settled->committed == 3);
}

TEST_CASE(
    "load: a server that is paused is hung up on when the time is up, and what it still does is in doubt") {
  const auto server = make_server();
  const TemporaryDirectory directory;
  LoadSetup setup = setup_for(*server, directory);
  setup.seconds = 2;
  const auto started = std::chrono::steady_clock::now();
  Running load(setup);
  REQUIRE(eventually([&] { return load.acknowledged > 100; }));
  server->signal_all(SIGSTOP);
  const LoadFigures figures = load.finish();
  const auto took = std::chrono::steady_clock::now() - started;
  server->signal_all(SIGCONT);
  CHECK(took < std::chrono::seconds(2) + kLoadEnding);
  CHECK(figures.acknowledged > 100);
  auto connection = Connection::open(server->socket_conninfo());
  REQUIRE(connection);
  REQUIRE(eventually([&] {
    const auto others =
        connection->query("SELECT FROM pg_stat_activity WHERE application_name = 'walback_load'");
    return others && others->count() == 0;
  }));
  const auto settled = settle_ledger(*connection, setup.ledger);
  REQUIRE(settled);
  CHECK(settled->undecided == 0);
  const auto rows = rows_of(*server);
  std::set<std::int64_t> expected;
  for (const LedgerEntry& entry : ledger_of(setup).entries) {
    if (entry.state == LedgerState::acknowledged || entry.settled == Settlement::committed) {
      expected.insert(entry.id);
    }
  }
  CHECK(expected.size() == rows.size());
  for (const auto& [id, xid] : rows) CHECK(expected.contains(id));
}

TEST_CASE("load: no server at the start is unreachable, and the ledger stays empty") {
  const TemporaryDirectory directory;
  LoadSetup setup;
  setup.conninfo = "host='" + directory.path().string() + "' user=postgres dbname=postgres";
  setup.ledger = directory.path() / "ledger";
  const auto figures = run_load(setup, {}, {});
  REQUIRE(!figures);
  CHECK(figures.error().kind == ErrorKind::unreachable);
  CHECK(ledger_of(setup).entries.empty());
}
