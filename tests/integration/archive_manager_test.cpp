#include <doctest/doctest.h>

#include <chrono>
#include <thread>

#include "archive/freshness.h"
#include "archive/intake.h"
#include "archive/manage_status.h"
#include "archive/manager.h"
#include "archive/mirror.h"
#include "archive/watermark.h"
#include "base/text.h"
#include "catalog/archive.h"
#include "integration/support/throwaway_server.h"
#include "os/system.h"
#include "pg/server.h"
#include "pg/slots.h"
#include "support/recording_log.h"

/// The WAL manager on a real server's WAL, captured by the real pg_receivewal.
using namespace walback;
using namespace std::chrono_literals;

namespace {

template <class T>
T require(Result<T> result) {
  if (!result) FAIL(render(result.error()));
  return std::move(*result);
}
void require(const Status& status) {
  if (!status) FAIL(render(status.error()));
}

bool wait_until(const std::function<bool()>& condition) {
  for (const auto deadline = std::chrono::steady_clock::now() + 60s;
       std::chrono::steady_clock::now() < deadline; std::this_thread::sleep_for(20ms))
    if (condition()) return true;
  return false;
}

/// A primary, pg_receivewal into a new archive, and the config of its manager.
struct CapturedServer {
  CapturedServer() {
    test::ThrowawayOptions options;
    options.wal_segment_size_mb = 1;
    options.settings = {{"max_wal_size", "64MB"}, {"autovacuum", "off"}, {"max_prepared_transactions", "4"}};
    server = require(test::ThrowawayServer::create(options));
    directory = require(make_temporary_directory("walback-archive"));
    config.archive = directory / "archive";
    config.primary.conninfo = server->conninfo();
    config.manage.interval = 200ms;
    config.manage.watermark_interval = 500ms;
    session.emplace(require(Connection::open(server->conninfo())));
    identity = require(server_identity(*session));
    const ArchiveLayout layout{config.archive};
    require(create_archive(files, layout, {identity.system_identifier, identity.segment_size}));
    require(files.create_directories(layout.epoch(1)));
    (void)require(create_slot(*session, "walback"));
    archive.emplace(require(open_archive(config, files, real_clock(), log)));
    start_receiver();
  }
  ~CapturedServer() {
    receiver.reset();
    session.reset();
    server.reset();
    (void)files.remove_tree(directory);
  }

  void start_receiver() {
    const Command command{server->binaries().program("pg_receivewal"),
                          {"--slot", "walback", "--synchronous", "--no-loop", "-D",
                           archive->layout.epoch(1).string(), "-d", server->conninfo()},
                          {},
                          "/"};
    receiver = require(real_processes().spawn(command, [](std::string_view) {}));
  }
  /// kill -9, and again from what it left: it writes its `.partial` anew from the start.
  void crash_receiver() {
    receiver->kill(SIGKILL);
    REQUIRE(receiver->wait(10s));
    // The server notices the loss a moment later; until then the slot is taken.
    REQUIRE(wait_until([&] {
      start_receiver();
      return !receiver->wait(300ms);
    }));
  }
  [[nodiscard]] Output program(const std::string& name, std::vector<std::string> arguments) const {
    return require(run({server->binaries().program(name), std::move(arguments), {{"TZ", "UTC"}}, "/"}, 2min));
  }
  void pgbench(std::vector<std::string> arguments) const {
    arguments.push_back(server->conninfo());
    const Output output = program("pgbench", std::move(arguments));
    REQUIRE_MESSAGE(output.status.success(), output.err);
  }
  /// Until pg_receivewal has written all that the server has flushed.
  void wait_for_capture() {
    const Lsn flushed = require(wal_positions(*session)).flush;
    REQUIRE(wait_until([&] {
      for (const ReplicationClient& client : require(replication_clients(*session)))
        if (client.flush_lsn && *client.flush_lsn >= flushed) return true;
      return false;
    }));
  }
  [[nodiscard]] Catalog catalog() const { return require(Catalog::open_read_only(archive->catalog_path)); }

