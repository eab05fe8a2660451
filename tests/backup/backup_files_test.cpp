#include "backup/backup_files.h"

#include <doctest/doctest.h>

#include <array>
#include <bit>

#include "support/memory_file_system.h"

using namespace walback;

namespace {

const ArchiveIdentity kIdentity{7299402, *SegmentSize::from_bytes(16U << 20)};
const ArchiveLayout kArchive{"/archive"};
const std::string kId = "20261120T104207Z";

std::string control_file(std::uint64_t system_identifier) {
  const auto bytes = std::bit_cast<std::array<char, 8>>(system_identifier);
  return std::string(bytes.data(), bytes.size()) + std::string(100, '\0');
}

std::string label(const std::string& start = "0/110000D8") {
  return "START WAL LOCATION: " + start +
         " (file 000000010000000000000011)\nCHECKPOINT LOCATION: 0/11000110\nBACKUP METHOD: streamed\n"
         "BACKUP FROM: primary\nSTART TIME: 2026-11-20 10:42:07 UTC\nLABEL: walback\nSTART TIMELINE: 1\n";
}

const std::string kManifest =
    R"({ "PostgreSQL-Backup-Manifest-Version": 1, "Files": [ { "Path": "PG_VERSION", "Size": 3 } ],
"WAL-Ranges": [ { "Timeline": 1, "Start-LSN": "0/110000D8", "End-LSN": "0/110001B0" } ],
"Manifest-Checksum": "96d5"})";

void put_backup(FileSystem& files, const std::string& id) {
  const auto directory = kArchive.backup(id);
  REQUIRE(files.create_directories(directory / "global"));
  REQUIRE(files.write(directory / "PG_VERSION", "15\n"));
  REQUIRE(files.write(directory / "global" / "pg_control", control_file(kIdentity.system_identifier)));
  REQUIRE(files.write(directory / "backup_label", label()));
  REQUIRE(files.write(directory / "backup_manifest", kManifest));
}

/// In another segment: "12" instead of "11".
void put_backup_in(FileSystem& files, const std::string& id, const std::string& segment) {
  put_backup(files, id);
  for (const std::string name : {"backup_label", "backup_manifest"}) {
    const auto path = kArchive.backup(id) / name;
    std::string text = files.read(path).value();
    for (std::size_t at = 0; (at = text.find("0/11", at)) != std::string::npos; ++at)
      text.replace(at, 4, "0/" + segment);
    REQUIRE(files.write(path, text));
  }
}

std::string problem_after(const std::function<void(FileSystem&, const Path&)>& damage) {
  MemoryFileSystem files;
  put_backup(files, kId);
  damage(files, kArchive.backup(kId));
  const auto rows = scan_backups(files, kArchive, kIdentity);
  REQUIRE(rows);
  REQUIRE(rows->size() == 1);
  return rows->front().problem;
}

}  // namespace

