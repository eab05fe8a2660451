#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <set>

#include "catalog/catalog.h"
#include "catalog/journal.h"
#include "integration/support/crash.h"
#include "integration/support/held.h"
#include "os/system.h"
#include "support/first_schema.h"

/// A catalog that is lost is built again, the same in every row.
using namespace walback;
using namespace walback::test;
using namespace std::chrono_literals;

namespace {

std::vector<std::string> rows_of(const Path& catalog, const std::string& sql) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open_v2(catalog.c_str(), &database, SQLITE_OPEN_READWRITE, nullptr) == SQLITE_OK);
  sqlite3_stmt* statement = nullptr;
  REQUIRE_MESSAGE(sqlite3_prepare_v2(database, sql.c_str(), -1, &statement, nullptr) == SQLITE_OK,
                  sqlite3_errmsg(database) << ": " << sql);
  std::vector<std::string> rows;
  while (sqlite3_step(statement) == SQLITE_ROW) {
    std::string row;
    for (int column = 0; column < sqlite3_column_count(statement); ++column) {
      const auto* text = sqlite3_column_text(statement, column);
      row += (text == nullptr ? "NULL" : std::string(reinterpret_cast<const char*>(text))) + "|";
    }
    rows.push_back(std::move(row));
  }
  sqlite3_finalize(statement);
  sqlite3_close(database);
  return rows;
}

/// Ids and versions are the catalog's own; the ends are compared as what they mean, for how they are cut into
/// parts tells how often somebody looked; when an open segment's file was last changed, and a gap first seen,
/// is no content either.
std::string column_to_compare(const std::string& table, const std::string& column) {
  const std::set<std::string> own{"id", "version"};
  if (table == "wal_segments" && own.contains(column)) return "''";
  if (column == "mtime_ns") return "CASE state WHEN 'finished' THEN mtime_ns END";
  if (column == "detected_at_us") return "CASE accepted WHEN 1 THEN detected_at_us END";
  return column;
}

/// Every row of every table, as text.
std::vector<std::string> content(const LabFixture& lab) {
  const Path path = lab.archive() / "catalog.sqlite";
  std::vector<std::string> all;
  for (std::string table : rows_of(path, "SELECT name FROM sqlite_schema WHERE type = 'table'")) {
    table.pop_back();
    if (table == "segment_ends" || table == "catalog_counters") continue;
    std::string columns;
    for (std::string column : rows_of(path, "SELECT name FROM pragma_table_info('" + table + "')")) {
      column.pop_back();
      columns += (columns.empty() ? "" : ", ") + column_to_compare(table, column);
    }
    const std::string where =
        table == "facts" ? " WHERE key NOT LIKE 'mirror%' AND key <> 'journal_followed'" : "";
    for (const std::string& row : rows_of(path, "SELECT " + columns + " FROM " + table + where))
      all.push_back(table + ": " + row);
  }
  const Catalog catalog = Catalog::open_read_only(path).value();
  const std::vector<TimelineRow> timelines = catalog.timelines().value();
  for (const TimelineRow& timeline : timelines)
    REQUIRE(catalog.each_end({timeline.timeline, {}, {UINT64_MAX}}, [&](const TransactionEnd& end) {
      all.push_back(fmt::format("end: {} {} {} {} {}", timeline.timeline.value, to_string(end.lsn), end.xid,
                                end.time.unix_us, static_cast<int>(end.kind)));
      return true;
    }));
  std::ranges::sort(all);
  return all;
}

std::string difference(const std::vector<std::string>& was, const std::vector<std::string>& is) {
  std::string text;
  std::vector<std::string> only;
  std::ranges::set_difference(was, is, std::back_inserter(only));
  for (const std::string& row : only) text += "- " + row + "\n";
  only.clear();
  std::ranges::set_difference(is, was, std::back_inserter(only));
  for (const std::string& row : only) text += "+ " + row + "\n";
  return text;
}

bool has_rows_of(const std::vector<std::string>& all, const std::string& table) {
  return std::ranges::any_of(all, [&](const std::string& row) { return row.starts_with(table + ": "); });
}

void switch_segment(const LabFixture& lab) {
  lab.execute("INSERT INTO filler SELECT i FROM generate_series(1, 1000) i");
  lab.execute("SELECT pg_switch_wal()");
}

