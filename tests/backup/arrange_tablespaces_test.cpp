#include "backup/arrange_tablespaces.h"

#include <doctest/doctest.h>

#include "backup/backup_watch.h"
#include "catalog/backup_tablespaces.h"
#include "support/memory_file_system.h"

using namespace walback;

namespace {

const Path kBackup = "/a/.B.unfinished";

/// What pg_basebackup leaves: a directory where it was told, and a link to what it was told.
struct Copied {
  MemoryFileSystem files;
  std::vector<TablespaceMapping> mappings =
      map_tablespaces({{16385, "fast", "/srv/fast"}, {16400, "slow", "/srv/slow"}}, kBackup);

  Copied() { REQUIRE(files.create_directories(kBackup / "pg_tblspc")); }
  void copied(std::uint32_t oid) {
    REQUIRE(files.create_directories(tablespace_in_backup(kBackup, oid) / "PG_15_202209061"));
  }
  void linked(std::uint32_t oid, const Path& target) {
    REQUIRE(files.create_symlink(target, kBackup / "pg_tblspc" / std::to_string(oid)));
  }
  Status arrange(std::optional<std::uint64_t> listed) {
    return arrange_tablespaces(files, kBackup, mappings, listed);
  }
  std::string links() {
    std::string text;
    const auto entries = files.list(kBackup / "pg_tblspc");
    REQUIRE(entries);
    for (const auto& entry : *entries)
      text += entry.name + " " + files.read_link(kBackup / "pg_tblspc" / entry.name).value_or("-") + "; ";
    return text;
  }
};

}  // namespace

TEST_CASE("tablespaces of a primary: each has its place in the backup, but for those in place") {
  const auto mappings =
      map_tablespaces({{16385, "fast", "/srv/a=b"}, {16390, "inside", "pg_tblspc/16390"}}, kBackup);
  REQUIRE(mappings.size() == 1);
  CHECK(mappings[0] == TablespaceMapping{16385, "/srv/a=b", "/a/.B.unfinished/tablespaces/16385"});
  CHECK(mapping_argument(mappings[0]) ==
        "--tablespace-mapping=/srv/a\\=b=/a/.B.unfinished/tablespaces/16385");
  CHECK(mapping_argument({1, "/x", "/a=b/1"}) == "--tablespace-mapping=/x=/a\\=b/1");
}

TEST_CASE("tablespaces after the copy: links are relative, so that the backup may be renamed") {
  Copied world;
  for (const std::uint32_t oid : {16385U, 16400U}) {
    world.copied(oid);
    world.linked(oid, tablespace_in_backup(kBackup, oid));
  }
  REQUIRE(world.arrange(3));
  CHECK(world.links() == "16385 ../tablespaces/16385; 16400 ../tablespaces/16400; ");
  CHECK(tablespaces_in_backup(world.files, kBackup).value().size() == 2);
}

TEST_CASE("tablespaces after the copy: one dropped meanwhile has its link, one created meanwhile has none") {
  Copied world;
  world.copied(16385);  // its link went before pg_tblspc was copied
  world.linked(16500, "/srv/new");
  REQUIRE(world.arrange(2));
  CHECK(world.links() == "16385 ../tablespaces/16385; ");
}

TEST_CASE("tablespaces after the copy: in-place ones are announced from 16 on, and not before") {
  for (const std::uint64_t listed : {2U, 3U}) {
    Copied world;
    world.copied(16385);
    world.linked(16385, tablespace_in_backup(kBackup, 16385));
    REQUIRE(world.files.create_directories(kBackup / "pg_tblspc" / "16390"));
    world.linked(16500, "/srv/new");
    REQUIRE(world.arrange(listed));
    CHECK(world.links() == "16385 ../tablespaces/16385; 16390 -; ");
  }
}

TEST_CASE("tablespaces after the copy: one created before the copy began is no base backup's") {
  for (const std::optional<std::uint64_t> listed : {std::optional<std::uint64_t>(3), {}}) {
    Copied world;
    world.copied(16385);
    world.linked(16385, tablespace_in_backup(kBackup, 16385));
    world.linked(16500, "/srv/new");
    CHECK(world.arrange(listed).error() ==
          Error{ErrorKind::unavailable,
                "a tablespace was created while the base backup began: 16500 ('/srv/new')",
                "Take the backup again. If this machine is not the primary's, what was copied of it may lie "
                "under that path here: nothing needs it."});
  }
  Copied world;
  world.copied(16385);
  world.linked(16500, tablespace_in_backup(kBackup, 16385));
  CHECK(world.arrange(2).error() ==
        Error{ErrorKind::unavailable,
              "tablespace 16500 took the place of tablespace 16385 while the base backup ran",
              "Take the backup again."});
}

TEST_CASE("tablespaces after the copy: how many pg_basebackup announced stands in its progress") {
  BackupWatch watch(std::chrono::seconds(60));
  CHECK_FALSE(watch.tablespaces_listed());
  watch.note_line("   12/23179 kB (0%), 1/3 tablespaces (...ablespaces/16385/PG_15_202209061)");
  CHECK(watch.tablespaces_listed() == 3U);
  watch.note_line("23192/23192 kB (100%), 1/1 tablespace                                         ");
  CHECK(watch.tablespaces_listed() == 1U);
  watch.note_line("pg_basebackup: syncing data to disk ...");
  CHECK(watch.tablespaces_listed() == 1U);
}
