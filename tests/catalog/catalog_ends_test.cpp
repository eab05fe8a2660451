#include <algorithm>
#include <chrono>

#include "catalog_fixture.h"
#include "support/temporary_directory.h"

namespace walback {
namespace {

using namespace catalog_test;

/// Segment n holds ends at offsets 100 and 200, stamped 10n and 10n+5; each third segment is empty.
Catalog regular(std::uint64_t from, std::uint64_t to) {
  auto catalog = value(Catalog::open(":memory:"));
  value(catalog.transaction([&]() -> Status {
    for (std::uint64_t n = from; n < to; ++n) {
      const auto time = static_cast<std::int64_t>(10 * n);
      const auto xid = static_cast<std::uint32_t>(2 * n);
      std::vector<TransactionEnd> ends;
      if (n % 3 != 0) {
        ends = {end_at(lsn_in(n, 100), time, xid),
                end_at(lsn_in(n, 200), time + 5, xid + 1, TransactionEndKind::abort)};
      }
      TRY(catalog.put_segment(segment_with(n, ends)));
    }
    return {};
  }));
  return catalog;
}

Lsn lsn_of(const Result<std::optional<TransactionEnd>>& found) {
  const auto end = value(found);
  return end ? end->lsn : Lsn{};
}

TEST_CASE("ends: the first stamped after a time, from anywhere in the timeline") {
  auto catalog = regular(1, 1000);
  CHECK(lsn_of(catalog.first_end_stamped_after(range_of({}), at(0))) == lsn_in(1, 100));
  CHECK(lsn_of(catalog.first_end_stamped_after(range_of({}), at(10))) == lsn_in(1, 200));  // an abort counts
  CHECK(lsn_of(catalog.first_end_stamped_after(range_of({}), at(25))) ==
        lsn_in(4, 100));  // over an empty one
  CHECK(lsn_of(catalog.first_end_stamped_after(range_of({}), at(7009))) == lsn_in(701, 100));
  CHECK(lsn_of(catalog.first_end_stamped_after(range_of(lsn_in(500, 101)), at(0))) == lsn_in(500, 200));
  CHECK(lsn_of(catalog.first_end_stamped_after(range_of(lsn_in(500, 201)), at(0))) == lsn_in(502, 100));
  CHECK_FALSE(lsn_of(catalog.first_end_stamped_after(range_of({}, lsn_in(701, 100)), at(7009))).valid());
  CHECK_FALSE(lsn_of(catalog.first_end_stamped_after(range_of({}), at(100'000))).valid());
  CHECK_FALSE(lsn_of(catalog.first_end_stamped_after(range_of({}, {UINT64_MAX}, 2), at(0))).valid());
}

TEST_CASE("ends: a clock that was a day ahead for a while neither hides nor invents an answer") {
  auto catalog = regular(1, 2000);
  const std::int64_t day = 86'400'000'000;
  value(catalog.put_segment(segment_with(300, {end_at(lsn_in(300, 100), day, 5)})));
  CHECK(lsn_of(catalog.first_end_stamped_after(range_of({}), at(15'000))) == lsn_in(300, 100));
  CHECK(lsn_of(catalog.first_end_stamped_after(range_of(lsn_in(301, 0)), at(15'000))) == lsn_in(1501, 100));
  CHECK(lsn_of(catalog.first_end_stamped_after(range_of(lsn_in(300, 101)), at(day - 1))) == Lsn{});
  // Replaced by what is right: the summary shrinks again.
  value(catalog.put_segment(segment_with(300, {end_at(lsn_in(300, 100), 3000, 5)})));
  CHECK(lsn_of(catalog.first_end_stamped_after(range_of({}), at(15'000))) == lsn_in(1501, 100));
}

TEST_CASE("ends: first and last of a range, over long empty stretches, commits alone or not") {
  auto catalog = value(Catalog::open(":memory:"));
  value(catalog.put_segment(segment_with(2, {end_at(lsn_in(2, 100), 1, 5), end_at(lsn_in(2, 300), 1, 6)})));
  for (std::uint64_t n = 3; n < 40; ++n) value(catalog.put_segment(segment_with(n, {})));
  value(catalog.put_segment(
      segment_with(40, {end_at(lsn_in(40, 100), 2, 7, TransactionEndKind::abort_prepared)})));
  // A record that starts in segment 40 and ends in 41 belongs to 41's row.
  value(catalog.put_segment(
      segment_with(41, {end_at(lsn_in(41, 0) + 0, 3, 8, TransactionEndKind::commit_prepared)})));
  CHECK(lsn_of(catalog.first_end_at_or_after(range_of(lsn_in(2, 300)), false)) == lsn_in(2, 300));
  CHECK(lsn_of(catalog.first_end_at_or_after(range_of(lsn_in(2, 301)), false)) == lsn_in(40, 100));
  CHECK(lsn_of(catalog.first_end_at_or_after(range_of(lsn_in(2, 301)), true)) == lsn_in(41, 0));
  CHECK_FALSE(
      lsn_of(catalog.first_end_at_or_after(range_of(lsn_in(2, 301), lsn_in(40, 100)), false)).valid());
  CHECK(lsn_of(catalog.last_end_before(range_of({}), false)) == lsn_in(41, 0));
  CHECK(lsn_of(catalog.last_end_before(range_of({}, lsn_in(41, 0)), false)) == lsn_in(40, 100));
  CHECK(lsn_of(catalog.last_end_before(range_of({}, lsn_in(41, 0)), true)) == lsn_in(2, 300));
  CHECK(lsn_of(catalog.last_end_before(range_of({}, lsn_in(2, 300)), true)) == lsn_in(2, 100));
  CHECK_FALSE(lsn_of(catalog.last_end_before(range_of({}, lsn_in(2, 100)), true)).valid());
  CHECK_FALSE(lsn_of(catalog.last_end_before(range_of(lsn_in(2, 301), lsn_in(40, 100)), false)).valid());
}

TEST_CASE("ends: commits stamped at or before a time beyond a stop") {
  auto catalog = regular(1, 700);
  // Ends stamped 1000 in a late segment: among thousands that are later.
  std::vector<TransactionEnd> strays;
  for (std::uint32_t i = 0; i < 20; ++i) {
    strays.push_back(end_at(lsn_in(600, 100 + 100 * i), 1000 + i, 50'000 + i,
                            i % 2 == 0 ? TransactionEndKind::commit : TransactionEndKind::abort));
  }
  value(catalog.put_segment(segment_with(600, strays)));
  const auto found = value(catalog.commits_stamped_at_or_before(range_of(lsn_in(200, 0)), at(1004)));
  CHECK(found.count == 3);
  REQUIRE(found.first.size() == 3);
  CHECK(found.first[2].lsn == lsn_in(600, 500));
  CHECK(value(catalog.commits_stamped_at_or_before(range_of(lsn_in(200, 0)), at(999))).count == 0);
  CHECK(value(catalog.commits_stamped_at_or_before(range_of({}), at(1'000'000))).count == 466 + 10);
  CHECK(value(catalog.commits_stamped_at_or_before(range_of({}), at(1'000'000))).first.size() ==
        Catalog::kStragglersShown);
  CHECK(value(catalog.commits_stamped_at_or_before(range_of({}, lsn_in(4, 100)), at(1'000'000))).count == 2);
}

TEST_CASE("ends: an xid, top-level or sub, newest first, on every timeline") {
  auto catalog = regular(1, 1000);
  auto parent = end_at(lsn_in(3, 100), 30, 9000);
  parent.subxids = {9001, 9003};
  value(catalog.put_segment(segment_with(3, {parent, end_at(lsn_in(3, 300), 30, 9001)})));
  value(catalog.put_segment(segment_with(3, {end_at(lsn_in(3, 500), 30, 9001)}, 2)));
  const auto found = value(catalog.find_xid(9001));
  REQUIRE(found.size() == 3);
  CHECK(found[0].timeline == TimelineId{2});
  CHECK(found[1].end.lsn == lsn_in(3, 300));
  CHECK(found[2].end == parent);
  CHECK(value(catalog.find_xid(1400)).at(0).end.lsn == lsn_in(700, 100));
  CHECK(value(catalog.find_xid(9002)).empty());
  CHECK(value(catalog.find_xid(UINT32_MAX)).empty());
}

TEST_CASE("ends: each of a range, and a visit that asks again") {
  auto catalog = regular(1, 100);
  std::vector<Lsn> seen;
  value(catalog.each_end(range_of(lsn_in(1, 101), lsn_in(4, 200)), [&](const TransactionEnd& end) {
    seen.push_back(end.lsn);
    CHECK(lsn_of(catalog.first_end_at_or_after(range_of(end.lsn), false)) == end.lsn);
    return true;
  }));
  CHECK(seen == std::vector<Lsn>{lsn_in(1, 200), lsn_in(2, 100), lsn_in(2, 200), lsn_in(4, 100)});
  int count = 0;
  value(catalog.each_end(range_of({}), [&](const TransactionEnd&) { return ++count < 5; }));
  CHECK(count == 5);
}

/// The answers by reading everything.
struct Naive {
  std::vector<TransactionEnd> ends;
  Lsn first_after(Lsn from, Lsn to, Timestamp time) const {
    for (const auto& end : ends) {
      if (end.lsn >= from && end.lsn < to && end.time > time) return end.lsn;
    }
    return {};
  }
  Lsn last_commit_before(Lsn from, Lsn to) const {
    Lsn found;
    for (const auto& end : ends) {
      if (end.lsn >= from && end.lsn < to && is_commit(end.kind)) found = end.lsn;
    }
    return found;
  }
  std::uint64_t stragglers(Lsn from, Lsn to, Timestamp time) const {
    std::uint64_t count = 0;
    for (const auto& end : ends) {
      if (end.lsn >= from && end.lsn < to && end.time <= time && is_commit(end.kind)) ++count;
    }
    return count;
  }
};

TEST_CASE("ends: the same answers as reading everything, whatever the order of writing") {
  Dice dice(20261120);
  auto catalog = value(Catalog::open(":memory:"));
  constexpr std::uint64_t segments = 1200;
  std::vector<SegmentRow> rows;
  Naive naive;
  for (std::uint64_t n = 1; n <= segments; ++n) {
    std::vector<TransactionEnd> ends;
    for (std::uint64_t i = 0; i < dice() % 4; ++i) {
      const auto time = static_cast<std::int64_t>(n * 10 + i) -
                        static_cast<std::int64_t>(dice() % 40 == 0 ? dice() % 5000 : 0);
      const auto kind = static_cast<TransactionEndKind>(dice() % 4);
      ends.push_back(end_at(lsn_in(n, 100 * (i + 1)), time, dice() % 100'000, kind));
    }
    naive.ends.insert(naive.ends.end(), ends.begin(), ends.end());
    rows.push_back(segment_with(n, ends));
  }
  std::shuffle(rows.begin(), rows.end(), dice);
  value(catalog.transaction([&]() -> Status {
    for (const SegmentRow& row : rows) {
      // First something else, so that every summary is replaced once.
      SegmentRow wrong = row;
      wrong.ends = {end_at(row.start_lsn + 8, static_cast<std::int64_t>(dice() % 100'000) - 50'000, dice())};
      for (const SegmentRow* written : {static_cast<const SegmentRow*>(&wrong), &row}) {
        const Status put = catalog.put_segment(*written);
        if (!put) return put;
      }
    }
    return {};
  }));
  for (int round = 0; round < 500; ++round) {
    const Lsn from = lsn_in(dice() % segments, dice() % 400);
    const Lsn to = from + (dice() % 2 == 0 ? dice() % (600 * kSegmentBytes) : kSegmentBytes * segments);
    const Timestamp time = at(static_cast<std::int64_t>(dice() % 12'500));
    REQUIRE(lsn_of(catalog.first_end_stamped_after(range_of(from, to), time)) ==
            naive.first_after(from, to, time));
    REQUIRE(lsn_of(catalog.last_end_before(range_of(from, to), true)) == naive.last_commit_before(from, to));
    REQUIRE(value(catalog.commits_stamped_at_or_before(range_of(from, to), time)).count ==
            naive.stragglers(from, to, time));
  }
}

TEST_CASE("ends: 100,000 segments, every question in less than 10 ms") {
  TemporaryDirectory directory;
  auto catalog = value(Catalog::open(directory.path() / "catalog.sqlite"));
  using clock = std::chrono::steady_clock;
  const auto ms_since = [](clock::time_point start) {
    return std::chrono::duration<double, std::milli>(clock::now() - start).count();
  };
  constexpr std::uint64_t segments = 100'000;
  const auto start = clock::now();
  value(catalog.transaction([&]() -> Status {
    for (std::uint64_t n = 1; n <= segments; ++n) {
      // A clock a year ahead in segment 10; the second half of the history is silent but for its last
      // segment.
      const std::int64_t time = n == 10 ? 31'536'000'000'000 : static_cast<std::int64_t>(n * 100);
      std::vector<TransactionEnd> ends;
      if (n <= segments / 2 || n == segments) {
        ends = {end_at(lsn_in(n, 100), time, static_cast<std::uint32_t>(n * 3)),
                end_at(lsn_in(n, 300), time + 1, static_cast<std::uint32_t>(n * 3 + 1))};
      }
      const Status put = catalog.put_segment(segment_with(n, std::move(ends)));
      if (!put) return put;
    }
    return {};
  }));
  MESSAGE("100,000 rows in ", ms_since(start), " ms");

  const Lsn past_the_jump = lsn_in(11, 0);
  const auto timed = [&](const char* what, const auto& ask) {
    double best = 1e9;
    for (int i = 0; i < 5; ++i) {
      const auto begin = clock::now();
      ask();
      best = std::min(best, ms_since(begin));
    }
    MESSAGE(std::string(what), ": ", best, " ms");
    CHECK_MESSAGE(best < 10.0, std::string(what));
  };
  timed("first end stamped after T, by the clock that jumped", [&] {
    CHECK(lsn_of(catalog.first_end_stamped_after(range_of({}), at(4'900'000))) == lsn_in(10, 100));
  });
  timed("first end stamped after T, behind the jump", [&] {
    CHECK(lsn_of(catalog.first_end_stamped_after(range_of(past_the_jump), at(4'900'000))) ==
          lsn_in(49'000, 300));
  });
  timed("first end after 50,000 silent segments", [&] {
    CHECK(lsn_of(catalog.first_end_at_or_after(range_of(lsn_in(50'001, 0)), true)) == lsn_in(100'000, 100));
  });
  timed("last end before 50,000 silent segments", [&] {
    CHECK(lsn_of(catalog.last_end_before(range_of({}, lsn_in(99'999, 0)), true)) == lsn_in(50'000, 300));
  });
  timed("counter-examples to a watermark", [&] {
    CHECK(value(catalog.commits_stamped_at_or_before(range_of(lsn_in(20'000, 0)), at(1'000'000))).count == 0);
  });
  timed("an xid", [&] { CHECK(value(catalog.find_xid(60'001)).at(0).end.lsn == lsn_in(20'000, 300)); });
  timed("newest segment", [&] { CHECK(value(catalog.newest_segment({1}))->name.number.value == segments); });
  timed("what changed since", [&] {
    std::int64_t version = 99'990;
    CHECK(value(catalog.segments_changed_since(version, 100, version)).size() == 10);
  });
}

}  // namespace
}  // namespace walback