  FileSystem& files = real_file_system();
  std::unique_ptr<test::ThrowawayServer> server;
  Path directory;
  Config config;
  RecordingLog log;
  std::optional<Connection> session;
  ServerIdentity identity;
  std::optional<ArchiveContext> archive;
  std::unique_ptr<Process> receiver;
  ListBackups backups = []() -> Result<std::vector<BackupRow>> { return std::vector<BackupRow>{}; };
};

/// "COMMIT" lines of pg_waldump as "<lsn> <xid>".
std::vector<std::string> waldump_commits(const CapturedServer& lab, Lsn from, Lsn to) {
  const Output output =
      lab.program("pg_waldump", {"-p", lab.archive->layout.epoch(1).string(), "--rmgr=Transaction", "-s",
                                 to_string(from), "-e", to_string(to)});
  std::vector<std::string> found;
  for (const std::string_view line : split(output.out, '\n')) {
    if (line.find("desc: COMMIT") == std::string_view::npos) continue;
    const auto tx = line.find("tx:"), lsn = line.find("lsn: ");
    const std::string_view xid = trim(line.substr(tx + 3, line.find(',', tx) - tx - 3));
    const std::string_view at = line.substr(lsn + 5, line.find(',', lsn) - lsn - 5);
    found.push_back(to_string(*parse_lsn(at)) + " " + std::string(xid));
  }
  return found;
}

std::vector<std::string> indexed_commits(const Catalog& catalog, Lsn from, Lsn to) {
  std::vector<std::string> found;
  require(catalog.each_end({{1}, from, to}, [&](const TransactionEnd& end) {
    if (is_commit(end.kind)) found.push_back(to_string(end.lsn) + " " + std::to_string(end.xid));
    return true;
  }));
  return found;
}

struct RunningManager {
  explicit RunningManager(CapturedServer& lab)
      : setup{lab.config, *lab.archive, lab.backups},
        thread([this](const std::stop_token& stop) { ended = run_manager(setup, stop); }) {}
  ManagerSetup setup;
  Status ended;
  std::jthread thread;
};

}  // namespace

TEST_CASE(
    "manager: under load it indexes what pg_waldump sees, mirrors it, and covers the silence after it") {
  CapturedServer lab;
  lab.pgbench({"-i", "-q", "-s", "2"});
  {
    RunningManager manager(lab);
    {
      const std::jthread load([&] { lab.pgbench({"-n", "-c", "4", "-T", "4"}); });
      lab.wait_for_capture();
      lab.crash_receiver();
    }
    require(lab.session->execute("drop table pgbench_history"));
    const Lsn end = require(switch_wal(*lab.session));
    lab.wait_for_capture();
    require(bring_index_up_to_date(*lab.archive, lab.backups));
    const Catalog catalog = lab.catalog();
    const Lsn begin = *require(catalog.oldest_segment({1}))->first_record_lsn;
    const auto commits = waldump_commits(lab, begin, end);
    CHECK(commits.size() > 200);
    CHECK(indexed_commits(catalog, begin, end) == commits);
    CHECK(require(catalog.gaps()).empty());
    CHECK(require(catalog.moments({{1}, begin, end}, MomentKind::removal)).size() >= 1);
    CHECK_FALSE(lab.log.contains("ERROR"));

    // A watermark later than the last commit: the idle database is reachable up to then.
    const Timestamp quiet = require(server_clock(*lab.session));
    CHECK(wait_until([&] {
      const auto watermark = require(catalog.newest_watermark({1}));
      return watermark && watermark->time >= quiet;
    }));

    CHECK(wait_until([&] {
      const auto rows = lab.session->query(
          "select count(*) from walback.wal_segments where state = 'finished' and problem = ''");
      return rows && rows->integer(0, 0) > 3;
    }));
    manager.thread.request_stop();
    manager.thread.join();
    CHECK(manager.ended);
  }
  // The primary dies: what is on disk can still be judged.
  require(lab.session->execute("create table last_words ()"));
  lab.wait_for_capture();
  const std::string xid =
      require(lab.session->query("select xmin::text from pg_class where relname = 'last_words'")).text(0, 0);
  lab.server->kill_all();
  require(bring_index_up_to_date(*lab.archive, lab.backups));
  CHECK(require(lab.catalog().find_xid(static_cast<std::uint32_t>(*parse_decimal(xid)))).size() == 1);
}

TEST_CASE("manager: a primary that hangs delays neither the index nor the end") {
  CapturedServer lab;
  RunningManager manager(lab);
  require(lab.session->execute("create table t ()"));
  lab.wait_for_capture();
  CHECK(wait_until([&] { return exists(lab.files, lab.archive->layout.manage_status()); }));
  lab.server->signal_all(SIGSTOP);
  require(bring_index_up_to_date(*lab.archive, lab.backups));
  CHECK(wait_until([&] { return lab.log.contains("WARN archive primary_unusable"); }));
  const auto asked = std::chrono::steady_clock::now();
  manager.thread.request_stop();
  manager.thread.join();
  CHECK(manager.ended);
  CHECK(std::chrono::steady_clock::now() - asked < 20s);
  lab.server->signal_all(SIGCONT);
}

