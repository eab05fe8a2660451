#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>

#include "base/text.h"
#include "catalog/archive_layout.h"
#include "catalog/journal.h"
#include "integration/support/lab_fixture.h"
#include "os/system.h"

/// `walback verify` over an archive that a real PostgreSQL filled: every byte that changes is found, named
/// with what it makes unreachable, refused by plans, and forgiven when it is mended.
using namespace walback;
using namespace walback::test;
using namespace std::chrono_literals;

namespace {

FileSystem& files() {
  return real_file_system();
}

Path world_directory();

/// Another byte at `offset`, as when a disk rots: at no instant does the file show that it changed.
void rot(const Path& path, std::uint64_t offset) {
  struct stat before {};
  REQUIRE(::stat(path.c_str(), &before) == 0);
  std::string bytes = files().read(path, 1ULL << 30).value();
  REQUIRE(offset < bytes.size());
  bytes[offset] = static_cast<char>(bytes[offset] ^ 0x5A);
  const Path beside = world_directory() / "rotten";
  REQUIRE(files().write(beside, bytes));
  const std::array<timespec, 2> times{before.st_atim, before.st_mtim};
  REQUIRE(::utimensat(AT_FDCWD, beside.c_str(), times.data(), 0) == 0);
  REQUIRE(files().rename(beside, path));
}

/// The same byte back again.
void mend(const Path& path, std::uint64_t offset) {
  rot(path, offset);
}

/// Two base backups with finished segments before, between and behind them, 1 MB each.
struct World {
  LabFixture lab{{.segment_size_mb = 1}};
  std::string first, second;
  std::vector<std::string> segments;  ///< those that lie between the two, finished, in order

  World() {
    lab.execute("CREATE TABLE marks (id int)");
    first = lab.ask({"backup"}).at("id");
    write(4);
    second = lab.ask({"backup"}).at("id");
    write(2);
    lab.wait_captured();
    const Json backups = lab.ask({"list", "backups"});
    const auto lsn = [](const Json& text) { return parse_lsn(text.get<std::string>()).value(); };
    for (const Json& row : lab.ask({"list", "segments"})) {
      if (lsn(row.at("start_lsn")) > lsn(backups[0].at("stop_lsn")) &&
          lsn(row.at("valid_end_lsn")) <= lsn(backups[1].at("start_lsn")))
        segments.push_back(row.at("segment"));
    }
    REQUIRE(segments.size() >= 3);
  }
  void write(int count) const {
    for (int i = 0; i < count; ++i) {
      lab.execute("INSERT INTO marks SELECT generate_series(1, 500)");
      lab.execute("SELECT pg_switch_wal()");
    }
  }
  [[nodiscard]] Path segment(std::size_t index) const {
    return lab.archive() / "wal" / "0001" / segments[index];
  }
  [[nodiscard]] Path backup_file(const std::string& id, const std::string& name) const {
    return lab.archive() / "backups" / id / name;
  }
  /// A position in the segment, far behind where it is made to rot.
  [[nodiscard]] std::string end_of(std::size_t index) const {
    for (const Json& row : lab.ask({"list", "segments"})) {
      if (row.at("segment") == segments[index]) return row.at("last_record_lsn");
    }
    FAIL("not listed");
    return "";
  }
  [[nodiscard]] WalbackRun verify(std::vector<std::string> options = {}) const {
    options.insert(options.begin(), {"--json", "verify"});
    return lab.walback(options);
  }
};

World& world() {
  static World made;
  return made;
}

Path world_directory() {
  return world().lab.directory();
}

std::vector<std::string> subjects(const WalbackRun& run) {
  std::vector<std::string> found;
  for (const Json& finding : run.json.at("findings")) {
    if (finding.at("severity") == "wrong")
      found.push_back(Path(finding.at("subject").get<std::string>()).filename());
  }
  return found;
}

const Json& only_finding(const WalbackRun& run) {
  REQUIRE_MESSAGE(run.exit_code == exit_code(ErrorKind::findings), run.all());
  REQUIRE_MESSAGE(run.json.at("findings").size() == 1, run.all());
  return run.json.at("findings").front();
}

}  // namespace

