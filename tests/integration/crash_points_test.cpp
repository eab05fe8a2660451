#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <set>

#include "integration/support/crash.h"
#include "lab/lab_processes.h"
#include "os/process.h"
#include "os/system.h"
#include "pg/binaries.h"

/// Killed at each crash point (os/crash_point.h), then run again: the same answers, no half backup, no half
/// restore, nothing of the archive lost.
using namespace walback;
using namespace walback::test;
using namespace std::chrono_literals;

namespace {

struct Kill {
  std::string label;
  int nth = 1;
};

/// Everything that the catalog knows and the disk tells; a time at which something was noticed is no such
/// thing.
Json answers(const LabFixture& lab) {
  Json all;
  for (const char* what : {"segments", "backups", "timelines", "restores"})
    all[what] = lab.ask({"list", what});
  all["commits"] = lab.ask({"commits"});
  Json status = lab.walback({"--json", "status"}).json;
  for (Json& gap : status.at("gaps")) gap.erase("detected_at");
  all["gaps"] = status.at("gaps");
  all["window"] = status.at("recoverable_window");
  return all;
}

void remove_catalog(const LabFixture& lab) {
  for (const char* suffix : {"", "-wal", "-shm"})
    REQUIRE(real_file_system().remove_tree(lab.archive() / (std::string("catalog.sqlite") + suffix)));
}

/// Path and bytes of every file below, with what it holds: nothing of it may differ after a kill.
std::vector<std::string> contents(const Path& directory) {
  std::vector<std::string> found;
  for (const std::string& name : names_in(directory)) {
    const Path path = directory / name;
    if (real_file_system().stat(path)->kind == FileKind::directory) {
      for (std::string& below : contents(path)) found.push_back(std::move(below));
    } else {
      const std::string bytes = real_file_system().read(path, 1ULL << 30).value();
      found.push_back(
          fmt::format("{} {} {:x}", path.string(), bytes.size(), std::hash<std::string>()(bytes)));
    }
  }
  return found;
}

/// A base backup, WAL of several small segments behind it, a table that was dropped, and no service.
void fill(LabFixture& lab) {
  lab.execute("CREATE TABLE filler AS SELECT i FROM generate_series(1, 1000) i");
  static_cast<void>(lab.ask({"backup"}));
  lab.execute("CREATE TABLE gone (id int)");
  for (int round = 0; round < 3; ++round) {
    lab.execute("INSERT INTO filler SELECT i FROM generate_series(1, 1000) i");
    lab.execute("SELECT pg_switch_wal()");
  }
  lab.execute("DROP TABLE gone");
  lab.execute("INSERT INTO filler SELECT i FROM generate_series(1, 1000) i");
  lab.wait_captured();
}
constexpr std::int64_t kRows = 5'000;

std::vector<std::string> restore_to_latest(const Path& into, std::uint16_t port) {
  return {"restore", "--to-latest", "--into", into.string(), "--port", std::to_string(port)};
}

void check_rows(const Path& directory, std::uint16_t port) {
  auto connection = Connection::open(fmt::format("host='{}' port={} user=postgres dbname=postgres",
                                                 (directory / "walback" / "socket").string(), port));
  REQUIRE_MESSAGE(connection, connection.error().message);
  CHECK(connection->query("SELECT count(*) FROM filler")->integer(0, 0) == kRows);
  CHECK(connection->query("SELECT pg_is_in_recovery()::int")->integer(0, 0) == 0);
}

bool is_unnamed(const std::string& name) {
  return name.front() == '.' || name.find(".json") != std::string::npos;
}

}  // namespace

