#include "restore/restored_tablespace.h"

#include <doctest/doctest.h>

#include "base/text.h"
#include "catalog/backup_tablespaces.h"
#include "restore/place.h"
#include "support/memory_file_system.h"

using namespace walback;

namespace {

const Path kInto = "/restored/r1";
const Path kBeside = "/restored/r1.tablespaces";

struct World {
  MemoryFileSystem files;
  ArchiveLayout archive{"/archive"};
  RestorePlan plan{{7'301'118, *SegmentSize::from_bytes(16U << 20)}};
  Place place{kInto, 5433};
  PlaceReport report;

  World() {
    plan.backup.id = "B1";
    plan.backup.tablespaces = {"16385 /srv/fast", "16400"};
    REQUIRE(files.create_directories("/restored"));
    REQUIRE(files.create_directories(base() / "pg_tblspc"));
  }
  [[nodiscard]] Path base() const { return archive.backup("B1"); }
  void of_base(std::uint32_t oid) {
    const Path directory = tablespace_in_backup(base(), oid) / "PG_15_202209061" / "5";
    REQUIRE(files.create_directories(directory));
    REQUIRE(files.write(directory / "16391", "12345678"));
    REQUIRE(files.create_symlink(tablespace_link(oid), base() / "pg_tblspc" / std::to_string(oid)));
  }
  void created(std::uint32_t oid, const std::string& path) {
    plan.tablespaces_created.push_back({Lsn{0x4000200}, path, oid});
  }
  /// "fine", or each fault in a line: "conflict: text | hint".
  [[nodiscard]] std::string faults() {
    std::vector<PlaceFault> found;
    check_tablespace_places(files, plan, archive, place, report, found);
    std::string text;
    for (const PlaceFault& fault : found)
      text += std::string(name_of(fault.kind)) + ": " + fault.text + " | " + fault.hint + "\n";
    return text.empty() ? "fine" : text;
  }
  [[nodiscard]] std::string tablespaces() {
    std::string text;
    for (const RestoredTablespace& one : report.tablespaces) text += render_text(one) + "\n";
    return text;
  }
};

}  // namespace

TEST_CASE("tablespaces of a copy: the base's anew below one directory, the WAL's where the WAL says") {
  World world;
  world.of_base(16400);
  world.of_base(16385);
  world.created(16500, "/mnt/new");
  world.created(16501, "");  // in place
  CHECK(world.faults() == "fine");
  CHECK(world.tablespaces() ==
        "16385 '/srv/fast' lies in '/restored/r1.tablespaces/16385'\n"
        "16400 lies in '/restored/r1.tablespaces/16400'\n"
        "16500 '/mnt/new' lies in '/mnt/new', created by the WAL at 0/4000200\n");
  CHECK(world.report.tablespaces[0].bytes == 8);
  CHECK(claimed_directories(world.report.tablespaces) == std::vector<Path>{"/mnt/new", kBeside});
  for (const RestoredTablespace& one : world.report.tablespaces)
    CHECK(parse_restored_tablespace(to_json(one), "x").value() == one);

  world.place.chosen_tablespaces = "/big/ts";
  CHECK(world.faults() == "fine");
  CHECK(world.report.tablespaces[0].directory == "/big/ts/16385");
}

TEST_CASE("tablespaces of a copy: one of the base that the WAL creates again is the WAL's") {
  World world;
  world.of_base(16385);
  world.created(16385, "/srv/fast");
  CHECK(world.faults() == "fine");
  CHECK(world.tablespaces() == "16385 '/srv/fast' lies in '/srv/fast', created by the WAL at 0/4000200\n");
}

TEST_CASE("place of tablespaces: absent or empty, apart from everything else") {
  World world;
  world.of_base(16385);
  REQUIRE(world.files.create_directories(kBeside));
  CHECK(world.faults() == "fine");
  REQUIRE(world.files.write(kBeside / "precious", ""));
  CHECK(world.faults() ==
        "conflict: directory '/restored/r1.tablespaces' is not empty: found 'precious', expected nothing | "
        "Name another one with --tablespaces: absent or empty.\n");
  REQUIRE(world.files.write("/file", ""));
  world.place.chosen_tablespaces = "/file";
  CHECK(world.faults() ==
        "conflict: '/file' is not a directory | Name another one with --tablespaces: absent or empty.\n");
  world.place.chosen_tablespaces = "/archive/ts";
  CHECK(world.faults() ==
        "conflict: '/archive/ts' lies inside the archive '/archive' | Name a directory outside of it.\n");
  world.place.directory = "/new/r1";
  for (const char* entangled : {"/new/r1", "/new/r1/ts", "/new"}) {
    world.place.chosen_tablespaces = entangled;
    CHECK(world.faults() == std::string("conflict: a tablespace would lie in '") + entangled +
                                "', and the restored cluster is '/new/r1' | Name directories that lie "
                                "beside each other with --into and --tablespaces.\n");
  }
}

