#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "catalog/catalog.h"
#include "catalog/journal.h"
#include "integration/support/crash.h"
#include "integration/support/held.h"
#include "os/system.h"

/// What goes, what stays, and what is left when an expiry is cut short.
using namespace walback;
using namespace walback::test;
using namespace std::chrono_literals;

namespace {

struct Taken {
  std::string id;
  std::string start, stop;
};

Taken backup(const LabFixture& lab) {
  const Json taken = lab.ask({"backup"});
  return {taken.at("id"), taken.at("start_lsn"), taken.at("stop_lsn")};
}

void write_segments(const LabFixture& lab, int count) {
  for (int i = 0; i < count; ++i) {
    lab.execute("INSERT INTO filler SELECT i FROM generate_series(1, 1000) i");
    lab.execute("SELECT pg_switch_wal()");
  }
}

/// Three base backups, with WAL between and behind them.
std::vector<Taken> fill(const LabFixture& lab) {
  lab.execute("CREATE TABLE filler AS SELECT i FROM generate_series(1, 1000) i");
  std::vector<Taken> taken;
  for (int i = 0; i < 3; ++i) {
    write_segments(lab, 2);
    taken.push_back(backup(lab));
  }
  write_segments(lab, 1);
  lab.wait_captured();
  return taken;
}

std::set<std::string> listed_segments(const LabFixture& lab) {
  std::set<std::string> names;
  for (const Json& row : lab.ask({"list", "segments"})) names.insert(row.at("segment"));
  return names;
}
std::set<std::string> listed_backups(const LabFixture& lab) {
  std::set<std::string> names;
  for (const Json& row : lab.ask({"list", "backups"})) names.insert(row.at("id"));
  return names;
}

/// Nothing counts that is gone.
void check_all_that_is_listed_is_there(const LabFixture& lab) {
  const auto wal = names_in(lab.archive() / "wal" / "0001");
  for (const std::string& name : listed_segments(lab)) {
    const bool there =
        std::ranges::any_of(wal, [&](const std::string& file) { return file.starts_with(name); });
    CHECK_MESSAGE(there, name);
  }
  for (const std::string& id : listed_backups(lab))
    CHECK_MESSAGE(exists(real_file_system(), lab.archive() / "backups" / id / "backup_manifest"), id);
}

/// Everything that a later command could see of it.
Json state(const LabFixture& lab) {
  Json all{{"segments", lab.ask({"list", "segments"})},
           {"backups", lab.ask({"list", "backups"})},
           {"commits", lab.ask({"commits"})}};
  const Json status = lab.walback({"--json", "status"}).json;
  all["window"] = status.at("recoverable_window");
  all["gaps"] = status.at("gaps");
  all["wal"] = names_in(lab.archive() / "wal" / "0001");
  all["directories"] = names_in(lab.archive() / "backups");
  return all;
}

bool goes(const Json& items, const std::string& key, const std::string& name) {
  for (const Json& item : items)
    if (item.at(key) == name) return !item.at("stays").get<bool>();
  FAIL(name << " is not in " << items.dump());
  return false;
}

}  // namespace

