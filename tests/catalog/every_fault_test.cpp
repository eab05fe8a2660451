#include "support/every_fault.h"

#include <doctest/doctest.h>

#include "catalog/archive.h"
#include "catalog/journal.h"

using namespace walback;
using namespace walback::test;

namespace {

const ArchiveLayout kLayout{"/srv/archive"};

ArchiveIdentity identity() {
  return {7299402, *SegmentSize::from_bytes(16U << 20)};
}

JournalEntry mark(std::uint64_t lsn) {
  return journal_entry({1'795'168'800'000'000}, WatermarkRow{{1}, {lsn}, {1'795'168'800'000'000}});
}

std::vector<std::uint64_t> marks_in(FileSystem& files) {
  const auto content = read_journal(files, kLayout.journal());
  REQUIRE(content);
  CHECK(content->damage.empty());
  std::vector<std::uint64_t> lsns;
  for (const JournalEntry& entry : content->entries) lsns.push_back(watermark_of(entry)->lsn.value);
  return lsns;
}

}  // namespace

TEST_CASE(
    "journal: killed, full or without power at any change, what was acknowledged is there, and the rest") {
  at_every_change(
      [](MemoryFileSystem& disk) {
        REQUIRE(disk.create_directories(kLayout.root));
        REQUIRE(append_journal(disk, kLayout.journal(), mark(1)));
      },
      [](FileSystem& files) -> Status {
        TRY(append_journal(files, kLayout.journal(), mark(2)));
        return append_journal(files, kLayout.journal(), mark(3));
      },
      [](const FaultedRun& run) {
        auto found = marks_in(run.disk);
        if (run.acknowledged) CHECK(found == std::vector<std::uint64_t>{1, 2, 3});
        REQUIRE(!found.empty());
        CHECK(found.front() == 1);
        REQUIRE(append_journal(run.disk, kLayout.journal(), mark(4)));
        found.push_back(4);
        CHECK(marks_in(run.disk) == found);
      });
}

TEST_CASE("journal: its first line, at any change") {
  at_every_change([](MemoryFileSystem& disk) { REQUIRE(disk.create_directories(kLayout.root)); },
                  [](FileSystem& files) { return append_journal(files, kLayout.journal(), mark(1)); },
                  [](const FaultedRun& run) {
                    const auto found = marks_in(run.disk);
                    CHECK((found.size() == 1 || !run.acknowledged));
                    REQUIRE(append_journal(run.disk, kLayout.journal(), mark(2)));
                    CHECK(marks_in(run.disk).back() == 2);
                  });
}

TEST_CASE("archive: made with a fault at any change, the next init completes it") {
  at_every_change([](MemoryFileSystem&) {},
                  [](FileSystem& files) { return create_archive(files, kLayout, identity()); },
                  [](const FaultedRun& run) {
                    if (run.acknowledged) CHECK(read_archive_identity(run.disk, kLayout) == identity());
                    const Status again = create_archive(run.disk, kLayout, identity());
                    REQUIRE_MESSAGE(again, again.error().message);
                    run.disk.power_cut();
                    CHECK(read_archive_identity(run.disk, kLayout) == identity());
                    CHECK(list_epochs(run.disk, kLayout)->numbers == std::vector<std::uint32_t>{1});
                  });
}
