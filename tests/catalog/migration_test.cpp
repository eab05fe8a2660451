#include <sqlite3.h>

#include "catalog/schema.h"
#include "catalog_fixture.h"
#include "support/first_schema.h"
#include "support/temporary_directory.h"

// A catalog that an older walback made.

namespace walback {
namespace {

using namespace catalog_test;

/// The rows of a query, a line each.
std::string asked(const Path& path, const std::string& sql) {
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &database) == SQLITE_OK);
  std::string text;
  const auto add = [](void* to, int count, char** values, char**) {
    auto& line = *static_cast<std::string*>(to);
    for (int i = 0; i < count; ++i) line += std::string(values[i] == nullptr ? "NULL" : values[i]) + "|";
    line += "\n";
    return 0;
  };
  char* error = nullptr;
  CHECK_MESSAGE(sqlite3_exec(database, sql.c_str(), add, &text, &error) == SQLITE_OK, sql << ": " << error);
  sqlite3_free(error);
  sqlite3_close(database);
  return text;
}

std::string every_row(const Path& path) {
  std::string text;
  for (const char* table : {"wal_segments", "segment_blocks", "catalog_counters", "moments", "gaps",
                            "timelines", "watermarks", "backups", "restores", "facts"})
    text += std::string(table) + "\n" + asked(path, std::string("SELECT * FROM ") + table);
  return text;
}

TEST_CASE("migration: a catalog of the first schema is taken over with every row") {
  TemporaryDirectory directory;
  const Path path = directory.path() / "catalog.sqlite";
  asked(path, test::kFirstSchema);
  asked(path, test::kFirstRows);
  asked(path, test::kFirstMarks);
  const std::string before = every_row(path);
  CHECK(before.find("damaged at 0/4000088: bad CRC") != std::string::npos);
  CHECK_FALSE(Catalog::open_read_only(path));
  CHECK(every_row(path) == before);
  {
    auto catalog = value(Catalog::open(path));
    CHECK(value(catalog.segment({{1}, {3}}))->commits == 2);
    CHECK(value(catalog.backups()).size() == 1);
    CHECK(value(catalog.expired_wal()).empty());
    CHECK(value(catalog.verified_runs()).empty());
    CHECK(value(catalog.segment_removals()) == 0);
  }
  CHECK(every_row(path) == before);
  CHECK(asked(path, "PRAGMA user_version") == std::to_string(newest_schema()) + "|\n");
  CHECK(Catalog::open_read_only(path));
}

TEST_CASE("migration: a step that fails leaves the older catalog as it was, and it is repeated") {
  TemporaryDirectory directory;
  const Path path = directory.path() / "catalog.sqlite";
  asked(path, test::kFirstSchema);
  asked(path, test::kFirstRows);
  asked(path, test::kFirstMarks);
  // In the way of the last step.
  asked(path, "CREATE TABLE expired_backups (x)");
  const std::string before = every_row(path);
  CHECK_FALSE(Catalog::open(path));
  CHECK(asked(path, "PRAGMA user_version") == "1|\n");
  CHECK(asked(path, "SELECT count(*) FROM sqlite_schema WHERE name = 'verified_runs'") == "0|\n");
  CHECK(every_row(path) == before);
  asked(path, "DROP TABLE expired_backups");
  CHECK(Catalog::open(path));
  CHECK(every_row(path) == before);
}

}  // namespace
}  // namespace walback
