#include "archive/manager.h"

#include <doctest/doctest.h>

#include <chrono>
#include <thread>

#include "archive/freshness.h"
#include "archive/manage_status.h"
#include "archive/mirror.h"
#include "catalog/archive.h"
#include "catalog/journal.h"
#include "intake_lab.h"
#include "support/temporary_directory.h"

using namespace walback;
using namespace walback::test;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

/// A real directory, a primary that does not answer.
struct ManagerLab {
  ManagerLab() {
    config.archive = directory.path() / "archive";
    config.primary.conninfo = "host=127.0.0.1 port=1 user=nobody dbname=nothing";
    config.manage.interval = milliseconds(100);
    require(create_archive(files, ArchiveLayout{config.archive}, IntakeLab::identity()));
    require(files.create_directories(ArchiveLayout{config.archive}.epoch(1)));
    archive.emplace(require(open_archive(config, files, real_clock(), log)));
  }

  void put(const WalBuilder& wal, SegmentName name, bool partial) {
    const Path path = segment_file(archive->layout, 1, name, partial, wal.size()).path;
    require(files.write(path, wal.segment(name)));
    if (!partial && exists(files, path.string() + ".partial"))
      require(files.remove(path.string() + ".partial"));
  }
  [[nodiscard]] Lsn indexed() {
    auto catalog = Catalog::open_read_only(archive->catalog_path);
    if (!catalog) return {};
    const auto newest = require(catalog->newest_segment({1}));
    return newest ? newest->valid_end_lsn : Lsn{};
  }
  bool wait_until(const std::function<bool()>& condition) {
    for (const auto deadline = std::chrono::steady_clock::now() + seconds(20);
         std::chrono::steady_clock::now() < deadline; std::this_thread::sleep_for(milliseconds(10)))
      if (condition()) return true;
    return false;
  }
  [[nodiscard]] std::optional<ManageStatus> status() {
    const auto text = files.read(archive->layout.manage_status());
    return text ? std::optional{require(parse_manage_status(*text, "manage.status"))} : std::nullopt;
  }

  TemporaryDirectory directory;
  FileSystem& files = real_file_system();
  RecordingLog log;
  Config config;
  std::optional<ArchiveContext> archive;
  ListBackups backups = []() -> Result<std::vector<BackupRow>> { return std::vector<BackupRow>{}; };
};

/// The manager in a thread, stopped at the end of the scope.
struct RunningManager {
  explicit RunningManager(ManagerLab& lab)
      : setup{lab.config, *lab.archive, lab.backups},
        thread([this](const std::stop_token& stop) { ended = run_manager(setup, stop); }) {}
  ManagerSetup setup;
  Status ended;
  std::jthread thread;
};

}  // namespace

TEST_CASE("manager: indexes what comes while the primary does not answer, and stops cleanly") {
  ManagerLab lab;
  WalBuilder wal;
  {
    RunningManager manager(lab);
    REQUIRE(lab.wait_until([&] { return lab.status().has_value(); }));
    for (std::uint64_t last = 1; last <= 3; ++last) {
      write_commits_into(wal, last, static_cast<std::uint32_t>(1000 * last));
      for (const SegmentName name : wal.segments()) lab.put(wal, name, name.number.value == last);
      CHECK(lab.wait_until([&] { return lab.indexed() == wal.end_lsn(); }));
    }
    CHECK(lab.wait_until([&] {
      return lab.status()->indexed == std::vector<ManageStatus::Indexed>{{{1}, wal.end_lsn()}};
    }));
    CHECK(lab.wait_until([&] { return lab.log.count("WARN archive primary_unusable") == 1; }));
    CHECK(lab.status()->state == ManageState::current);

    const auto second = run_manager(manager.setup, {});
    REQUIRE_FALSE(second);
    CHECK(second.error().kind == ErrorKind::conflict);
    CHECK(bring_index_up_to_date(*lab.archive, lab.backups));
    manager.thread.request_stop();
    manager.thread.join();
    CHECK(manager.ended);
  }
  CHECK(lab.status()->state == ManageState::stopped);
}