TEST_CASE("place of tablespaces: what a copy of ours has is its own, until it is removed") {
  World world;
  world.of_base(16385);
  world.created(16500, "/mnt/new");
  REQUIRE(claim_directory(world.files, kBeside, "/restored/other"));
  REQUIRE(claim_directory(world.files, "/mnt/new", "/restored/other"));
  CHECK(world.faults() ==
        "conflict: the WAL up to the stop creates tablespace 16500 in '/mnt/new', which the restored cluster "
        "in '/restored/other' has | Only one copy can have it on this host: remove that one with `walback "
        "clusters remove`.\n"
        "conflict: '/restored/r1.tablespaces' holds the tablespaces of the restored cluster in "
        "'/restored/other' | Name another one with --tablespaces: absent or empty.\n");
  // Not the primary's: the plan itself need not refuse it.
  CHECK_FALSE(may_be_owned(world.files, "/mnt/new"));
  for (const char* path : {"/mnt/new", "/restored/r1.tablespaces"}) {
    REQUIRE(release_directory(world.files, path, "/restored/other"));
    REQUIRE(claim_directory(world.files, path, kInto));
  }
  CHECK(world.faults() != "fine");  // a finished copy's
  world.report.occupancy = Occupancy::unfinished;
  CHECK(world.faults() == "fine");  // wiped with the rest of it
}

TEST_CASE("place of tablespaces: a path that exists, or of which nobody can tell, may be the primary's") {
  World world;
  world.created(16500, "/mnt/new");
  CHECK_FALSE(may_be_owned(world.files, "/mnt/new"));
  const std::string refused =
      "conflict: the WAL up to the stop creates tablespace 16500 in '/mnt/new', and that path exists on this "
      "host: it may be the live primary's | Restore on a host without that path, or stop before it.\n";
  REQUIRE(world.files.create_directories("/mnt/new"));
  CHECK(may_be_owned(world.files, "/mnt/new"));
  CHECK(world.faults() == refused);
  REQUIRE(world.files.remove_tree("/mnt/new"));
  REQUIRE(world.files.create_symlink("/nowhere", "/mnt/new"));
  CHECK(world.faults() == refused);
}

TEST_CASE("claimed directories: made with their parents, known by their mark, removed with both") {
  MemoryFileSystem files;
  REQUIRE(files.create_directories("/mnt"));
  REQUIRE(claim_directory(files, "/mnt/a/b/new", kInto));
  CHECK(claimant(files, "/mnt/a/b/new") == kInto);
  CHECK_FALSE(exists(files, "/mnt/a/b/new.walback"));
  REQUIRE(files.create_directories("/mnt/a/b/new/PG_15_202209061/5"));
  REQUIRE(release_directory(files, "/mnt/a/b/new", "/restored/other"));
  CHECK(exists(files, "/mnt/a/b/new/PG_15_202209061/5"));
  REQUIRE(release_directory(files, "/mnt/a/b/new", kInto));
  CHECK_FALSE(exists(files, "/mnt/a"));
  CHECK(exists(files, "/mnt"));
  REQUIRE(release_directory(files, "/mnt/a/b/new", kInto));

  // Somebody put something beside it meanwhile: that stays.
  REQUIRE(claim_directory(files, "/mnt/a/b/new", kInto));
  REQUIRE(files.write("/mnt/a/theirs", ""));
  REQUIRE(release_directory(files, "/mnt/a/b/new", kInto));
  CHECK_FALSE(exists(files, "/mnt/a/b"));
  CHECK(exists(files, "/mnt/a/theirs"));
}

TEST_CASE("claimed directories: never over what is there, never removed without their mark") {
  MemoryFileSystem files;
  REQUIRE(files.create_directories("/mnt/primary/PG_15_202209061"));
  CHECK(claim_directory(files, "/mnt/primary", kInto).error().message ==
        "directory '/mnt/primary' is not empty: found 'PG_15_202209061', expected nothing");
  REQUIRE(release_directory(files, "/mnt/primary", kInto));
  CHECK(exists(files, "/mnt/primary/PG_15_202209061"));
  CHECK_FALSE(claimant(files, "/mnt/primary"));
  // An empty one was made by somebody for this: it is used, and removed, its parent stays.
  REQUIRE(files.create_directories("/mnt/empty/ts"));
  REQUIRE(claim_directory(files, "/mnt/empty/ts", kInto));
  REQUIRE(release_directory(files, "/mnt/empty/ts", kInto));
  CHECK(exists(files, "/mnt/empty"));
  CHECK_FALSE(exists(files, "/mnt/empty/ts"));
  // A crash before the mark was in it.
  REQUIRE(files.create_directories("/mnt/grows.walback"));
  REQUIRE(release_directory(files, "/mnt/grows", kInto));
  CHECK_FALSE(exists(files, "/mnt/grows.walback"));
}

TEST_CASE("tablespaces of a copy: links are held against what was laid out") {
  std::vector<RestoredTablespace> tablespaces(2);
  tablespaces[0] = {16385, "/srv/fast", "/r.tablespaces/16385", 8, {}};
  tablespaces[1] = {16400, "/srv/slow", "/r.tablespaces/16400", 8, {}};
  CHECK(mind_links({{16385, "/r.tablespaces/16385"}}, tablespaces).empty());
  CHECK_FALSE(tablespaces[0].dropped);
  CHECK(tablespaces[1].dropped);
  CHECK(render_text(tablespaces[1]) == "16400 '/srv/slow' was dropped by the WAL");
  CHECK(join(mind_links({{16385, "/srv/fast"}, {16500, "/mnt/new"}}, tablespaces), "; ") ==
        "tablespace 16385 lies in '/srv/fast', expected '/r.tablespaces/16385'; tablespace 16500 lies in "
        "'/mnt/new', expected none");
}
