#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <thread>

#include "backup/backup_files.h"
#include "backup/base_backup.h"
#include "backup/usable.h"
#include "catalog/archive.h"
#include "integration/support/backup_world.h"
#include "os/system.h"
#include "pg/control_data.h"
#include "support/recording_log.h"

using namespace walback;
using namespace std::chrono_literals;
using namespace walback::test;

TEST_CASE("base backup: of a primary under load, checked, registered, and the same row from the disk alone") {
  World world;
  auto catalog = must(Catalog::open(world.archive.catalog()));
  std::atomic<bool> enough = false;
  std::thread load([&] {
    auto connection = Connection::open(world.server->conninfo());
    while (connection && !enough) {
      if (!connection->execute("INSERT INTO kept SELECT generate_series(1, 1000)")) break;
    }
  });
  Silent progress;
  const auto row = take_base_backup(world.setup(catalog), progress, {});
  enough = true;
  load.join();
  REQUIRE_MESSAGE(row, row.error().message);
  CHECK(row->start_lsn < row->stop_lsn);
  CHECK(row->server_version_num == static_cast<std::uint32_t>(world.identity.server_version_num));
  CHECK(row->size_bytes > (10U << 20));
  CHECK(progress.finished);
  CHECK_FALSE(progress.seen.empty());

  const auto control = must(read_control_data(world.server->binaries(), world.archive.backup(row->id)));
  CHECK(control.system_identifier == world.identity.system_identifier);
  const auto scanned = must(scan_backups(real_file_system(), world.archive, world.of_archive()));
  REQUIRE(scanned.size() == 1);
  for (const auto& same : {scanned.front(), must(catalog.backups()).front()}) {
    CHECK(same.id == row->id);
    CHECK(same.problem.empty());
    CHECK(same.start_lsn == row->start_lsn);
    CHECK(same.stop_lsn == row->stop_lsn);
    CHECK(same.checkpoint_lsn == row->checkpoint_lsn);
    CHECK(same.started_at == row->started_at);
    CHECK(same.finished_at == row->finished_at);
    CHECK(same.size_bytes == row->size_bytes);
    CHECK(same.server_version_num == row->server_version_num);
  }
  CHECK(must(indexed_until(catalog, *row, world.identity.segment_size)) == row->start_lsn);
  CHECK(world.names_in_backups() == std::vector<std::string>{row->id, row->id + ".json"});
}

TEST_CASE("base backup: kill -9 at any moment leaves nothing that looks like one, and the next one works") {
  World world;
  const auto begin = [&world] {
    const pid_t child = ::fork();
    if (child != 0) return child;
    auto catalog = Catalog::open(world.archive.catalog());
    Silent progress;
    if (catalog) (void)take_base_backup(world.setup(*catalog), progress, {});
    ::_exit(0);
  };
  const auto kill_now = [](pid_t child) {
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  };
  for (const auto moment : {0ms, 30ms, 60ms, 120ms, 200ms, 300ms, 600ms, 1'500ms}) {
    const pid_t child = begin();
    std::this_thread::sleep_for(moment);  // the moment is what this test varies
    kill_now(child);
    for (const auto& row : must(scan_backups(real_file_system(), world.archive, world.of_archive()))) {
      CHECK(row.problem.empty());
      const auto verified = must(run({world.server->binaries().program("pg_verifybackup"),
                                      {"-n", world.archive.backup(row.id).string()},
                                      {}},
                                     60s));
      CHECK(verified.status.success());
    }
  }
  // Once more in the middle of the copy, so that something is left for certain.
  const auto unfinished = [&] {
    return std::ranges::any_of(world.names_in_backups(),
                               [](const auto& name) { return name.starts_with("."); });
  };
  const pid_t child = begin();
  const auto deadline = std::chrono::steady_clock::now() + 30s;
  while (!unfinished() && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(1ms);
  kill_now(child);
  REQUIRE(unfinished());

  auto catalog = must(Catalog::open(world.archive.catalog()));
  Silent progress;
  const auto row = take_base_backup(world.setup(catalog), progress, {});
  REQUIRE_MESSAGE(row, row.error().message);
  CHECK_FALSE(unfinished());
  CHECK(world.log.contains("leftover_removed"));
}

TEST_CASE("base backup: stopped by a person it is interrupted, and what was copied is gone") {
  test::ThrowawayOptions options;
  options.settings = {{"checkpoint_completion_target", "0.9"}, {"checkpoint_timeout", "1h"}};
  World world(options);
  auto catalog = must(Catalog::open(world.archive.catalog()));
  auto setup = world.setup(catalog);
  setup.spread = true;  // waits for its checkpoint for most of an hour
  std::stop_source stop;
  std::jthread stopper([&] {
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (!world.log.contains("backup_started") && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(20ms);
    }
    std::this_thread::sleep_for(500ms);
    stop.request_stop();
  });
  Silent progress;
  const auto row = take_base_backup(setup, progress, stop.get_token());
  REQUIRE_FALSE(row);
  CHECK(row.error() ==
        Error{ErrorKind::interrupted, "the base backup was stopped; what was copied is removed", ""});
  CHECK(world.names_in_backups().empty());
  CHECK(progress.finished);
}

TEST_CASE("base backup: two at once, and one whose slot is missing, are refused") {
  World world;
  auto catalog = must(Catalog::open(world.archive.catalog()));
  Silent progress;
  {
    const auto held = must(FileLock::take(world.archive.lock("backup"), "a base backup"));
    CHECK(take_base_backup(world.setup(catalog), progress, {}).error().kind == ErrorKind::conflict);
  }
  auto connection = must(Connection::open(world.server->conninfo()));
  must(drop_slot(connection, kSlot));
  CHECK(take_base_backup(world.setup(catalog), progress, {}).error().kind == ErrorKind::not_found);
  CHECK(world.names_in_backups().empty());
}

TEST_CASE("base backup: a failing archiver ends it after a bound, with a hint") {
  test::ThrowawayOptions options;
  options.settings = {{"archive_mode", "on"}, {"archive_command", "false"}};
  World world(options);
  auto catalog = must(Catalog::open(world.archive.catalog()));
  Silent progress;
  auto setup = world.setup(catalog);
  setup.archiver_bound = 5s;
  const auto begun = std::chrono::steady_clock::now();
  const auto row = take_base_backup(setup, progress, {});
  const auto took = std::chrono::steady_clock::now() - begun;
  REQUIRE_FALSE(row);
  CHECK(row.error().kind == ErrorKind::unavailable);
  CHECK(row.error().message ==
        "the primary waited 5.0 s for its archiver to take the base backup's last WAL segment, in vain");
  CHECK(took > 5s);
  CHECK(took < 45s);
  CHECK(world.names_in_backups().empty());
}