TEST_CASE("crash points: a catalog killed while it is built and filled ends like one built in one go") {
  LabFixture lab({.segment_size_mb = 1});
  fill(lab);
  lab.kill_services();
  // What pg_receivewal writes when it follows a promotion.
  REQUIRE(real_file_system().write(lab.archive() / "wal" / "0001" / "00000002.history",
                                   "1\t0/3000000\tno recovery target specified\n"));
  remove_catalog(lab);
  const Json expected = answers(lab);
  CHECK(expected.at("commits").size() >= 7);
  CHECK(expected.at("timelines").size() == 2);
  const auto archive = contents(lab.archive() / "wal");

  for (const Kill& kill : std::vector<Kill>{{"catalog.created"},
                                            {"catalog.backups_registered"},
                                            {"catalog.journal_replayed"},
                                            {"intake.timeline_taken"},
                                            {"intake.segment_read"},
                                            {"intake.segment_stored"},
                                            {"intake.segment_read", 3},
                                            {"intake.segment_stored", 3},
                                            {"intake.all_stored"}}) {
    CAPTURE(kill.label);
    remove_catalog(lab);
    killed_at(lab, kill.label, {"list", "segments"}, kill.nth);
    CHECK(answers(lab) == expected);
  }
  REQUIRE(real_file_system().write(lab.archive() / "catalog.sqlite", std::string(8192, 'x')));
  killed_at(lab, "catalog.set_aside", {"list", "segments"});
  CHECK(answers(lab) == expected);
  CHECK(real_file_system().read(lab.archive() / "catalog.sqlite.damaged") == std::string(8192, 'x'));
  CHECK(contents(lab.archive() / "wal") == archive);
}

TEST_CASE("crash points: the WAL manager killed between journal and catalog, and while it says how it is") {
  LabFixture lab({.segment_size_mb = 1});
  static_cast<void>(lab.ask({"backup"}));
  lab.kill_services();
  REQUIRE(real_file_system().remove_tree(lab.archive() / "journal.jsonl"));
  remove_catalog(lab);
  const auto capture = real_processes().spawn(lab.command({"capture"}), [](std::string_view) {});
  REQUIRE(capture);
  for (const char* label : {"publish.written", "publish.synced", "publish.renamed"})
    killed_at(lab, label, {"manage"});
  killed_at(lab, "journal.appended", {"manage"});
  (*capture)->stop(kStopGrace);
  const std::string lines = real_file_system().read(lab.archive() / "journal.jsonl").value();
  const std::size_t last = lines.rfind("{\"at\"");
  const Json watermark = parse_json(lines.substr(last), "the journal's last line").value();
  REQUIRE(watermark.at("kind") == "watermark");

  // The next manager starts as if nothing had been, and what only the journal holds is found.
  {
    const auto manage = real_processes().spawn(lab.command({"manage"}), [](std::string_view) {});
    REQUIRE(manage);
    CHECK(wait_until(
        [&] {
          const auto text = real_file_system().read(lab.archive() / "manage.status");
          return text && text->find("\"current\"") != std::string::npos;
        },
        30s));
    CHECK((*manage)->stop(kStopGrace).code == 0);
  }
  CHECK(!exists(real_file_system(), lab.archive() / "manage.status.tmp"));
  remove_catalog(lab);
  const Json window = lab.walback({"--json", "status"}).json.at("recoverable_window");
  REQUIRE_MESSAGE(window.at("watermark").is_object(), window.dump());
  CHECK(parse_lsn(window.at("watermark").at("lsn").get<std::string>()).value() >=
        parse_lsn(watermark.at("lsn").get<std::string>()).value());
}

TEST_CASE(
    "crash points: a base backup killed at each of its steps has no name, or is whole; the next works") {
  LabFixture lab({.segment_size_mb = 1});
  lab.execute("CREATE TABLE filler AS SELECT i FROM generate_series(1, 1000) i");
  std::set<std::string> complete;
  const auto look = [&](const std::string& label) {
    CAPTURE(label);
    std::size_t found = 0;
    for (const std::string& name : names_in(lab.archive() / "backups")) {
      if (is_unnamed(name)) continue;
      ++found;
      if (!complete.insert(name).second) continue;
      const auto verified = walback::run({find_binaries(Path{})->program("pg_verifybackup"),
                                          {"-n", "-q", (lab.archive() / "backups" / name).string()},
                                          {},
                                          "/"},
                                         60s);
      REQUIRE(verified);
      CHECK_MESSAGE(verified->status.success(), name << ": " << verified->err);
    }
    CHECK(found == complete.size());
    const Json listed = lab.ask({"list", "backups"});
    CHECK(listed.size() == complete.size());
    for (const Json& backup : listed) CHECK(backup.at("problem").is_null());
  };
  for (const char* label :
       {"backup.started", "backup.copied", "backup.verified", "publish.written", "publish.renamed",
        "backup.facts_published", "backup.synced", "backup.named", "backup.name_durable"}) {
    killed_at(lab, label, {"backup"});
    look(label);
  }
  CHECK(complete.size() == 2);  // killed behind their rename
  killed_at(lab, "backup.synced", {"backup"});
  killed_at(lab, "backup.leftover_removed", {"backup"});
  look("backup.leftover_removed");
  CHECK(lab.ask({"backup"}).at("usable") == true);
  look("the last one");
  CHECK(complete.size() == 3);
  CHECK(names_in(lab.archive() / "backups").size() == 6);  // each with its facts, and nothing else
}

