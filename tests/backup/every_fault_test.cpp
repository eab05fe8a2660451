#include "support/every_fault.h"

#include <doctest/doctest.h>

#include "backup/unfinished_backup.h"
#include "support/recording_log.h"

using namespace walback;
using namespace walback::test;

namespace {

const ArchiveLayout kArchive{"/archive"};
const std::string kId = "20261120T104207Z";
const BackupFacts kFacts{{1'795'171'327'123'456}, {1'795'171'330'000'000}, 150020, {}};

}  // namespace

TEST_CASE("backup: published with a fault at any change, what bears its name is whole, and leftovers go") {
  RecordingLog log;
  at_every_change([](MemoryFileSystem& disk) { REQUIRE(disk.create_directories(kArchive.backups())); },
                  [&](FileSystem& files) -> Status {
                    UnfinishedBackup backup(files, kArchive, log, kId);
                    // What pg_basebackup wrote, none of it synced.
                    TRY(files.create_directories(backup.directory() / "base"));
                    TRY(files.write(backup.directory() / "base" / "1", "rows"));
                    return backup.publish(kFacts, {});
                  },
                  [](const FaultedRun& run) {
                    const auto named = run.disk.read(kArchive.backup(kId) / "base" / "1");
                    if (exists(run.disk, kArchive.backup(kId))) CHECK(named == "rows");
                    if (run.acknowledged) REQUIRE(named);
                    if (named) {
                      const auto facts = run.disk.read(backup_facts_file(kArchive, kId));
                      REQUIRE(facts);
                      CHECK(parse_backup_facts(*facts, "facts") == kFacts);
                    }
                    REQUIRE(remove_leftovers(run.disk, kArchive));
                    const auto left = run.disk.list(kArchive.backups());
                    REQUIRE(left);
                    CHECK(left->size() == (named ? 2 : 0));
                  });
}