/// Something in every table, and no service any more.
void fill(LabFixture& lab) {
  lab.execute("CREATE TABLE filler AS SELECT i FROM generate_series(1, 1000) i");
  static_cast<void>(lab.ask({"backup"}));
  switch_segment(lab);
  lab.execute("CREATE TABLE gone (id int)");
  const std::string backup = lab.ask({"backup"}).at("id");
  switch_segment(lab);
  lab.execute("DROP TABLE gone");
  lab.execute("SELECT pg_create_restore_point('here')");
  for (int i = 0; i < 3; ++i) switch_segment(lab);
  lab.wait_captured();
  const LabFixture::Restored copy = lab.restore({"--to-latest"});
  lab.stop(copy);
  REQUIRE(lab.walback({"expire", "--keep", "1"}).ok());
  REQUIRE(lab.walback({"verify"}).ok());
  // One behind what expired.
  const Catalog catalog = Catalog::open_read_only(lab.archive() / "catalog.sqlite").value();
  CHECK(wait_until([&] { return catalog.newest_watermark({1}).value().has_value(); }, 60s));
  lab.kill_services();
}

void run_sql(const Path& catalog, const std::string& sql) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open(catalog.c_str(), &database) == SQLITE_OK);
  REQUIRE_MESSAGE(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK,
                  sqlite3_errmsg(database) << ": " << sql);
  sqlite3_close(database);
}

/// The same rows as the first walback would have stored them.
void make_older(const Path& catalog) {
  const Path older = catalog.string() + "-older";
  run_sql(older, kFirstSchema);
  std::string copy = "DELETE FROM catalog_counters; ATTACH '" + catalog.string() + "' AS now; ";
  for (const std::string& table :
       std::vector<std::string>{"wal_segments", "segment_ends", "segment_blocks", "catalog_counters",
                                "moments", "gaps", "timelines", "watermarks", "backups", "restores"})
    copy += fmt::format("INSERT INTO main.{0} SELECT * FROM now.{0}; ", table);
  run_sql(older, copy + "INSERT INTO main.facts VALUES ('filled_from_archive', '1'); DETACH now");
  run_sql(older, kFirstMarks);
  REQUIRE(real_file_system().rename(older, catalog));
}

/// A segment in the middle is gone, and somebody accepts it.
void accept_a_gap(const LabFixture& lab) {
  const auto names = names_in(lab.archive() / "wal" / "0001");
  REQUIRE(names.size() >= 5);
  REQUIRE(real_file_system().remove(lab.archive() / "wal" / "0001" / names[names.size() - 3]));
  static_cast<void>(lab.ask({"list", "segments"}));
  Catalog catalog = Catalog::open(lab.archive() / "catalog.sqlite").value();
  const auto gaps = catalog.gaps().value();
  REQUIRE(gaps.size() == 1);
  REQUIRE(record_accepted_gap(real_file_system(), ArchiveLayout{lab.archive()}, catalog, real_clock().now(),
                              gaps[0]));
  // What is gone has no bytes to read a row from again.
  const auto name = parse_wal_file_name(names[names.size() - 3], *SegmentSize::from_bytes(1U << 20));
  REQUIRE(catalog.remove_segment({name->timeline, name->number}, 1));
}

}  // namespace

