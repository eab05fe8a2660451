#include "restore/switch_segments.h"

#include <doctest/doctest.h>

#include "support/memory_file_system.h"

using namespace walback;

namespace {

constexpr std::uint64_t kSegment = 16U << 20;

/// Timeline 1 ends in segment 5, timeline 2 in segment 7; segment 7 of timeline 3 is the open one.
RestorePlan crossing() {
  RestorePlan plan{{7'301'118, *SegmentSize::from_bytes(kSegment)}};
  plan.history = {{{1}, Lsn{}, Lsn{5 * kSegment + 100}},
                  {{2}, Lsn{5 * kSegment + 100}, Lsn{7 * kSegment + 100}},
                  {{3}, Lsn{7 * kSegment + 100}, Lsn{UINT64_MAX}}};
  plan.segments = {{{1}, {3}, {4}, 1, SegmentState::finished},
                   {{2}, {5}, {6}, 1, SegmentState::finished},
                   {{3}, {7}, {7}, 2, SegmentState::open}};
  return plan;
}

}  // namespace

TEST_CASE("switch segments: each is in pg_wal under the name of the timeline that ends in it, too") {
  MemoryFileSystem files;
  const ArchiveLayout archive{"/a"};
  REQUIRE(files.create_directories("/r/pg_wal"));
  REQUIRE(files.create_directories(archive.epoch(1)));
  REQUIRE(files.create_directories(archive.epoch(2)));
  REQUIRE(files.write(archive.epoch(1) / "000000020000000000000005", "five"));
  REQUIRE(files.write(archive.epoch(2) / "000000030000000000000007.partial", "seven"));
  REQUIRE(lay_switch_segments(files, crossing(), archive, "/r"));
  CHECK(files.list("/r/pg_wal").value().size() == 2);
  CHECK(files.read("/r/pg_wal/000000010000000000000005").value() == "five");
  CHECK(files.read("/r/pg_wal/000000020000000000000007").value() == "seven");
}

TEST_CASE("switch segments: none where the plan crosses no switch, or ends before one's segment is read") {
  MemoryFileSystem files;
  REQUIRE(files.create_directories("/r/pg_wal"));
  RestorePlan plan = crossing();
  plan.history.resize(1);
  REQUIRE(lay_switch_segments(files, plan, {"/a"}, "/r"));
  plan = crossing();
  plan.segments.resize(1);
  REQUIRE(lay_switch_segments(files, plan, {"/a"}, "/r"));
  CHECK(files.list("/r/pg_wal").value().empty());
}