TEST_CASE("expire: beside a running manager the oldest goes, its WAL with it, and the rest can be restored") {
  LabFixture lab({.segment_size_mb = 1});
  const auto taken = fill(lab);
  CHECK(lab.walback({"expire", "--keep", "0"}).exit_code == exit_code(ErrorKind::usage));
  CHECK(lab.walback({"expire"}).exit_code == exit_code(ErrorKind::usage));

  const auto before = names_in(lab.archive() / "wal" / "0001");
  const Json tried = lab.ask({"expire", "--keep", "2", "--dry-run"});
  CHECK(names_in(lab.archive() / "wal" / "0001") == before);
  CHECK(listed_backups(lab).size() == 3);
  CHECK(goes(tried.at("backups"), "id", taken[0].id));
  CHECK(!goes(tried.at("backups"), "id", taken[1].id));
  CHECK(!goes(tried.at("backups"), "id", taken[2].id));
  REQUIRE(tried.at("wal").size() == 2);
  CHECK(tried.at("wal")[0].at("stays") == false);
  CHECK(tried.at("wal")[1].at("stays") == true);
  // A week back nothing was there yet: everything stays.
  const Json week = lab.ask({"expire", "--keep", "1", "--days", "7", "--dry-run"});
  CHECK(!goes(week.at("backups"), "id", taken[0].id));

  const Json done = lab.ask({"expire", "--keep", "2"});
  CHECK(done.at("backups") == tried.at("backups"));
  CHECK(done.at("wal") == tried.at("wal"));
  CHECK(done.at("window_before").at("spans")[0].at("backup") == taken[0].id);
  for (const Json* answer : {&tried, &done}) {
    CHECK(answer->at("window_after").at("spans")[0].at("backup") == taken[1].id);
    CHECK(answer->at("window_after").at("spans")[0].at("from_lsn") == taken[1].stop);
  }
  CHECK(listed_backups(lab) == std::set<std::string>{taken[1].id, taken[2].id});
  const auto left = names_in(lab.archive() / "wal" / "0001");
  CHECK(left.size() < before.size());
  CHECK(left.front() == tried.at("wal")[1].at("first").get<std::string>());
  check_all_that_is_listed_is_there(lab);
  const WalbackRun again = lab.walback({"expire", "--keep", "2"});
  CHECK_MESSAGE(again.out.find("nothing goes\n") != std::string::npos, again.all());

  // Capturing goes on behind what stayed, and the mirror holds what the catalog holds, no more.
  write_segments(lab, 1);
  lab.wait_captured();
  CHECK(lab.ask({"status"}).at("gaps").empty());
  const auto mirrored = [&] {
    // The manager makes it some time after its start.
    return lab.value("SELECT to_regclass('walback.wal_segments') IS NOT NULL") == "t" &&
           lab.value("SELECT min(segment) FROM walback.wal_segments") == *listed_segments(lab).begin();
  };
  CHECK(wait_until(mirrored, 30s));

  const LabFixture::Restored oldest = lab.restore({"--to-lsn", taken[1].stop});
  lab.stop(oldest);
  const WalbackRun gone = lab.walback({"plan", "--to-lsn", taken[0].stop});
  CHECK_MESSAGE(gone.exit_code == exit_code(ErrorKind::not_found), gone.all());

  // Somebody removed the newest one behind our back: it does not count, whatever the catalog says of it.
  REQUIRE(real_file_system().remove_tree(lab.archive() / "backups" / taken[2].id));
  const Json careful = lab.ask({"expire", "--keep", "1"});
  CHECK(!goes(careful.at("backups"), "id", taken[1].id));
  CHECK(careful.at("window_after").at("spans")[0].at("backup") == taken[1].id);
}

TEST_CASE("expire: killed at each step nothing counts that is gone, and the next one ends it") {
  LabFixture lab({.segment_size_mb = 1});
  static_cast<void>(fill(lab));
  lab.kill_services();
  static_cast<void>(lab.ask({"list", "segments"}));
  // As many void lines as make it worth while to compact the journal.
  {
    Catalog catalog = Catalog::open(lab.archive() / "catalog.sqlite").value();
    for (int i = 0; i < 100; ++i)
      REQUIRE(record_watermark(real_file_system(), ArchiveLayout{lab.archive()}, catalog,
                               {{1}, {0x2000000}, real_clock().now()}));
  }
  const SavedArchive saved(lab);
  const Json untouched = state(lab);
  const std::vector<std::string> expire{"expire", "--keep", "1"};
  REQUIRE(lab.walback(expire).ok());
  const Json expected = state(lab);
  CHECK(expected.at("backups").size() == 1);
  CHECK(expected.at("directories").size() == 2);
  CHECK(expected.at("wal").size() < untouched.at("wal").size());

  for (const char* label : {"expire.journalled", "expire.backup_rows_removed", "expire.rows_removed",
                            "expire.backup_hidden", "expire.backup_removed", "expire.segment_removed",
                            "expire.files_removed", "journal.closed", "journal.compacted"}) {
    CAPTURE(label);
    saved.put_back();
    killed_at(lab, label, expire);
    check_all_that_is_listed_is_there(lab);
    // What was let go is never taken in again, however often somebody looks.
    CHECK(lab.ask({"list", "segments"}) == expected.at("segments"));
    CHECK(lab.ask({"list", "backups"}) == expected.at("backups"));
    const WalbackRun ended = lab.walback(expire);
    CHECK_MESSAGE(ended.ok(), ended.all());
    CHECK(state(lab) == expected);
    // Nor is it by a catalog that knows of it from the journal alone.
    if (std::string(label) == "expire.journalled") {
      REQUIRE(lab.walback({"reindex"}).ok());
      CHECK(lab.ask({"list", "backups"}) == expected.at("backups"));
    }
  }
  check_second_is_refused(lab, "expire", expire);
}