TEST_CASE("verify: beside running services, once whole, then what is new") {
  World& w = world();
  const WalbackRun first = w.verify({"--all"});
  REQUIRE_MESSAGE(first.ok(), first.all());
  CHECK(first.json.at("findings").empty());
  CHECK(first.json.at("segments").at("read").get<std::size_t>() >= w.segments.size());
  CHECK(first.json.at("backups") == Json{{"read", 2}, {"remembered", 0}});
  w.write(1);
  w.lab.wait_captured();
  const WalbackRun second = w.verify();
  REQUIRE_MESSAGE(second.ok(), second.all());
  CHECK(second.json.at("segments").at("remembered").get<std::size_t>() >= w.segments.size());
  CHECK(second.json.at("segments").at("read").get<int>() <= 3);
  CHECK(second.json.at("backups") == Json{{"read", 0}, {"remembered", 2}});
  CHECK(w.verify({"--all"}).json.at("segments").at("remembered") == 0);
  const Json status = w.lab.ask({"status"});
  CHECK(status.at("assurance").at("last_verification").at("findings") == 0);
}

TEST_CASE("verify: a rotten segment is found, named, refused by plans, and forgiven when it is mended") {
  World& w = world();
  // While the services run: the manager holds the intake's lock.
  const std::uint64_t place = 200;
  const std::string end = w.end_of(1);
  rot(w.segment(1), place);
  CHECK_MESSAGE(w.verify().ok(), "what was right once and shows no change is not read again");
  const WalbackRun all = w.verify({"--all"});
  const Json finding = only_finding(all);
  CHECK(Path(finding.at("subject").get<std::string>()) == w.segment(1));
  const std::string unreachable = finding.at("unreachable");
  CHECK_MESSAGE(unreachable.find("until base backup " + w.second + " is consistent") != std::string::npos,
                unreachable);
  // Refused at once: before the manager has looked again.
  const WalbackRun refused = w.lab.walback({"--json", "plan", "--to-lsn", end});
  CHECK_MESSAGE(refused.exit_code == exit_code(ErrorKind::corrupt), refused.all());
  CHECK(w.lab.ask({"plan", "--to-latest"}).at("backup").at("id") == w.second);
  mend(w.segment(1), place);
  // The manager's next full scan, or without one the command's own pass, takes the mark away.
  w.lab.kill_services();
  const WalbackRun mended = w.verify();
  CHECK_MESSAGE(mended.ok(), mended.all());
  w.lab.start_services();
}

TEST_CASE("verify: a base backup whose bytes differ is found, not used, and usable again when it is mended") {
  World& w = world();
  const Path file = w.backup_file(w.second, "PG_VERSION");
  const Path big = w.backup_file(w.second, "global/1262");
  rot(big, 100);
  CHECK(w.verify({"--backups-only"}).ok());
  const WalbackRun found = w.verify({"--all"});
  CHECK(subjects(found) == std::vector<std::string>{"base backup " + w.second});
  CHECK(only_finding(found).at("text").get<std::string>().find("1262") != std::string::npos);
  CHECK(w.lab.ask({"plan", "--to-latest"}).at("backup").at("id") == w.first);
  // Nothing but a verification can tell that it is right again.
  mend(big, 100);
  CHECK(w.lab.ask({"plan", "--to-latest"}).at("backup").at("id") == w.first);
  CHECK(w.verify().ok());
  CHECK(w.lab.ask({"plan", "--to-latest"}).at("backup").at("id") == w.second);

  REQUIRE(files().rename(file, w.lab.archive() / "aside"));
  CHECK(only_finding(w.verify()).at("text").get<std::string>().find("PG_VERSION") != std::string::npos);
  REQUIRE(files().rename(w.lab.archive() / "aside", file));
  CHECK(w.verify().ok());
}

