#include "backup/backup_manifest.h"

#include <doctest/doctest.h>

using namespace walback;

namespace {

const std::string kManifest = R"({ "PostgreSQL-Backup-Manifest-Version": 1,
"Files": [
{ "Path": "backup_label", "Size": 227, "Last-Modified": "2026-11-20 09:50:14 GMT", "Checksum-Algorithm": "SHA256", "Checksum": "8ee1" },
{ "Encoded-Path": "62617365", "Size": 8192, "Last-Modified": "2026-11-20 09:50:15 GMT", "Checksum-Algorithm": "SHA256", "Checksum": "7014" }
],
"WAL-Ranges": [
{ "Timeline": 1, "Start-LSN": "0/110000D8", "End-LSN": "0/110001B0" }
],
"Manifest-Checksum": "96d5"}
)";

std::string with(const std::string& what, const std::string& instead) {
  std::string text = kManifest;
  text.replace(text.find(what), what.size(), instead);
  return text;
}

std::string complaint(const std::string& text) {
  const auto manifest = parse_backup_manifest(text);
  REQUIRE_FALSE(manifest);
  CHECK(manifest.error().kind == ErrorKind::corrupt);
  return manifest.error().message;
}

}  // namespace

TEST_CASE("backup_manifest: the WAL range, the number of files and their bytes") {
  const auto manifest = parse_backup_manifest(kManifest);
  REQUIRE(manifest);
  CHECK(*manifest == BackupManifest{{{{1}, Lsn{0x110000D8}, Lsn{0x110001B0}}}, 2, 8419});
}

TEST_CASE("backup_manifest: version 2, as PostgreSQL 17 writes it, is read too; a later one is refused") {
  CHECK(parse_backup_manifest(with("Version\": 1,", "Version\": 2,\n\"System-Identifier\": 7299402,")));
  CHECK(complaint(with("Version\": 1", "Version\": 3")) ==
        "backup_manifest: format version 3, expected 1 or 2");
}

TEST_CASE("backup_manifest: two timelines are two ranges") {
  const auto manifest = parse_backup_manifest(
      with("\"0/110001B0\" }",
           "\"0/110001B0\" },\n{ \"Timeline\": 2, \"Start-LSN\": \"0/1\", \"End-LSN\": \"0/2\" }"));
  REQUIRE(manifest);
  CHECK(manifest->wal_ranges.size() == 2);
}

TEST_CASE("backup_manifest: what is missing is named") {
  CHECK(complaint("") == "backup_manifest: no valid JSON at byte 1");
  CHECK(complaint("{}") == "backup_manifest: no PostgreSQL-Backup-Manifest-Version");
  CHECK(complaint(with("\"0/110000D8\"", "\"zero\"")) ==
        "backup_manifest: a WAL range without valid Timeline, Start-LSN and End-LSN");
  CHECK(complaint(with("\"Timeline\": 1", "\"Timeline\": 0")) ==
        "backup_manifest: a WAL range without valid Timeline, Start-LSN and End-LSN");
  CHECK(complaint(with("\"0/110001B0\"", "\"0/110000D8\"")) ==
        "backup_manifest: a WAL range without valid Timeline, Start-LSN and End-LSN");
  CHECK(complaint(with(",\n\"Manifest-Checksum\": \"96d5\"", "")) == "backup_manifest: no Manifest-Checksum");
  CHECK(complaint(with("{ \"Timeline\": 1, \"Start-LSN\": \"0/110000D8\", \"End-LSN\": \"0/110001B0\" }",
                       "")) == "backup_manifest: no WAL-Ranges");
  CHECK(complaint(with("227", "-1")) == "backup_manifest: a negative number");
}

TEST_CASE("backup_manifest: cut short anywhere it is refused, and deep nesting costs no stack") {
  for (std::size_t length = 0; length + 2 < kManifest.size(); ++length) {
    CHECK_FALSE(parse_backup_manifest(std::string_view(kManifest).substr(0, length)));
  }
  CHECK(complaint(std::string(1'000'000, '[')) == "backup_manifest: deep nesting");
}
