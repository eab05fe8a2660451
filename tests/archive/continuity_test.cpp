#include "archive/continuity.h"

#include <doctest/doctest.h>

using namespace walback;

namespace {

const SegmentSize kSize = *SegmentSize::from_bytes(1U << 20);
constexpr TimelineId kOne{1}, kTwo{2};

Lsn in_segment(std::uint64_t number, std::uint64_t offset) {
  return start_of({number}, kSize) + offset;
}

/// A segment whose first record starts at `first` and whose last one ends at `end`.
SegmentRow row(TimelineId timeline, std::uint64_t number, Lsn first, Lsn end, std::string problem = {}) {
  SegmentRow made;
  made.name = {timeline, {number}};
  made.state = SegmentState::finished;
  made.start_lsn = start_of({number}, kSize);
  made.first_record_lsn = first;
  made.valid_end_lsn = end;
  made.problem = std::move(problem);
  return made;
}

SegmentRow without_records(TimelineId timeline, std::uint64_t number, Lsn chain_end) {
  SegmentRow made = row(timeline, number, {}, chain_end);
  made.first_record_lsn.reset();
  return made;
}

}  // namespace

TEST_CASE("continuity: a record across the border joins two segments") {
  const Lsn crossing = in_segment(1, 0xFFF00);
  CHECK(find_gaps({row(kOne, 1, in_segment(1, 40), crossing), row(kOne, 2, crossing, in_segment(2, 800))}, {},
                  kSize)
            .empty());
}

TEST_CASE("continuity: an end at the border joins a start behind the page header") {
  CHECK(find_gaps({row(kOne, 1, in_segment(1, 40), in_segment(2, 0)),
                   row(kOne, 2, in_segment(2, 40), in_segment(2, 800))},
                  {}, kSize)
            .empty());
}

TEST_CASE("continuity: a record over three segments leaves the middle one without a record, and no gap") {
  const Lsn crossing = in_segment(1, 0xFF000);
  CHECK(find_gaps({row(kOne, 1, in_segment(1, 40), crossing), without_records(kOne, 2, crossing),
                   row(kOne, 3, crossing, in_segment(3, 4000))},
                  {}, kSize)
            .empty());
}

TEST_CASE("continuity: nothing is missing before the archive's first segment") {
  CHECK(find_gaps({row(kOne, 7, in_segment(7, 512), in_segment(8, 0))}, {}, kSize).empty());
  CHECK(find_gaps({}, {}, kSize).empty());
}

TEST_CASE("continuity: missing segments are one gap from the last record there to the first one after") {
  const auto gaps = find_gaps({row(kOne, 1, in_segment(1, 40), in_segment(1, 0xFFF00)),
                               row(kOne, 4, in_segment(4, 96), in_segment(5, 0))},
                              {}, kSize);
  REQUIRE(gaps.size() == 1);
  CHECK(gaps[0].timeline == kOne);
  CHECK(gaps[0].from == in_segment(1, 0xFFF00));
  CHECK(gaps[0].to == in_segment(4, 96));
  CHECK(gaps[0].reason == "missing: 2 segments from 000000010000000000000002 on");
}

TEST_CASE("continuity: a damaged segment is a gap from its last valid record on") {
  const auto gaps = find_gaps({row(kOne, 1, in_segment(1, 40), in_segment(1, 5000), "damaged at 0/101388: x"),
                               row(kOne, 2, in_segment(2, 48), in_segment(2, 900))},
                              {}, kSize);
  REQUIRE(gaps.size() == 1);
  CHECK(gaps[0].from == in_segment(1, 5000));
  CHECK(gaps[0].to == in_segment(2, 48));
  CHECK(gaps[0].reason == "damaged at 0/101388: x");
}

