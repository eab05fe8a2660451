#include "catalog/archive.h"

#include "catalog_fixture.h"
#include "support/faulty_file_system.h"
#include "support/memory_file_system.h"

namespace walback {
namespace {

using catalog_test::value;

const ArchiveLayout kLayout{"/srv/archive"};
const std::string kIdentityHint =
    "Put the file back from a copy of the archive; PostgreSQL's pg_controldata names both values of the "
    "primary.";

ArchiveIdentity identity(std::uint64_t system = 7'299'000'000'000'000'402, std::uint64_t bytes = 16U << 20) {
  return {system, *SegmentSize::from_bytes(bytes)};
}

Error parse_error(const std::string& text) {
  const auto parsed = parse_archive_identity(text, "walback-archive.json");
  REQUIRE_FALSE(parsed);
  return parsed.error();
}

TEST_CASE("archive layout: every path") {
  CHECK(kLayout.identity() == "/srv/archive/walback-archive.json");
  CHECK(kLayout.epoch(1) == "/srv/archive/wal/0001");
  CHECK(kLayout.epoch(12345) == "/srv/archive/wal/12345");
  CHECK(kLayout.backup("20261120T104207Z") == "/srv/archive/backups/20261120T104207Z");
  CHECK(kLayout.unfinished_backup("20261120T104207Z") == "/srv/archive/backups/.20261120T104207Z.unfinished");
  CHECK(kLayout.journal() == "/srv/archive/journal.jsonl");
  CHECK(kLayout.catalog() == "/srv/archive/catalog.sqlite");
  CHECK(kLayout.capture_status() == "/srv/archive/capture.status");
  CHECK(kLayout.manage_status() == "/srv/archive/manage.status");
  CHECK(kLayout.lock("manage") == "/srv/archive/locks/manage.lock");
}

TEST_CASE("archive identity: JSON and back, the largest values too") {
  for (const auto& original : {identity(), identity(UINT64_MAX, 1U << 30), identity(1, 1U << 20)}) {
    CHECK(value(parse_archive_identity(to_text(original), "x")) == original);
  }
  CHECK(to_text(identity()) ==
        "{\n  \"format\": 1,\n  \"system_identifier\": \"7299000000000000402\",\n  \"wal_segment_size\": "
        "16777216\n}\n");
}

TEST_CASE("archive identity: damage is named, a newer format is a conflict") {
  CHECK(parse_error("{\"for") ==
        Error{ErrorKind::corrupt, "walback-archive.json is not valid JSON", kIdentityHint});
  CHECK(parse_error("{}") ==
        Error{ErrorKind::corrupt, "walback-archive.json has no \"format\"", kIdentityHint});
  CHECK(parse_error(R"({"format":2,"anything":1})") ==
        Error{ErrorKind::conflict, "walback-archive.json has format 2, this walback reads format 1",
              "Use a walback at least as new as the one that made this archive."});
  CHECK(parse_error(R"({"format":1,"system_identifier":"-7","wal_segment_size":16777216})") ==
        Error{ErrorKind::corrupt, "walback-archive.json has no valid \"system_identifier\"", kIdentityHint});
  CHECK(parse_error(R"({"format":1,"system_identifier":"0","wal_segment_size":16777216})").kind ==
        ErrorKind::corrupt);
  CHECK(parse_error(R"({"format":1,"system_identifier":"7","wal_segment_size":16777217})") ==
        Error{ErrorKind::corrupt,
              "walback-archive.json has no valid \"wal_segment_size\" (a power of two from 1 MB to 1 GB)",
              kIdentityHint});
}

TEST_CASE("archive: none there is not_found with the command that makes one") {
  MemoryFileSystem files;
  CHECK(read_archive_identity(files, kLayout).error() ==
        Error{ErrorKind::not_found, "there is no archive in /srv/archive",
              "Run `walback init` to make one, or correct `archive:` in walback.yaml."});
}

TEST_CASE("archive: created, again with the same identity, refused for another") {
  MemoryFileSystem files;
  value(create_archive(files, kLayout, identity()));
  value(create_archive(files, kLayout, identity()));
  CHECK(value(read_archive_identity(files, kLayout)) == identity());
  CHECK(value(list_epochs(files, kLayout)).numbers == std::vector<std::uint32_t>{1});
  CHECK(
      create_archive(files, kLayout, identity(42)).error() ==
      Error{ErrorKind::foreign_system,
            "the archive /srv/archive belongs to system identifier 7299000000000000402, the primary has 42",
            "Was the primary initialised anew, or the connection string changed? An archive never mixes two "
            "clusters: give this one another directory."});
  CHECK(create_archive(files, kLayout, identity(7'299'000'000'000'000'402, 1U << 20)).error() ==
        Error{ErrorKind::foreign_system,
              "the archive /srv/archive holds segments of 16 MB, the primary writes segments of 1 MB",
              "pg_resetwal --wal-segsize was run: its WAL does not continue what is here. Give it another "
              "directory."});
}

TEST_CASE("archive: a directory with other content is refused and left alone") {
  MemoryFileSystem files;
  value(files.create_directories(kLayout.root / "lost+found"));
  value(files.write(kLayout.root / "PG_VERSION", "15\n"));
  CHECK(create_archive(files, kLayout, identity()).error() ==
        Error{ErrorKind::conflict, "/srv/archive is not empty (it holds 'PG_VERSION') and is no archive",
              "Name an empty directory, or one that does not exist yet."});
  CHECK(files.files() == std::vector<std::string>{"/srv/archive/PG_VERSION"});
}

TEST_CASE("archive: a damaged identity is never overwritten") {
  MemoryFileSystem files;
  value(create_archive(files, kLayout, identity()));
  value(files.write(kLayout.identity(), ""));
  CHECK(create_archive(files, kLayout, identity()).error().kind == ErrorKind::corrupt);
  CHECK(value(files.read(kLayout.identity())).empty());
}

TEST_CASE("archive: killed at each step and the plug pulled, the next init completes it") {
  for (int step = 1;; ++step) {
    MemoryFileSystem disk;
    FaultyFileSystem files(disk);
    files.kill_at("*", "", step, true);
    bool died = false;
    try {
      value(create_archive(files, kLayout, identity()));
    } catch (const Killed&) {
      died = true;
    }
    files.heal();
    disk.power_cut(static_cast<std::uint64_t>(step));
    CAPTURE(step);
    value(create_archive(files, kLayout, identity()));
    disk.power_cut();
    CHECK(value(read_archive_identity(disk, kLayout)) == identity());
    CHECK(value(list_epochs(disk, kLayout)).numbers == std::vector<std::uint32_t>{1});
    if (!died) break;
    REQUIRE(step < 100);
  }
}

TEST_CASE("archive: epochs by number, other names apart") {
  MemoryFileSystem files;
  value(create_archive(files, kLayout, identity()));
  for (const char* name : {"0002", "10000", "9999", "0", "0000", "00003", "3", "4294967296", "-001", "new"}) {
    value(files.create_directories(kLayout.wal() / name));
  }
  value(files.write(kLayout.wal() / "0007", "a file"));
  const EpochList epochs = value(list_epochs(files, kLayout));
  CHECK(epochs.numbers == std::vector<std::uint32_t>{1, 2, 9999, 10000});
  CHECK(epochs.unknown ==
        std::vector<std::string>{"-001", "0", "0000", "00003", "0007", "3", "4294967296", "new"});
}

TEST_CASE("archive: a first epoch that was removed is not made again") {
  MemoryFileSystem files;
  value(create_archive(files, kLayout, identity()));
  value(files.create_directories(kLayout.epoch(2)));
  value(files.remove_tree(kLayout.epoch(1)));
  value(create_archive(files, kLayout, identity()));
  CHECK(value(list_epochs(files, kLayout)).numbers == std::vector<std::uint32_t>{2});
}

}  // namespace
}  // namespace walback
