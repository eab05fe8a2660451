#include "catalog/catalog.h"

#include <sqlite3.h>

#include <future>
#include <thread>

#include "catalog/schema.h"
#include "catalog_fixture.h"
#include "support/temporary_directory.h"

// Opening, sharing and refusing the file; moments, gaps, watermarks, backups, restores, facts.

namespace walback {
namespace {

using namespace catalog_test;

void run_sql(const Path& path, const char* sql) {
  sqlite3* connection = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &connection) == SQLITE_OK);
  CHECK(sqlite3_exec(connection, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(connection);
}

std::string first_text(const Path& path, const char* sql) {
  sqlite3* connection = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &connection) == SQLITE_OK);
  std::string text;
  const auto take = [](void* out, int count, char** values, char**) {
    for (int i = 0; i < count; ++i)
      *static_cast<std::string*>(out) += std::string(i ? "|" : "") + (values[i] ? values[i] : "-");
    return 0;
  };
  CHECK(sqlite3_exec(connection, sql, take, &text, nullptr) == SQLITE_OK);
  sqlite3_close(connection);
  return text;
}

TEST_CASE("catalog: opened again it holds what was put, and a person can read it") {
  TemporaryDirectory directory;
  const Path path = directory.path() / "catalog.sqlite";
  {
    auto catalog = value(Catalog::open(path));
    value(catalog.put_segment(segment_with(3, {end_at(lsn_in(3, 64), 123'456, 733)})));
  }
  auto catalog = value(Catalog::open(path));
  CHECK(value(catalog.segment({{1}, {3}}))->commits == 1);
  CHECK(first_text(
            path,
            "SELECT segment, state, start_lsn, valid_end_lsn, commits, first_time FROM wal_segments_text") ==
        "000000010000000000000003|finished|0/3000000|0/4000000|1|2026-11-20T12:00:00.123456Z");
  CHECK(first_text(path, "SELECT segment, start_lsn FROM wal_segments") ==
        "000000010000000000000003|50331648");
  CHECK(first_text(path, "PRAGMA journal_mode") == "wal");
}

TEST_CASE("catalog: a newer schema, another program's file and no file are refused, each with its text") {
  TemporaryDirectory directory;
  const Path path = directory.path() / "catalog.sqlite";
  const std::string name = path.string();
  const std::string newest = std::to_string(newest_schema());
  CHECK(Catalog::open_read_only(path).error() ==
        Error{ErrorKind::not_found, "the catalog " + name + " cannot be opened: unable to open database file",
              "`walback manage` makes it, and `walback reindex`, from WAL, base backups and journal; its "
              "directory must exist and belong to the user that runs walback."});
  value(Catalog::open(path));
  run_sql(path, "PRAGMA user_version = 99");
  const Error newer{
      ErrorKind::conflict, "the catalog " + name + " has schema 99, this walback knows up to " + newest,
      "A newer walback wrote it: use that one, or let `walback reindex` build a catalog for this one."};
  CHECK(Catalog::open(path).error() == newer);
  CHECK(Catalog::open_read_only(path).error() == newer);

  const Path other = directory.path() / "other.sqlite";
  run_sql(other, "CREATE TABLE photos (x)");
  CHECK(Catalog::open(other).error() == Error{ErrorKind::conflict,
                                              other.string() + " is an SQLite database of another program",
                                              "Correct `catalog:` in walback.yaml."});
  CHECK(first_text(other, "PRAGMA journal_mode") == "delete");
}

TEST_CASE("catalog: a reader cannot migrate an older schema") {
  TemporaryDirectory directory;
  const Path path = directory.path() / "catalog.sqlite";
  run_sql(path, "PRAGMA journal_mode = WAL");
  CHECK(Catalog::open_read_only(path).error() ==
        Error{ErrorKind::conflict,
              "the catalog " + path.string() + " has schema 0, this walback reads " +
                  std::to_string(newest_schema()),
              "Start this version's `walback manage`, or let `walback reindex` build another: both bring it "
              "up to date."});
}

TEST_CASE("catalog: a damaged file is corrupt and says how to get another") {
  TemporaryDirectory directory;
  const Path path = directory.path() / "catalog.sqlite";
  value(real_file_system().write(path, "this was a catalog once, " + std::string(4096, 'x')));
  CHECK(Catalog::open(path).error() ==
        Error{ErrorKind::corrupt, "the catalog " + path.string() + " is damaged: file is not a database",
              "`walback reindex` builds the catalog again from WAL, base backups and journal."});
}

TEST_CASE("catalog: damaged ends are corrupt, naming the segment") {
  TemporaryDirectory directory;
  const Path path = directory.path() / "catalog.sqlite";
  auto catalog = value(Catalog::open(path));
  value(catalog.put_segment(segment_with(3, {end_at(lsn_in(3, 64), 0, 733)})));
  run_sql(path, "UPDATE segment_ends SET ends = x'0103'");
  CHECK(catalog.first_end_at_or_after(range_of({}), true).error().message ==
        "the catalog " + path.string() +
            " is damaged at segment 000000010000000000000003: stored transaction ends are damaged: 2 bytes "
            "are too few");
}

TEST_CASE("catalog: a failed transaction leaves nothing, a failed inner one only what is around it") {
  auto catalog = value(Catalog::open(":memory:"));
  const Status failed = catalog.transaction([&]() -> Status {
    TRY(catalog.put_fact("a", "1"));
    return fail(ErrorKind::interrupted, "stop");
  });
  CHECK(failed.error().message == "stop");
  CHECK_FALSE(value(catalog.fact("a")));
  value(catalog.transaction([&]() -> Status {
    TRY(catalog.put_fact("a", "1"));
    const Status inner = catalog.transaction([&]() -> Status {
      const Status put = catalog.put_fact("b", "2");
      return put ? Status(fail(ErrorKind::interrupted, "stop")) : put;
    });
    CHECK_FALSE(inner);
    return catalog.put_fact("c", "3");
  }));
  CHECK(value(catalog.fact("a")) == "1");
  CHECK_FALSE(value(catalog.fact("b")));
  CHECK(value(catalog.fact("c")) == "3");
}

TEST_CASE("catalog: a reader sees the last commit while the writer is in a transaction") {
  TemporaryDirectory directory;
  const Path path = directory.path() / "catalog.sqlite";
  auto writer = value(Catalog::open(path));
  value(writer.put_fact("a", "old"));
  auto reader = value(Catalog::open_read_only(path));
  value(writer.transaction([&]() -> Status {
    TRY(writer.put_fact("a", "new"));
    CHECK(value(reader.fact("a")) == "old");
    return {};
  }));
  CHECK(value(reader.fact("a")) == "new");
  value(reader.consistent_reads([&]() -> Status {
    CHECK(value(reader.fact("a")) == "new");
    CHECK(writer.put_fact("a", "newer"));
    CHECK(value(reader.fact("a")) == "new");
    return {};
  }));
  CHECK(value(reader.fact("a")) == "newer");
  CHECK(reader.put_fact("a", "mine").error().kind == ErrorKind::conflict);
}

TEST_CASE("catalog: eight open and write a new file at once") {
  TemporaryDirectory directory;
  const Path path = directory.path() / "catalog.sqlite";
  std::vector<std::future<Status>> writers;
  for (int i = 0; i < 8; ++i) {
    writers.push_back(std::async(std::launch::async, [&path, i]() -> Status {
      auto catalog = TRY(Catalog::open(path));
      return catalog.put_fact("writer " + std::to_string(i), "was here");
    }));
  }
  for (auto& writer : writers) value(writer.get());
  auto catalog = value(Catalog::open_read_only(path));
  for (int i = 0; i < 8; ++i) CHECK(value(catalog.fact("writer " + std::to_string(i))));
}

TEST_CASE("catalog: a reader opens what a killed writer left") {
  TemporaryDirectory directory;
  const Path path = directory.path() / "catalog.sqlite";
  const Path copy = directory.path() / "left.sqlite";
  auto catalog = value(Catalog::open(path));
  value(catalog.put_fact("a", "1"));
  for (const char* suffix : {"", "-wal"}) {
    value(real_file_system().copy_file(path.string() + suffix, copy.string() + suffix));
  }
  auto left = value(Catalog::open_read_only(copy));
  CHECK(value(left.fact("a")) == "1");
}

TEST_CASE("catalog: moments by range, kind and name") {
  auto catalog = value(Catalog::open(":memory:"));
  const auto moment = [](std::uint64_t lsn, MomentKind kind, std::string name, std::uint32_t timeline = 1) {
    return MomentRow{{timeline}, {lsn}, {lsn + 8}, kind, 7, at(1), std::move(name), "{}"};
  };
  value(catalog.put_moment(moment(300, MomentKind::restore_point, "before")));
  value(catalog.put_moment(moment(100, MomentKind::checkpoint, "")));
  value(catalog.put_moment(moment(200, MomentKind::restore_point, "before")));
  value(catalog.put_moment(moment(200, MomentKind::restore_point, "before", 2)));
  value(catalog.put_moment(moment(400, MomentKind::tablespace_created, "before")));
  value(catalog.put_moment(moment(100, MomentKind::checkpoint, "")));
  const auto positions = [](const std::vector<MomentRow>& rows) {
    std::vector<std::uint64_t> found;
    for (const MomentRow& row : rows) found.push_back(row.lsn.value);
    return found;
  };
  using Positions = std::vector<std::uint64_t>;
  CHECK(positions(value(catalog.moments(range_of({100}, {400}), {}))) == Positions{100, 200, 300});
  CHECK(positions(value(catalog.moments(range_of({101}), MomentKind::restore_point))) == Positions{200, 300});
  CHECK(positions(value(catalog.restore_points("before"))) == Positions{200, 300, 200});
  CHECK(value(catalog.restore_points("after")).empty());
  const MomentRow first = value(catalog.moments(range_of({}), {}))[0];
  CHECK(first.kind == MomentKind::checkpoint);
  CHECK(first.time == at(1));
  CHECK(first.xid == 7);
}

TEST_CASE("catalog: a gap keeps its first detection, and its acceptance while it is the same gap") {
  auto catalog = value(Catalog::open(":memory:"));
  value(catalog.put_gap({{1}, {100}, {200}, "absent", at(5), false}));
  value(catalog.put_gap({{1}, {100}, {200}, "absent", at(9), true}));
  value(catalog.put_gap({{1}, {100}, {200}, "still absent", at(11), false}));
  auto gap = value(catalog.gaps()).at(0);
  CHECK(gap.detected_at == at(5));
  CHECK(gap.accepted);
  CHECK(gap.reason == "still absent");
  value(catalog.put_gap({{1}, {100}, {300}, "grown", at(12), false}));
  CHECK_FALSE(value(catalog.gaps()).at(0).accepted);
  value(catalog.remove_gap({1}, {100}));
  CHECK(value(catalog.gaps()).empty());
}

TEST_CASE("catalog: a captured history is not forgotten") {
  auto catalog = value(Catalog::open(":memory:"));
  value(catalog.put_timeline({{2}, "", false}));
  value(catalog.put_timeline({{2}, "1\t0/3000000\tno reason", true}));
  value(catalog.put_timeline({{2}, "", false}));
  const auto timelines = value(catalog.timelines());
  REQUIRE(timelines.size() == 1);
  CHECK(timelines[0].history == "1\t0/3000000\tno reason");
  CHECK(timelines[0].history_captured);
}

TEST_CASE("catalog: watermarks, the one taken last, also where its time is earlier") {
  auto catalog = value(Catalog::open(":memory:"));
  value(catalog.put_watermark({{1}, {100}, at(50)}));
  value(catalog.put_watermark({{1}, {200}, at(20)}));
  value(catalog.put_watermark({{1}, {200}, at(30)}));
  value(catalog.put_watermark({{1}, {200}, at(25)}));
  value(catalog.put_watermark({{2}, {900}, at(15)}));
  CHECK(value(catalog.newest_watermark({1})) == WatermarkRow{{1}, {200}, at(25)});
  CHECK(value(catalog.newest_watermark({1}, {200})) == WatermarkRow{{1}, {200}, at(25)});
  CHECK(value(catalog.newest_watermark({1}, {199})) == WatermarkRow{{1}, {100}, at(50)});
  CHECK_FALSE(value(catalog.newest_watermark({1}, {99})));
  CHECK_FALSE(value(catalog.newest_watermark({3})));
}

TEST_CASE("catalog: backups in the WAL's order, whatever their clock said, restores newest first, by name") {
  auto catalog = value(Catalog::open(":memory:"));
  BackupRow backup{"20261120T104207Z",
                   {1},
                   {100},
                   {120},
                   {200},
                   at(10),
                   at(20),
                   1U << 30,
                   150020,
                   {"16390 /mnt/fast disk", "16391 /mnt/\"x\""},
                   ""};
  value(catalog.put_backup(backup));
  backup.id = "20261119T104207Z";
  backup.started_at = at(5);
  backup.problem = "damaged";
  value(catalog.put_backup(backup));
  const auto backups = value(catalog.backups());
  REQUIRE(backups.size() == 2);
  CHECK(backups[0].problem == "damaged");
  CHECK(backups[1].tablespaces == std::vector<std::string>{"16390 /mnt/fast disk", "16391 /mnt/\"x\""});
  CHECK(backups[1].checkpoint_lsn == Lsn{120});
  CHECK(backups[1].server_version_num == 150020);
  value(catalog.remove_backup("20261119T104207Z"));
  CHECK(value(catalog.backups()).size() == 1);
  // The clock was set back.
  backup.start_lsn = {300};
  value(catalog.put_backup(backup));
  CHECK(value(catalog.backups()).back().id == "20261119T104207Z");
  value(catalog.remove_backup("20261119T104207Z"));

  RestoreRow restore{"one", "/r/one", 5433, RestoreState::running, at(1), {}, "--to-latest", "{}", "", ""};
  value(catalog.put_restore(restore));
  restore.state = RestoreState::failed;
  restore.finished_at = at(3);
  restore.error = "disk full";
  value(catalog.put_restore(restore));
  value(catalog.put_restore({"two", "/r/two", 65535, RestoreState::paused, at(2), {}, "", "", "", ""}));
  const auto restores = value(catalog.restores());
  REQUIRE(restores.size() == 2);
  CHECK(restores[0].name == "two");
  CHECK(restores[0].port == 65535);
  CHECK(value(catalog.restore("one"))->error == "disk full");
  CHECK(value(catalog.restore("one"))->finished_at == at(3));
  CHECK_FALSE(value(catalog.restore("three")));
}

TEST_CASE("catalog: an LSN beyond 2^63 is refused, and harmless in a question") {
  auto catalog = value(Catalog::open(":memory:"));
  CHECK(catalog.put_watermark({{1}, {std::uint64_t{1} << 63}, at(1)}).error() ==
        Error{ErrorKind::corrupt,
              "LSN 80000000/0 is beyond what a server can reach, expected less than 80000000/0",
              "The WAL that names it is damaged."});
  value(catalog.put_watermark({{1}, {INT64_MAX}, at(1)}));
  CHECK(value(catalog.newest_watermark({1}))->lsn == Lsn{INT64_MAX});
  CHECK(value(catalog.moments(range_of({UINT64_MAX}), {})).empty());
}

}  // namespace
}  // namespace walback
