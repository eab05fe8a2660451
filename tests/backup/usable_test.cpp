#include "backup/usable.h"

#include <doctest/doctest.h>

#include "support/fake_clock.h"

using namespace walback;
using namespace std::chrono_literals;

namespace {

const SegmentSize kSize = *SegmentSize::from_bytes(16U << 20);

BackupRow backup() {
  BackupRow row;
  row.id = "20261120T104207Z";
  row.timeline = {1};
  row.start_lsn = {0x2000028};
  row.stop_lsn = {0x3000100};
  return row;
}

SegmentRow segment(std::uint64_t number, std::uint64_t valid_end, std::uint32_t epoch = 1) {
  SegmentRow row;
  row.name = {{1}, {number}};
  row.epoch = epoch;
  row.start_lsn = start_of({number}, kSize);
  row.valid_end_lsn = {valid_end};
  return row;
}

Lsn until(const std::vector<SegmentRow>& segments, const std::vector<GapRow>& gaps = {}) {
  return unbroken_until(backup(), segments, gaps, kSize);
}

struct Silent final : Progress {
  void report(const ProgressState& state) override { last = state; }
  void finish() override { ++finished; }
  ProgressState last;
  int finished = 0;
};

}  // namespace

TEST_CASE("a backup's WAL: nothing indexed reaches no further than its start") {
  CHECK(until({}) == Lsn{0x2000028});
  CHECK(until({segment(3, 0x3000200)}) == Lsn{0x2000028});
}

TEST_CASE("a backup's WAL: an unbroken run reaches to the last segment's valid end") {
  CHECK(until({segment(2, 0x3000000)}) == Lsn{0x3000000});
  CHECK(until({segment(2, 0x3000000), segment(3, 0x3000100)}) == Lsn{0x3000100});
  CHECK(until({segment(2, 0x3000000), segment(4, 0x4000100)}) == Lsn{0x3000000});
}

TEST_CASE("a backup's WAL: a damaged segment ends it, unless another epoch has it whole") {
  auto damaged = segment(3, 0x3000200);
  damaged.problem = "damaged";
  CHECK(until({segment(2, 0x3000000), damaged, segment(4, 0x4000100)}) == Lsn{0x3000000});
  CHECK(until({segment(2, 0x3000000), damaged, segment(3, 0x4000000, 2)}) == Lsn{0x4000000});
  CHECK(until({segment(2, 0x2000500), segment(2, 0x3000000, 2), segment(3, 0x3000200, 2)}) == Lsn{0x3000200});
}

TEST_CASE("a backup's WAL: a gap inside ends it, one before it or on another timeline does not") {
  const std::vector<SegmentRow> all = {segment(2, 0x3000000), segment(3, 0x3000200)};
  GapRow gap;
  gap.timeline = {1};
  gap.from = {0x2500000};
  gap.to = {0x2600000};
  CHECK(until(all, {gap}) == Lsn{0x2500000});
  gap.timeline = {2};
  CHECK(until(all, {gap}) == Lsn{0x3000200});
  gap.timeline = {1};
  gap.from = {0x1000000};
  gap.to = {0x2000028};
  CHECK(until(all, {gap}) == Lsn{0x3000200});
}

TEST_CASE("waiting for a backup's WAL: done when the stop LSN is reached, which is exclusive") {
  const FakeClock clock;
  Silent progress;
  int asked = 0;
  CHECK(wait_until_usable(backup(),
                          [&]() -> Result<Lsn> { return ++asked < 2 ? Lsn{0x30000FF} : Lsn{0x3000100}; }, 60s,
                          clock, progress, {}));
  CHECK(asked == 2);
  CHECK(progress.finished == 1);
  CHECK(progress.last.detail == "indexed to 0/30000FF, needed to 0/3000100");
}

TEST_CASE("waiting for a backup's WAL: bounded, and it says what is missing and that the backup stays") {
  FakeClock clock;
  Silent progress;
  const auto waited = wait_until_usable(backup(),
                                        [&]() -> Result<Lsn> {
                                          clock.advance(61s);
                                          return Lsn{0x2000500};
                                        },
                                        60s, clock, progress, {});
  REQUIRE_FALSE(waited);
  CHECK(
      waited.error() ==
      Error{
          ErrorKind::unavailable,
          "base backup '20261120T104207Z' is not usable yet: it needs the WAL from 0/2000028 to 0/3000100, "
          "and "
          "after 1 min 0 s the index reaches 0/2000500",
          "The backup is complete and is used as soon as its WAL is indexed. Do walback capture and walback "
          "manage run? walback status tells."});
}

TEST_CASE("waiting for a backup's WAL: a stop ends the wait, not the backup") {
  const FakeClock clock;
  Silent progress;
  std::stop_source stop;
  stop.request_stop();
  const auto waited = wait_until_usable(
      backup(), []() -> Result<Lsn> { return Lsn{0x2000500}; }, 60s, clock, progress, stop.get_token());
  REQUIRE_FALSE(waited);
  CHECK(waited.error().kind == ErrorKind::interrupted);
}