TEST_CASE("crash points: a restore killed at each of its steps is wiped and done again, and proven") {
  LabFixture lab({.segment_size_mb = 1});
  fill(lab);
  lab.kill_services();
  static_cast<void>(lab.ask({"list", "segments"}));
  const auto wal = contents(lab.archive() / "wal");
  const Path into = lab.lab() / "copy";
  const std::uint16_t port = free_port();
  const auto restore = restore_to_latest(into, port);
  const auto begins_anew = [&](const std::string& said) {
    return said.find(fmt::format("'{}' holds an unfinished restore", into.string())) != std::string::npos;
  };
  // One kill after the other into the same directory: each run first has to deal with what the one before
  // left, whose server may still be running.
  bool left = false;
  for (const Kill& kill : std::vector<Kill>{{"journal.appended"},
                                            {"restore.directory_made"},
                                            {"publish.written"},
                                            {"restore.marked"},
                                            {"restore.base_copied"},
                                            {"restore.settings_written"},
                                            {"restore.segment_spooled", 2},
                                            {"restore.server_started"},
                                            {"restore.entry_wiped", 3},
                                            {"restore.stop_reached"},
                                            {"publish.synced", 3},
                                            {"restore.base_verified"},
                                            {"publish.renamed", 4},
                                            {"restore.promoted"},
                                            {"restore.durable"},
                                            {"restore.proof_published"},
                                            {"publish.synced", 6},
                                            {"restore.released"}}) {
    CAPTURE(kill.label);
    const WalbackRun run = killed_at(lab, kill.label, restore, kill.nth);
    if (kill.label != "journal.appended") {
      CHECK_MESSAGE(begins_anew(run.all()) == left, run.all());
      left =
          kill.label != "restore.directory_made" && exists(real_file_system(), into / "walback-restore.json");
    }
    CHECK(contents(lab.archive() / "wal") == wal);
  }
  const WalbackRun last = lab.walback(restore);
  REQUIRE_MESSAGE(last.ok(), last.all());
  CHECK(begins_anew(last.all()));
  CHECK(last.out.find("proven: ") != std::string::npos);
  check_rows(into, port);
  CHECK(postgres_processes_below(into).value().size() > 0);
  CHECK(lab.walback({"clusters", "remove", "copy"}).ok());
  CHECK(postgres_processes_below(into).value().empty());
  CHECK(port_is_free(port));
}

TEST_CASE(
    "crash points: a restore killed behind its last step is a restored cluster, also for a new catalog") {
  LabFixture lab({.segment_size_mb = 1});
  fill(lab);
  lab.kill_services();
  const Path into = lab.lab() / "copy";
  const std::uint16_t port = free_port();
  for (const Kill& kill :
       std::vector<Kill>{{"restore.completed"}, {"restore.spool_removed"}, {"journal.appended", 2}}) {
    CAPTURE(kill.label);
    killed_at(lab, kill.label, restore_to_latest(into, port), kill.nth);
    const WalbackRun again = lab.walback(restore_to_latest(into, port));
    CHECK_MESSAGE(again.exit_code == exit_code(ErrorKind::conflict), again.all());
    CHECK(again.err.find("holds the restored cluster 'copy' (complete)") != std::string::npos);
    check_rows(into, port);
    if (kill.label == "journal.appended") remove_catalog(lab);
    const Json clusters = lab.ask({"clusters"});
    REQUIRE(clusters.size() == 1);
    CHECK(clusters[0].at("state") == "complete");
    CHECK(clusters[0].at("server") == "running");
    CHECK(lab.walback({"clusters", "remove", "copy"}).ok());
    CHECK(!exists(real_file_system(), into));
  }
}