TEST_CASE("backup id: the moment in UTC, numbered when it is taken, and read back") {
  const Timestamp time{1'795'171'327'123'456};
  CHECK(to_rfc3339(time) == "2026-11-20T10:42:07.123456Z");
  CHECK(backup_id(time) == kId);
  CHECK(parse_backup_id(kId) == Timestamp{1'795'171'327'000'000});
  CHECK(parse_backup_id(kId + "-2") == Timestamp{1'795'171'327'000'000});
  for (const auto* wrong :
       {"", "20261120T104207", "20261320T104207Z", "20260230T104207Z", "20261120T244207Z",
        "20261120T104207Z-1", "20261120T104207Z-02", "20261120T104207Z.json", "2026112xT104207Z"}) {
    CAPTURE(wrong);
    CHECK_FALSE(parse_backup_id(wrong));
  }
  MemoryFileSystem files;
  REQUIRE(files.create_directories(kArchive.backups()));
  CHECK(free_backup_id(files, kArchive, time).value() == kId);
  put_backup(files, kId);
  CHECK(free_backup_id(files, kArchive, time).value() == kId + "-2");
}

TEST_CASE("backups on disk: a clock that was set back cannot make an old one the newest") {
  MemoryFileSystem files;
  const std::string earlier = "20261120T093000Z";
  put_backup(files, kId);
  put_backup_in(files, kId + "-2", "12");
  put_backup_in(files, earlier, "13");
  const auto rows = scan_backups(files, kArchive, kIdentity);
  REQUIRE(rows);
  REQUIRE(rows->size() == 3);
  CHECK(rows->at(0).id == kId);
  CHECK(rows->at(1).id == kId + "-2");
  CHECK(rows->at(2).id == earlier);
  CHECK(rows->at(2).started_at < rows->at(0).started_at);
}

TEST_CASE("backups on disk: a row from label, manifest and facts") {
  MemoryFileSystem files;
  put_backup(files, kId);
  const BackupFacts facts{{1'795'171'327'123'456}, {1'795'171'330'000'000}, 150020, {}};
  CHECK(parse_backup_facts(to_text(facts), "x").value() == facts);
  REQUIRE(files.write(backup_facts_file(kArchive, kId), to_text(facts)));
  const auto rows = scan_backups(files, kArchive, kIdentity);
  REQUIRE(rows);
  REQUIRE(rows->size() == 1);
  const auto& row = rows->front();
  CHECK(row.id == kId);
  CHECK(row.problem.empty());
  CHECK(row.timeline == TimelineId{1});
  CHECK(row.start_lsn == Lsn{0x110000D8});
  CHECK(row.checkpoint_lsn == Lsn{0x11000110});
  CHECK(row.stop_lsn == Lsn{0x110001B0});
  CHECK(row.size_bytes == 3);
  CHECK(row.started_at == facts.started_at);
  CHECK(row.finished_at == facts.finished_at);
  CHECK(row.server_version_num == 150020);
  CHECK(row.tablespaces.empty());
}

TEST_CASE("backups on disk: without facts the backup is whole, only its times are coarser") {
  MemoryFileSystem files;
  put_backup(files, kId);
  const auto row = scan_backups(files, kArchive, kIdentity).value().front();
  CHECK(row.problem.empty());
  CHECK(row.started_at == parse_backup_id(kId));
  CHECK(row.server_version_num == 150000);
}

TEST_CASE("backups on disk: unfinished ones and names that are not ours are no backups; order is time") {
  MemoryFileSystem files;
  CHECK(scan_backups(files, kArchive, kIdentity).value().empty());
  put_backup(files, "20261121T000000Z");
  put_backup(files, kId + "-2");
  put_backup(files, kId);
  REQUIRE(files.create_directories(kArchive.unfinished_backup("20261122T000000Z")));
  REQUIRE(files.create_directories(kArchive.backups() / "lost+found"));
  std::vector<std::string> ids;
  const auto rows = scan_backups(files, kArchive, kIdentity).value();
  for (const auto& row : rows) ids.push_back(row.id);
  CHECK(ids == std::vector<std::string>{kId, kId + "-2", "20261121T000000Z"});
}

TEST_CASE("backups on disk: a damaged one is seen, with what is wrong, and never passed over") {
  CHECK(problem_after([](FileSystem& files, const Path& at) {
          REQUIRE(files.write(at / "global" / "pg_control", control_file(1)));
        }) == "base backup '20261120T104207Z' carries system identifier 1, the archive expects 7299402");
  CHECK(problem_after([](FileSystem& files, const Path& at) {
          REQUIRE(files.write(at / "global" / "pg_control", "abc"));
        }) == "/archive/backups/20261120T104207Z/global/pg_control is cut short");
  CHECK(
      problem_after([](FileSystem& files, const Path& at) {
        REQUIRE(files.write(at / "backup_label", label("0/12000028")));
      }) ==
      "base backup '20261120T104207Z': its manifest begins at 0/110000D8 on timeline 1, its backup_label at "
      "0/12000028 on timeline 1");
  CHECK(problem_after([](FileSystem& files, const Path& at) {
          REQUIRE(files.write(at / "backup_manifest", ""));
        }) == "backup_manifest: no valid JSON at byte 1");
  CHECK(problem_after([](FileSystem& files, const Path& at) {
          REQUIRE(files.write(at / "PG_VERSION", "old"));
        }) == "/archive/backups/20261120T104207Z/PG_VERSION holds 'old', expected a major version");
  for (const auto* name : {"PG_VERSION", "backup_label", "backup_manifest", "global/pg_control"}) {
    CAPTURE(name);
    CHECK(problem_after([&](FileSystem& files, const Path& at) {
            REQUIRE(files.remove(at / name));
          }).find(Path(name).filename().string()) != std::string::npos);
  }
}

TEST_CASE("leftovers: what a crash left goes, what is a backup stays") {
  MemoryFileSystem files;
  put_backup(files, kId);
  REQUIRE(files.write(backup_facts_file(kArchive, kId), "{}"));
  REQUIRE(files.create_directories(kArchive.unfinished_backup("20261122T000000Z") / "base" / "1"));
  REQUIRE(files.write(kArchive.unfinished_backup("20261122T000000Z") / "base" / "1" / "2", "x"));
  REQUIRE(files.write(backup_facts_file(kArchive, "20261122T000000Z"), "{}"));
  REQUIRE(files.write(kArchive.backups() / (kId + ".json.tmp"), "{"));
  REQUIRE(files.write(kArchive.backups() / "notes.json", "mine"));
  REQUIRE(files.create_directories(kArchive.backups() / ".mine.unfinished"));
  CHECK(remove_leftovers(files, kArchive).value() == std::vector<std::string>{".20261122T000000Z.unfinished",
                                                                              "20261120T104207Z.json.tmp",
                                                                              "20261122T000000Z.json"});
  CHECK(scan_backups(files, kArchive, kIdentity).value().size() == 1);
  CHECK(exists(files, backup_facts_file(kArchive, kId)));
  CHECK(exists(files, kArchive.backups() / "notes.json"));
  CHECK(exists(files, kArchive.backups() / ".mine.unfinished"));
  CHECK(remove_leftovers(files, kArchive).value().empty());
}

TEST_CASE("backups: one that its command did not live to register is registered, once") {
  MemoryFileSystem files;
  put_backup(files, kId);
  auto catalog = Catalog::open(":memory:");
  REQUIRE(catalog);
  REQUIRE(register_unknown_backups(files, kArchive, kIdentity, *catalog));
  REQUIRE(catalog->backups().value().size() == 1);
  CHECK(catalog->backups().value().front().id == kId);
  CHECK(to_string(catalog->backups().value().front().stop_lsn) == "0/110001B0");

  auto known = catalog->backups().value().front();
  known.problem = "its bytes differ";
  REQUIRE(catalog->put_backup(known));
  REQUIRE(register_unknown_backups(files, kArchive, kIdentity, *catalog));
  CHECK(catalog->backups().value().front().problem == "its bytes differ");
}
