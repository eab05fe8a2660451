#include "capture/epochs.h"

#include <doctest/doctest.h>

#include "catalog/archive.h"
#include "catalog/journal.h"
#include "support/faulty_file_system.h"
#include "support/memory_file_system.h"

using namespace walback;

namespace {

const ArchiveLayout kArchive{"/archive"};
const Timestamp kNow{1'795'000'000'000'000};
constexpr const char* kSegment = "000000010000000000000001.partial";

/// Epoch 1 with a segment in it, all of it durable.
struct OneEpoch {
  OneEpoch() {
    REQUIRE(create_archive(files, kArchive, {7299402, *SegmentSize::from_bytes(1U << 20)}));
    REQUIRE(files.write(kArchive.epoch(1) / kSegment, "wal"));
    files.settle();
  }
  /// "2 reason", one for each line of the journal.
  std::vector<std::string> recorded() {
    std::vector<std::string> lines;
    const auto journal = read_journal(files, kArchive.journal()).value();
    for (const auto& entry : journal.entries) {
      if (entry.kind != "epoch_opened") continue;
      lines.push_back(std::to_string(entry.body["epoch"].get<int>()) + " " +
                      entry.body["reason"].get<std::string>());
    }
    return lines;
  }
  std::vector<std::uint32_t> epochs() { return list_epochs(files, kArchive).value().numbers; }

  MemoryFileSystem files;
};

}  // namespace

TEST_CASE("epochs: the first is made where none is, else the newest is used") {
  MemoryFileSystem files;
  REQUIRE(files.create_directories(kArchive.root));
  files.settle();
  CHECK(open_newest_epoch(files, kArchive).value() == 1);
  files.power_cut();
  CHECK(exists(files, kArchive.epoch(1)));
  REQUIRE(files.create_directories(kArchive.epoch(2)));
  REQUIRE(files.write(kArchive.wal() / "notes", "no epoch"));
  CHECK(open_newest_epoch(files, kArchive).value() == 2);
}

TEST_CASE("epochs: a new one is there after a power cut, and so is its reason") {
  OneEpoch archive;
  CHECK(open_epoch(archive.files, kArchive, kNow, "the primary's history forked").value() == 2);
  archive.files.power_cut();
  CHECK(archive.epochs() == std::vector<std::uint32_t>{1, 2});
  CHECK(archive.recorded() == std::vector<std::string>{"2 the primary's history forked"});
}

TEST_CASE("epochs: one that holds no segment is the next one already, and gets its reason") {
  OneEpoch archive;
  REQUIRE(archive.files.create_directories(kArchive.epoch(2)));
  REQUIRE(archive.files.write(kArchive.epoch(2) / "00000002.history", "1\t0/3000000\tpromoted\n"));
  CHECK(open_epoch(archive.files, kArchive, kNow, "a person made it").value() == 2);
  CHECK(archive.recorded() == std::vector<std::string>{"2 a person made it"});
  REQUIRE(archive.files.write(kArchive.epoch(2) / kSegment, "wal"));
  CHECK(open_epoch(archive.files, kArchive, kNow, "again").value() == 3);
}

TEST_CASE("epochs: killed at any point, with or without a power cut, and opened again: one epoch") {
  for (const bool cut : {false, true}) {
    for (int change = 1;; ++change) {
      CAPTURE(cut);
      CAPTURE(change);
      OneEpoch archive;
      FaultyFileSystem faulty(archive.files);
      faulty.kill_at("*", "", change);
      bool killed = false;
      try {
        static_cast<void>(open_epoch(faulty, kArchive, kNow, "forked"));
      } catch (const Killed&) {
        killed = true;
      }
      if (cut) archive.files.power_cut();
      // An epoch never stands there without its reason.
      if (archive.epochs().size() == 2) CHECK(archive.recorded() == std::vector<std::string>{"2 forked"});
      CHECK(open_epoch(archive.files, kArchive, kNow, "forked").value() == 2);
      CHECK(archive.epochs() == std::vector<std::uint32_t>{1, 2});
      CHECK(archive.recorded().back() == "2 forked");
      if (!killed) break;
      REQUIRE(change < 20);
    }
  }
}

TEST_CASE("epochs: a new one is needed where the primary's history left before our place in it") {
  const TimelineHistory second{{2}, {{{1}, {0x94F780}, ""}}};
  const auto needed = [&](TimelineId timeline, std::uint64_t lsn) {
    return reason_for_new_epoch({timeline, {lsn}}, second).value();
  };
  CHECK_FALSE(needed({2}, 0xA00000));
  CHECK_FALSE(needed({1}, 0x900000));  // inside our open segment
  CHECK_FALSE(needed({1}, 0x94F780));
  CHECK(needed({1}, 0xA00000) ==
        "the primary's history left timeline 1 at 0/94F780, before 0/A00000, up to where it was captured");
  const auto elsewhere = reason_for_new_epoch({{3}, {0x900000}}, second);
  REQUIRE_FALSE(elsewhere);
  CHECK(elsewhere.error().kind == ErrorKind::conflict);
  CHECK(elsewhere.error().message ==
        "the newest epoch ends on timeline 3, which is not among those of the primary (timeline 2)");
}