TEST_CASE("continuity: a damaged or vanished last segment is a gap up to its end") {
  SUBCASE("damaged") {
    const auto gaps = find_gaps(
        {row(kOne, 3, in_segment(3, 40), in_segment(3, 5000), "damaged at 0/301388: x")}, {}, kSize);
    REQUIRE(gaps.size() == 1);
    CHECK(gaps[0].from == in_segment(3, 5000));
    CHECK(gaps[0].to == in_segment(4, 0));
  }
  SUBCASE("vanished") {
    const auto gaps = find_gaps({row(kOne, 2, in_segment(2, 40), in_segment(2, 0xFFF00)),
                                 row(kOne, 3, in_segment(2, 0xFFF00), in_segment(3, 5000), "missing: gone")},
                                {}, kSize);
    REQUIRE(gaps.size() == 1);
    CHECK(gaps[0].from == in_segment(2, 0xFFF00));
    CHECK(gaps[0].to == in_segment(4, 0));
    CHECK(gaps[0].reason == "missing: gone");
  }
}

TEST_CASE("continuity: a vanished first segment is a gap from its start") {
  const auto gaps = find_gaps({row(kOne, 2, in_segment(2, 40), in_segment(2, 0xFFF00), "missing: gone"),
                               row(kOne, 3, in_segment(3, 48), in_segment(3, 5000))},
                              {}, kSize);
  REQUIRE(gaps.size() == 1);
  CHECK(gaps[0].from == in_segment(2, 0));
  CHECK(gaps[0].to == in_segment(3, 48));
}

TEST_CASE("continuity: consecutive numbers of different histories do not join") {
  const auto gaps = find_gaps({row(kOne, 1, in_segment(1, 40), in_segment(1, 0xFFF00)),
                               row(kOne, 2, in_segment(2, 48), in_segment(2, 900))},
                              {}, kSize);
  REQUIRE(gaps.size() == 1);
  CHECK(gaps[0].reason == "segment 000000010000000000000002 does not go on where the one before it ends");
}

TEST_CASE("continuity: a timeline switch inside a segment is no gap, and the old timeline's end is no hole") {
  const Lsn switch_lsn = in_segment(2, 5000);
  const TimelineStarts starts{{kTwo, {kOne, switch_lsn}}};
  CHECK(find_gaps(
            {row(kOne, 1, in_segment(1, 40), in_segment(2, 0)), row(kOne, 2, in_segment(2, 40), switch_lsn),
             row(kTwo, 2, switch_lsn, in_segment(3, 0)), row(kTwo, 3, in_segment(3, 40), in_segment(3, 600))},
            starts, kSize)
            .empty());
}

TEST_CASE("continuity: the old primary's lost records behind the switch are no gap") {
  const TimelineStarts starts{{kTwo, {kOne, in_segment(2, 5000)}}};
  CHECK(find_gaps({row(kOne, 2, in_segment(2, 40), in_segment(2, 9000)),
                   row(kTwo, 2, in_segment(2, 5000), in_segment(3, 0))},
                  starts, kSize)
            .empty());
}

TEST_CASE("continuity: a parent that was not captured up to the switch has a gap there") {
  const TimelineStarts starts{{kTwo, {kOne, in_segment(4, 5000)}}};
  const auto gaps = find_gaps({row(kOne, 2, in_segment(2, 40), in_segment(2, 9000)),
                               row(kTwo, 4, in_segment(4, 5000), in_segment(5, 0))},
                              starts, kSize);
  REQUIRE(gaps.size() == 1);
  CHECK(gaps[0].timeline == kOne);
  CHECK(gaps[0].from == in_segment(2, 9000));
  CHECK(gaps[0].to == in_segment(4, 5000));
  CHECK(gaps[0].reason == "timeline 2 left it at 0/401388, and its own WAL was captured only up to 0/202328");
}

TEST_CASE("continuity: a timeline whose first segments are missing has a gap from the switch on") {
  const TimelineStarts starts{{kTwo, {kOne, in_segment(2, 5000)}}};
  const auto gaps = find_gaps({row(kOne, 2, in_segment(2, 40), in_segment(2, 5000)),
                               row(kTwo, 4, in_segment(4, 64), in_segment(5, 0))},
                              starts, kSize);
  REQUIRE(gaps.size() == 1);
  CHECK(gaps[0].timeline == kTwo);
  CHECK(gaps[0].from == in_segment(2, 5000));
  CHECK(gaps[0].to == in_segment(4, 64));
}