TEST_CASE("manager: a catalog that is taken away or damaged is built again") {
  ManagerLab lab;
  WalBuilder wal;
  write_commits_into(wal, 2);
  for (const SegmentName name : wal.segments()) lab.put(wal, name, name.number.value == 2);
  const WatermarkRow watermark{{1}, wal.end_lsn(), at(90'000)};
  require(append_journal(lab.files, lab.archive->layout.journal(), journal_entry(at(90'000), watermark)));
  RunningManager manager(lab);
  REQUIRE(lab.wait_until([&] { return lab.indexed() == wal.end_lsn(); }));
  for (const char* suffix : {"", "-wal", "-shm"}) {
    const Path path = lab.archive->catalog_path.string() + suffix;
    if (exists(lab.files, path)) require(lab.files.remove(path));
  }
  REQUIRE(lab.wait_until(
      [&] { return exists(lab.files, lab.archive->catalog_path) && lab.indexed() == wal.end_lsn(); }));
  auto catalog = require(Catalog::open_read_only(lab.archive->catalog_path));
  REQUIRE(require(catalog.newest_watermark({1})));
  CHECK(require(catalog.newest_watermark({1}))->time == at(90'000));
}

TEST_CASE("freshness: without a manager a command takes in by itself, also over a damaged catalog") {
  ManagerLab lab;
  WalBuilder wal;
  write_commits_into(wal, 2);
  for (const SegmentName name : wal.segments()) lab.put(wal, name, name.number.value == 2);
  REQUIRE(bring_index_up_to_date(*lab.archive, lab.backups));
  CHECK(lab.indexed() == wal.end_lsn());
  wal.commit({.xid = 9000, .time = at(9000)});
  lab.put(wal, segment(2), true);
  REQUIRE(bring_index_up_to_date(*lab.archive, lab.backups));
  CHECK(lab.indexed() == wal.end_lsn());

  require(lab.files.write(lab.archive->catalog_path, std::string(100'000, 'x')));
  REQUIRE(bring_index_up_to_date(*lab.archive, lab.backups));
  CHECK(lab.indexed() == wal.end_lsn());
  CHECK(lab.log.contains("ERROR archive catalog_damaged"));
  CHECK(exists(lab.files, lab.archive->catalog_path.string() + ".damaged"));
}

TEST_CASE("freshness: behind somebody who holds the lock and does not index, it gives up and says how far") {
  ManagerLab lab;
  WalBuilder wal;
  wal.commit({.xid = 100, .time = at(0)});
  lab.put(wal, segment(1), true);
  REQUIRE(bring_index_up_to_date(*lab.archive, lab.backups));
  const FileLock lock = require(FileLock::take(lab.archive->layout.lock(kIntakeLock), "the intake"));
  CHECK(bring_index_up_to_date(*lab.archive, lab.backups, {}, milliseconds(0)));
  wal.commit({.xid = 101, .time = at(1)});
  lab.put(wal, segment(1), true);
  const auto late = bring_index_up_to_date(*lab.archive, lab.backups, {}, milliseconds(100));
  REQUIRE_FALSE(late);
  CHECK(render(late.error()) == "walback: the WAL manager's index has not come as far as the WAL on disk (" +
                                    to_string(wal.end_lsn()) +
                                    " in 000000010000000000000001.partial)\n"
                                    "hint: It may be catching up: see manage.status in the archive or "
                                    "`walback status`, and try again.");
}

TEST_CASE("freshness: no archive, no answer") {
  ManagerLab lab;
  Config elsewhere = lab.config;
  elsewhere.archive = lab.directory.path() / "nothing";
  const auto opened = open_archive(elsewhere, lab.files, real_clock(), lab.log);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().kind == ErrorKind::not_found);
}

TEST_CASE("mirror: due only after a commit that is not its own") {
  IntakeLab lab;
  Mirror mirror(lab.archive);
  CHECK_FALSE(require(mirror.due(lab.catalog)));
  WalBuilder wal;
  wal.commit({.xid = 100, .time = at(0)});
  lab.grow(wal, segment(1));
  lab.pass();
  CHECK(require(mirror.due(lab.catalog)));
  require(lab.catalog.put_fact("mirror_seen", "1 " + to_string(wal.end_lsn())));
  CHECK_FALSE(require(mirror.due(lab.catalog)));

  // Its own commit, and an abort of anybody, are no reason; 4294967397 is xid 101 of the next epoch.
  require(lab.catalog.put_fact("mirror_xids", "99 4294967397"));
  wal.commit({.xid = 101, .time = at(1)});
  wal.abort({.xid = 102, .time = at(2)});
  lab.grow(wal, segment(1));
  lab.pass();
  CHECK_FALSE(require(mirror.due(lab.catalog)));
  wal.commit({.xid = 103, .time = at(3)});
  lab.grow(wal, segment(1));
  lab.pass();
  CHECK(require(mirror.due(lab.catalog)));

  // A removed row is a reason of its own, once.
  require(lab.catalog.put_fact("mirror_seen", "1 " + to_string(wal.end_lsn())));
  CHECK_FALSE(require(mirror.due(lab.catalog)));
  auto other = *require(lab.catalog.segment_with_ends(segment(1), 1));
  other.name = {{7}, {1}};
  other.commits = other.aborts = 0;
  require(lab.catalog.put_segment(other));
  require(lab.catalog.remove_segment(other.name, other.epoch));
  CHECK(require(mirror.due(lab.catalog)));
  require(lab.catalog.put_fact("mirror_removals", "1"));
  CHECK_FALSE(require(mirror.due(lab.catalog)));
}

TEST_CASE("mirror: it remembers its newest xids") {
  OwnXids own = OwnXids::parse("7 x 4294967303");
  CHECK(own.text() == "7 4294967303");
  CHECK(own.contains(7));
  for (std::uint64_t xid = 1'000; xid < 1'000 + OwnXids::kKept; ++xid) own.add(xid);
  CHECK_FALSE(own.contains(7));
  CHECK(own.contains(1'000));
}
