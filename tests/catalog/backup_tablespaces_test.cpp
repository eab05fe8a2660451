#include "catalog/backup_tablespaces.h"

#include <doctest/doctest.h>

#include "base/text.h"
#include "support/memory_file_system.h"

using namespace walback;

TEST_CASE("tablespaces of a backup: relative links to their own directories, by OID") {
  MemoryFileSystem files;
  const Path backup = "/a/backups/B";
  CHECK(tablespaces_in_backup(files, backup).value().empty());
  REQUIRE(files.create_directories(backup / "pg_tblspc" / "16390" / "PG_15_202209061"));  // in place
  for (const std::uint32_t oid : {16400U, 16385U}) {
    REQUIRE(files.create_directories(tablespace_in_backup(backup, oid)));
    REQUIRE(files.create_symlink(tablespace_link(oid), backup / "pg_tblspc" / std::to_string(oid)));
  }
  CHECK(tablespaces_in_backup(files, backup).value() == std::vector<std::uint32_t>{16385, 16400});
  CHECK(join(verifybackup_arguments(backup, {16385, 16400}), " ") ==
        "--no-parse-wal --quiet --ignore=tablespaces/16385 --ignore=tablespaces/16400 /a/backups/B");
  REQUIRE(files.remove_tree(tablespace_in_backup(backup, 16385)));
  CHECK(tablespaces_in_backup(files, backup).error() ==
        Error{ErrorKind::corrupt,
              "the base backup's tablespace 16385 is missing: '/a/backups/B/tablespaces/16385'",
              "Put it back if there is a copy, or take another base backup."});
}

TEST_CASE("tablespaces of a backup: a link to anywhere else is damage") {
  for (const auto& [name, target] :
       {std::pair{"16385", "/srv/fast"}, std::pair{"16385", "../tablespaces/16386"},
        std::pair{"name", "../tablespaces/16385"}}) {
    MemoryFileSystem files;
    REQUIRE(files.create_directories("/b/pg_tblspc"));
    REQUIRE(files.create_directories("/b/tablespaces/16385"));
    REQUIRE(files.create_symlink(target, Path("/b/pg_tblspc") / name));
    const auto found = tablespaces_in_backup(files, "/b");
    REQUIRE_FALSE(found);
    CHECK(found.error().kind == ErrorKind::corrupt);
    CHECK(found.error().message == std::string("the base backup has a link where its own files should be: "
                                               "'/b/pg_tblspc/") +
                                       name + "' points to '" + target + "'");
  }
}

TEST_CASE("tablespaces of a backup: where the manifest's paths lie") {
  const auto at = [](const std::string& path) { return file_in_backup("/b", {16385, 16400}, path).string(); };
  CHECK(at("base/5/16390") == "/b/base/5/16390");
  CHECK(at("pg_tblspc/16400/PG_15_202209061/5/7") == "/b/tablespaces/16400/PG_15_202209061/5/7");
  CHECK(at("pg_tblspc/16390/PG_15_202209061/5/7") == "/b/pg_tblspc/16390/PG_15_202209061/5/7");
  CHECK(at("pg_tblspc/016400/x") == "/b/pg_tblspc/016400/x");
  CHECK(at("pg_tblspc/16400") == "/b/pg_tblspc/16400");
  CHECK(at("pg_tblspc_16400/x") == "/b/pg_tblspc_16400/x");
}
