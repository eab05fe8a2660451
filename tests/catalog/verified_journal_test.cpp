#include "catalog/verified_journal.h"

#include "catalog_fixture.h"
#include "support/memory_file_system.h"

namespace walback {
namespace {

using namespace catalog_test;

const ArchiveLayout kLayout{"/srv/archive"};

VerifiedRun run(std::uint64_t first, std::uint64_t last, std::int64_t offset_us) {
  return {.timeline = {1},
          .epoch = 1,
          .first = {first},
          .last = {last},
          .digest = 7,
          .verified_at = at(offset_us)};
}

TEST_CASE("verified journal: each line, word for word") {
  CHECK(
      to_line(journal_entry(run(3, 66, 123'456)).body) ==
      R"({"at":"2026-11-20T12:00:00.123456Z","kind":"verified_wal","timeline":1,"epoch":1,"first":3,"last":66,)"
      R"("digest":7,"verified_at_us":1795176000123456})");
  CHECK(to_line(journal_entry(VerifiedBackup{"20261120T110000Z", 9, at(0)}).body) ==
        R"({"at":"2026-11-20T12:00:00.000000Z","kind":"verified_backup","id":"20261120T110000Z","digest":9,)"
        R"("verified_at_us":1795176000000000})");
  DrillRow drill;
  drill.started_at = at(0);
  drill.seed = 17;
  drill.directory = "/srv/walback-drill-1";
  drill.checks = "proof";
  CHECK(
      to_line(journal_entry(drill).body) ==
      R"({"at":"2026-11-20T12:00:00.000000Z","kind":"drill","state":"running","started_at_us":1795176000000000,)"
      R"("seed":17,"target":"","directory":"/srv/walback-drill-1","rto_us":0,"base_bytes":0,"wal_bytes":0,)"
      R"("checks":"proof","error":"","kept":false})");
}

TEST_CASE("verified journal: a run takes the place of those that it covers, and of no other") {
  Catalog catalog = *Catalog::open(":memory:");
  for (const VerifiedRun& each : {run(1, 64, 1), run(65, 70, 2), run(200, 210, 3)})
    REQUIRE(catalog.put_verified(each));
  REQUIRE(catalog.put_verified(run(1, 128, 4)));
  CHECK(*catalog.verified_runs() == std::vector<VerifiedRun>{run(1, 128, 4), run(200, 210, 3)});
  // Of another epoch it says nothing.
  VerifiedRun other = run(1, 300, 5);
  other.epoch = 2;
  REQUIRE(catalog.put_verified(other));
  CHECK(catalog.verified_runs()->size() == 3);
}

TEST_CASE("verified journal: what is incomplete is damage, and is never replayed") {
  MemoryFileSystem files;
  REQUIRE(files.create_directories(kLayout.root));
  JournalEntry broken = journal_entry(run(3, 66, 0));
  broken.body.erase("digest");
  REQUIRE(append_journal(files, kLayout.journal(), broken));
  JournalEntry backwards = journal_entry(run(66, 3, 0));
  REQUIRE(append_journal(files, kLayout.journal(), backwards));
  JournalEntry unknown = journal_entry(DrillRow{});
  unknown.body["state"] = "somehow";
  REQUIRE(append_journal(files, kLayout.journal(), unknown));
  const auto content = read_journal(files, kLayout.journal());
  REQUIRE(content);
  CHECK(content->entries.empty());
  CHECK(content->damage.size() == 3);
}

TEST_CASE("verified journal: begun anew, older looks count no more") {
  MemoryFileSystem files;
  REQUIRE(files.create_directories(kLayout.root));
  Catalog catalog = *Catalog::open(":memory:");
  CHECK(verified_from(catalog)->unix_us == 0);
  REQUIRE(begin_verifying_all(files, kLayout, catalog, at(42)));
  CHECK(*verified_from(catalog) == at(42));
}

}  // namespace
}  // namespace walback
