#include "support/every_fault.h"

#include <doctest/doctest.h>

#include "capture/capture_status.h"
#include "capture/epochs.h"
#include "catalog/archive.h"
#include "catalog/journal.h"

using namespace walback;
using namespace walback::test;

namespace {

const ArchiveLayout kArchive{"/archive"};
const Timestamp kNow{1'795'168'800'000'000};

void one_epoch(MemoryFileSystem& disk) {
  REQUIRE(create_archive(disk, kArchive, {7299402, *SegmentSize::from_bytes(1U << 20)}));
  REQUIRE(disk.write(kArchive.epoch(1) / "000000010000000000000001.partial", "wal"));
}

bool has_reason(FileSystem& files) {
  const auto journal = read_journal(files, kArchive.journal());
  REQUIRE(journal);
  for (const JournalEntry& entry : journal->entries)
    if (entry.kind == "epoch_opened" && member<std::uint64_t>(entry.body, "epoch") == 2) return true;
  return false;
}

}  // namespace

TEST_CASE(
    "epochs: opened with a fault at any change, never one without its reason, and the next call opens it") {
  at_every_change(
      one_epoch,
      [](FileSystem& files) -> Status {
        TRY(open_epoch(files, kArchive, kNow, "forked"));
        return {};
      },
      [](const FaultedRun& run) {
        const auto epochs = list_epochs(run.disk, kArchive);
        REQUIRE(epochs);
        if (run.acknowledged) CHECK(epochs->numbers == std::vector<std::uint32_t>{1, 2});
        if (epochs->numbers.size() == 2) CHECK(has_reason(run.disk));
        CHECK(open_epoch(run.disk, kArchive, kNow, "forked") == 2U);
        run.disk.power_cut();
        CHECK(list_epochs(run.disk, kArchive)->numbers == std::vector<std::uint32_t>{1, 2});
        CHECK(has_reason(run.disk));
        CHECK(run.disk.read(kArchive.epoch(1) / "000000010000000000000001.partial") == "wal");
      });
}

TEST_CASE(
    "capture.status: with a fault at any change a reader sees the old one, the new one, or that it is "
    "damaged") {
  CaptureStatus status;
  status.pid = 42;
  at_every_change(
      [&](MemoryFileSystem& disk) {
        one_epoch(disk);
        REQUIRE(write_capture_status(disk, kArchive, status));
      },
      [&](FileSystem& files) {
        CaptureStatus later = status;
        later.restarts = 7;
        return write_capture_status(files, kArchive, later);
      },
      [](const FaultedRun& run) {
        const auto read = read_capture_status(run.disk, kArchive);
        if (read)
          CHECK((read->restarts == 0 || read->restarts == 7));
        else
          CHECK(read.error().kind == ErrorKind::corrupt);
        // Nothing is decided by it: whatever is left is replaced.
        CHECK(write_capture_status(run.disk, kArchive, CaptureStatus{}));
      });
}