TEST_CASE("verify: what is missing, and names that are none of ours") {
  World& w = world();
  REQUIRE(files().write(w.lab.archive() / "wal" / "0001" / "notes.txt", "hello"));
  REQUIRE(files().rename(w.segment(2), w.lab.archive() / "aside"));
  const Path journal = w.lab.archive() / "journal.jsonl";
  const std::string lines = files().read(journal).value();
  REQUIRE(files().append_durably(journal, "{\"at\": half a line\n"));
  const WalbackRun found = w.verify();
  CHECK(found.exit_code == exit_code(ErrorKind::findings));
  CHECK(subjects(found) == std::vector<std::string>{"journal.jsonl", w.segments[2]});
  CHECK(found.json.at("findings").size() == 3);
  // What was appended meanwhile stays.
  std::string mended = files().read(journal).value();
  mended.erase(lines.size(), mended.find('\n', lines.size()) + 1 - lines.size());
  REQUIRE(files().write(journal, mended));
  REQUIRE(files().rename(w.lab.archive() / "aside", w.segment(2)));
  REQUIRE(files().remove(w.lab.archive() / "wal" / "0001" / "notes.txt"));
  CHECK(w.lab.walback({"check"}).all().find("verification") != std::string::npos);
  w.lab.kill_services();
  CHECK(w.verify().ok());
  w.lab.start_services();
}

TEST_CASE("verify: killed in its midst, the next one goes on from there") {
  World& w = world();
  // In the journal: that everything is read anew, the WAL, the first base backup, which the catalog then
  // lacks.
  Command killed = w.lab.command({"verify", "--all"});
  killed.environment.emplace_back("WALBACK_CRASH_AT", "journal.appended:3");
  const auto died = run(killed, 2min);
  REQUIRE(died);
  CHECK(died->status.signal == SIGKILL);
  const WalbackRun next = w.verify();
  REQUIRE_MESSAGE(next.ok(), next.all());
  CHECK(next.json.at("segments").at("remembered").get<std::size_t>() >= w.segments.size());
  CHECK(next.json.at("segments").at("read").get<int>() <= 3);
  CHECK(next.json.at("backups") == Json{{"read", 2}, {"remembered", 0}});
}

TEST_CASE(
    "verify --ledger: a restored cluster's rows, up to its own stop; each kind of difference is found") {
  World& w = world();
  LoadSetup setup = w.lab.load_setup(2, 1);
  setup.rate = 200;
  BackgroundLoad(setup).finish();
  w.lab.wait_captured();
  const std::string middle = w.lab.value("SELECT xmin FROM test_data ORDER BY id OFFSET 40 LIMIT 1");
  const auto cluster = w.lab.restore({"--to-xid", middle});
  const WalbackRun good = w.verify({"--ledger", w.lab.ledger().string()});
  REQUIRE_MESSAGE(good.ok(), good.all());
  CHECK(good.json.at("confirmed").get<int>() >= 30);
  CHECK(good.json.at("later").get<int>() >= 30);
  REQUIRE(
      w.lab.connect(cluster).execute("INSERT INTO test_data (id, writer, payload) VALUES (1, 7, 'nobody sent "
                                     "this'); DELETE FROM test_data WHERE id = "
                                     "(SELECT min(id) FROM test_data WHERE id > 1)"));
  const WalbackRun bad =
      w.verify({"--ledger", w.lab.ledger().string(), "--cluster", cluster.directory.filename()});
  CHECK_MESSAGE(bad.exit_code == exit_code(ErrorKind::findings), bad.all());
  CHECK(bad.json.at("lost") == 1);
  CHECK(bad.json.at("unknown") == 1);
  CHECK(bad.json.at("differences") == 2);
  CHECK(bad.json.at("first").size() == 2);
  w.lab.stop(cluster);
  CHECK(w.verify({"--ledger", w.lab.ledger().string()}).exit_code == exit_code(ErrorKind::unavailable));
}

TEST_CASE("verify: a second one is refused with the pid of the first") {
  World& w = world();
  const ArchiveLayout layout{w.lab.archive()};
  const auto lock = FileLock::take(layout.lock("verify"), "verify");
  REQUIRE(lock);
  const WalbackRun second = w.verify();
  CHECK(second.exit_code == exit_code(ErrorKind::conflict));
  CHECK(second.json.at("error").at("message").get<std::string>().find(fmt::format("pid {}", ::getpid())) !=
        std::string::npos);
}