TEST_CASE("watermark: under load no commit contradicts the rule, and a careless order is contradicted") {
  CapturedServer lab;
  lab.pgbench({"-i", "-q", "-s", "2"});
  Connection connection = require(Connection::open(lab.server->conninfo()));
  std::vector<WatermarkRow> by_rule, careless;
  {
    const std::jthread load([&] { lab.pgbench({"-n", "-c", "8", "-j", "2", "-T", "5", "-N"}); });
    const auto until = std::chrono::steady_clock::now() + 5s;
    while (std::chrono::steady_clock::now() < until) {
      const WatermarkRound round = require(take_watermark(connection, {1}, real_clock(), {}));
      if (round.taken) by_rule.push_back(*round.taken);
      const Lsn flushed = require(wal_positions(connection)).flush;
      careless.push_back({{1}, flushed, require(server_clock(connection))});
    }
  }
  lab.wait_for_capture();
  require(bring_index_up_to_date(*lab.archive, lab.backups));
  const Catalog catalog = lab.catalog();
  const auto contradicted = [&](const std::vector<WatermarkRow>& watermarks) {
    std::size_t count = 0;
    for (const WatermarkRow& w : watermarks)
      if (require(catalog.commits_stamped_at_or_before({{1}, w.lsn, {INT64_MAX}}, w.time)).count != 0)
        ++count;
    return count;
  };
  MESSAGE("by rule: ", by_rule.size(), ", careless: ", careless.size());
  CHECK(by_rule.size() > 50);
  CHECK(contradicted(by_rule) == 0);
  CHECK(contradicted(careless) > 0);
}

TEST_CASE("watermark: an open transaction is no obstacle once idle, a prepared one neither") {
  CapturedServer lab;
  Connection other = require(Connection::open(lab.server->conninfo()));
  require(other.execute("create table t (id int)"));
  require(other.execute("begin"));
  require(other.execute("insert into t values (1)"));
  require(other.execute("prepare transaction 'one'"));
  require(other.execute("begin"));
  require(other.execute("insert into t values (2)"));
  const WatermarkRound round = require(take_watermark(*lab.session, {1}, real_clock(), {}));
  CHECK_MESSAGE(round.taken, round.reason);
}

TEST_CASE("idle: after the last foreign commit, cycles of the manager's work leave no xid and no record") {
  CapturedServer lab;
  lab.pgbench({"-i", "-q", "-s", "1"});
  Catalog catalog = require(open_or_rebuild_catalog(*lab.archive, lab.backups));
  Intake intake(*lab.archive, catalog);
  Mirror mirror(*lab.archive);
  WatermarkKeeper keeper(*lab.archive, 1ms);
  Connection watermarks = require(Connection::open(lab.server->conninfo()));
  ConnectionOptions off;
  off.synchronous_commit_off = true;
  Connection mirroring = require(Connection::open(lab.server->conninfo(), off));

  int rounds_written = 0;
  const auto cycle = [&] {
    lab.wait_for_capture();
    (void)require(intake.pass(Scan::all));
    if (require(mirror.due(catalog))) {
      ++rounds_written;
      (void)require(mirror.write(catalog, mirroring));
      // Nobody waits for the mirror's commit; the WAL writer flushes it soon.
      REQUIRE(wait_until([&] {
        const WalPositions at = require(wal_positions(watermarks));
        return at.flush >= at.insert;
      }));
    }
    const WatermarkRound round = require(take_watermark(watermarks, {1}, real_clock(), {}));
    if (round.taken) keeper.offer(*round.taken);
    (void)require(keeper.settle(catalog));
  };
  for (int i = 0; i < 3; ++i) cycle();
  CHECK(rounds_written == 1);
  CHECK(require(lab.session->query("select count(*) from walback.wal_segments")).integer(0, 0) > 3);

  const auto next_xid = [&] {
    return require(watermarks.query("select pg_snapshot_xmax(pg_current_snapshot())::text")).text(0, 0);
  };
  const std::string xid_before = next_xid();
  const Lsn quiet = require(wal_positions(watermarks)).insert;
  for (int i = 0; i < 100; ++i) cycle();
  CHECK(rounds_written == 1);
  CHECK(next_xid() == xid_before);
  // What the server itself writes while idle (running transactions, a checkpoint) is its own business.
  const Lsn now = require(wal_positions(watermarks)).insert;
  const Output dump = lab.program("pg_waldump", {"-p", (lab.server->data_directory() / "pg_wal").string(),
                                                 "-s", to_string(quiet), "-e", to_string(now)});
  for (const std::string_view line : split(dump.out, '\n'))
    CHECK_MESSAGE((line.empty() || line.find("rmgr: Standby") == 0 || line.find("rmgr: XLOG") == 0), line);

  // One foreign commit is one round, and then silence again.
  require(lab.session->execute("create table news ()"));
  for (int i = 0; i < 5; ++i) cycle();
  CHECK(rounds_written == 2);
}

TEST_CASE("mirror: a table of that name that somebody else owns is refused") {
  CapturedServer lab;
  require(lab.session->execute("create role mallory"));
  require(lab.session->execute("create schema walback authorization mallory"));
  Catalog catalog = require(open_or_rebuild_catalog(*lab.archive, lab.backups));
  Intake intake(*lab.archive, catalog);
  lab.wait_for_capture();
  (void)require(intake.pass(Scan::all));
  const auto written = Mirror(*lab.archive).write(catalog, *lab.session);
  REQUIRE_FALSE(written);
  CHECK(render(written.error()) ==
        "walback: schema walback belongs to role 'mallory', expected the role that walback connects as, or a "
        "superuser\n"
        "hint: Drop or rename it, change its owner, or set `manage: {mirror: false}` in walback.yaml.");
}
