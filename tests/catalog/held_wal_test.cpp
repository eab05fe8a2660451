#include "catalog/held_wal.h"

#include <doctest/doctest.h>

#include "catalog/archive.h"
#include "support/memory_file_system.h"

using namespace walback;

namespace {

const SegmentSize kSize = *SegmentSize::from_bytes(1U << 20);
const ArchiveLayout kArchive{"/archive"};

struct HeldFiles {
  HeldFiles() { REQUIRE(create_archive(files, kArchive, {7299402, kSize})); }
  void put(std::uint32_t epoch, const std::string& name, const std::string& content = "wal") {
    REQUIRE(files.create_directories(kArchive.epoch(epoch)));
    REQUIRE(files.write(kArchive.epoch(epoch) / name, content));
  }
  MemoryFileSystem files;
};

std::optional<ResumePoint> resume(const std::vector<std::string>& names) {
  std::vector<DirectoryEntry> entries;
  for (const auto& name : names) entries.push_back({name, FileKind::regular});
  return resume_point(entries, kSize);
}

}  // namespace

TEST_CASE("resume point: as pg_receivewal finds it: a segment's end, a partial's start, numbers first") {
  CHECK_FALSE(resume({}));
  CHECK_FALSE(resume({"00000002.history", "README"}));
  CHECK(resume({"000000010000000000000003"}) == ResumePoint{{1}, {4U << 20}});
  CHECK(resume({"000000010000000000000003", "000000010000000000000004.partial"}) ==
        ResumePoint{{1}, {4U << 20}});
  CHECK(resume({"000000010000000000000009", "000000020000000000000004"}) == ResumePoint{{1}, {10U << 20}});
  CHECK(resume({"000000010000000000000009.partial", "000000020000000000000009.partial"}) ==
        ResumePoint{{2}, {9U << 20}});
}

TEST_CASE("resume point: of the newest epoch that holds segments") {
  HeldFiles held;
  CHECK_FALSE(newest_resume_point(held.files, kArchive).value());
  held.put(1, "000000010000000000000009");
  held.put(2, "000000010000000000000004.partial");
  held.put(3, "00000002.history", "1\t0/400000\tx\n");
  CHECK(newest_resume_point(held.files, kArchive).value() == ResumePoint{{1}, {4U << 20}});
}

TEST_CASE("newest history: of the newest timeline with WAL, from any epoch") {
  HeldFiles held;
  CHECK_FALSE(newest_history(held.files, kArchive).value());
  held.put(1, "000000010000000000000009");
  held.put(1, "00000002.history", "1\t0/400000\told\n");
  CHECK(newest_history(held.files, kArchive).value() == TimelineHistory{{1}, {}});
  held.put(1, "000000020000000000000004.partial");
  CHECK(newest_history(held.files, kArchive).value() == TimelineHistory{{2}, {{{1}, {0x400000}, "old"}}});
  // An epoch that has begun on the old timeline, and will go on with the newer one.
  held.put(2, "000000010000000000000003.partial");
  CHECK(newest_history(held.files, kArchive).value()->timeline == TimelineId{2});
  held.put(2, "000000030000000000000005.partial");
  CHECK(newest_history(held.files, kArchive).value() == TimelineHistory{{3}, {}});
  held.put(2, "00000003.history", "");
  CHECK(newest_history(held.files, kArchive).value() == TimelineHistory{{3}, {}});
}