TEST_CASE("reindex: every row comes back, whatever became of the catalog, and wherever it was killed") {
  LabFixture lab({.segment_size_mb = 1});
  fill(lab);
  accept_a_gap(lab);
  static_cast<void>(lab.ask({"list", "segments"}));
  const Path catalog = lab.archive() / "catalog.sqlite";
  FileSystem& files = real_file_system();
  const auto expected = content(lab);
  for (const std::string& table :
       std::vector<std::string>{"wal_segments", "moments", "timelines", "watermarks", "backups", "restores",
                                "gaps", "verified_runs", "verified_backups", "expired_wal", "end"})
    CHECK_MESSAGE(has_rows_of(expected, table), table);
  const auto reindexed = [&](const std::string& after) {
    CAPTURE(after);
    const WalbackRun run = lab.walback({"reindex"});
    REQUIRE_MESSAGE(run.ok(), run.all());
    const auto now = content(lab);
    CHECK_MESSAGE(now == expected, difference(expected, now));
    for (const std::string& name : names_in(lab.archive()))
      CHECK_MESSAGE(!name.starts_with("catalog.sqlite."), name);
  };
  reindexed("nothing happened to it");

  // Somebody has the old one open, with changes that are in its -wal alone, and ends long after it was
  // replaced.
  sqlite3* old = nullptr;
  REQUIRE(sqlite3_open(catalog.c_str(), &old) == SQLITE_OK);
  const auto ask_old = [&](const char* sql) { return sqlite3_exec(old, sql, nullptr, nullptr, nullptr); };
  REQUIRE(ask_old("INSERT INTO facts VALUES ('of the old one', '1')") == SQLITE_OK);
  REQUIRE(exists(files, catalog.string() + "-wal"));
  reindexed("it is open elsewhere");
  CHECK(ask_old("INSERT INTO facts VALUES ('of the old one, too', '1')") == SQLITE_OK);
  CHECK(lab.walback({"list", "segments"}).ok());
  sqlite3_close(old);
  const auto after_its_end = content(lab);
  CHECK_MESSAGE(after_its_end == expected, difference(expected, after_its_end));

  const std::string good = files.read(catalog, 1ULL << 30).value();
  std::string torn = good;
  for (std::size_t page = 1; page * 4096 < torn.size(); ++page) torn.replace(page * 4096, 512, 512, '\x7F');
  const std::vector<std::pair<std::string, std::string>> damages{
      {"garbage", std::string(8192, 'x')},
      {"half of it", good.substr(0, good.size() / 2)},
      {"torn pages", torn}};
  for (const auto& [what, bytes] : damages) {
    REQUIRE(files.write(catalog, bytes));
    reindexed(what);
  }
  REQUIRE(files.remove(catalog));
  reindexed("it was gone");

  for (const char* label :
       {"catalog.created", "catalog.journal_replayed", "intake.segment_stored", "reindex.built",
        "reindex.closed", "reindex.old_set_aside", "reindex.published"}) {
    CAPTURE(label);
    killed_at(lab, label, {"reindex"});
    static_cast<void>(lab.ask({"list", "segments"}));
    const auto between = content(lab);
    CHECK_MESSAGE(between == expected, difference(expected, between));
    reindexed(label);
  }

  // An older walback's is brought up to date at once or not at all, and the journal knows what it could not
  // store.
  make_older(catalog);
  for (int nth = 1; nth <= 2; ++nth) killed_at(lab, "catalog.migration_step", {"list", "segments"}, nth);
  CHECK(rows_of(catalog, "PRAGMA user_version") == std::vector<std::string>{"1|"});
  static_cast<void>(lab.ask({"list", "segments"}));
  const auto migrated = content(lab);
  CHECK_MESSAGE(migrated == expected, difference(expected, migrated));

  // A newer walback's is refused by every command, and replaced only by the one that is told to.
  static_cast<void>(rows_of(catalog, "PRAGMA user_version = 99"));
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"status"},
           {"list", "segments"},
           {"plan", "--to-latest"},
           {"commits"},
           {"clusters"},
           {"manage"},
           {"expire", "--keep", "1"},
           {"verify"},
           {"check"},
           {"restore", "--to-latest", "--into", "/tmp/no", "--port", "1"}}) {
    const WalbackRun run = lab.walback(command);
    CHECK_MESSAGE(run.exit_code == exit_code(ErrorKind::conflict), command[0] << ": " << run.all());
    CHECK_MESSAGE(run.err.find("has schema 99, this walback knows up to") != std::string::npos,
                  command[0] << ": " << run.all());
    CHECK_MESSAGE(run.err.find("let `walback reindex` build a catalog for this one.") != std::string::npos,
                  command[0] << ": " << run.all());
  }
  reindexed("a newer walback's");
  check_second_is_refused(lab, "reindex", {"reindex"});
}

TEST_CASE("reindex: refused beside a manager; the mirror agrees again; a second base backup is refused") {
  LabFixture lab({.segment_size_mb = 1});
  lab.execute("CREATE TABLE filler AS SELECT i FROM generate_series(1, 1000) i");
  switch_segment(lab);
  lab.wait_captured();
  const WalbackRun beside = lab.walback({"reindex"});
  CHECK_MESSAGE(beside.exit_code == exit_code(ErrorKind::conflict), beside.all());
  CHECK_MESSAGE(beside.err.find("the intake is already running: pid ") != std::string::npos, beside.all());
  CHECK_MESSAGE(beside.err.find("hint: Stop the WAL manager") != std::string::npos, beside.all());
  check_second_is_refused(lab, "backup", {"backup"});

  REQUIRE(wait_until(
      [&] { return lab.value("SELECT to_regclass('walback.wal_segments') IS NOT NULL") == "t"; }, 30s));
  lab.kill_services();
  // What an older catalog once wrote, and the new one does not know.
  lab.execute(
      "INSERT INTO walback.wal_segments SELECT * FROM jsonb_populate_record("
      "(SELECT w FROM walback.wal_segments w ORDER BY segment LIMIT 1), '{\"segment\": "
      "\"0000000100000000000000FF\"}') ON CONFLICT DO NOTHING");
  lab.execute("UPDATE walback.wal_segments SET records = 1 WHERE state = 'finished'");
  REQUIRE(lab.walback({"reindex"}).ok());
  lab.start_services();
  const auto agrees = [&] {
    std::string catalog, mirror;
    for (const Json& row : lab.ask({"list", "segments"}))
      if (row.at("state") == "finished")
        catalog += row.at("segment").get<std::string>() + " " + row.at("records").dump() + ",";
    mirror = lab.value(
        "SELECT string_agg(segment || ' ' || records, ',' ORDER BY segment) || ',' FROM walback.wal_segments "
        "WHERE state = 'finished'");
    return catalog == mirror;
  };
  CHECK(wait_until(agrees, 30s));
}
