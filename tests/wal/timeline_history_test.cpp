#include "wal/timeline_history.h"

#include <doctest/doctest.h>

using namespace walback;

namespace {

constexpr const char* kThird =
    "1\t0/5000000\tno recovery target specified\n"
    "\n"
    "# a person's remark\n"
    "2\t0/7000148\tbefore 2026-11-20 10:42:07+00\n";

TimelineHistory parsed(std::uint32_t timeline, std::string_view text) {
  auto history = parse_timeline_history({timeline}, text);
  REQUIRE(history.has_value());
  return *history;
}
std::string refusal(std::uint32_t timeline, std::string_view text) {
  const auto history = parse_timeline_history({timeline}, text);
  REQUIRE_FALSE(history.has_value());
  CHECK(history.error().kind == ErrorKind::corrupt);
  CHECK_FALSE(history.error().hint.empty());
  return history.error().message;
}

}  // namespace

TEST_CASE("timeline history: parsed with its reasons, comments and blank lines passed over") {
  const auto history = parsed(3, kThird);
  CHECK(history == TimelineHistory{{3},
                                   {{{1}, {0x5000000}, "no recovery target specified"},
                                    {{2}, {0x7000148}, "before 2026-11-20 10:42:07+00"}}});
  CHECK(parsed(3, "1 0/5000000\r\n2\t0/7000148") ==
        TimelineHistory{{3}, {{{1}, {0x5000000}, ""}, {{2}, {0x7000148}, ""}}});
  CHECK(parsed(1, "").entries.empty());
}

TEST_CASE("timeline history: what cannot be is refused, with the line") {
  CHECK(refusal(2, "") ==
        "timeline history '00000002.history' names no ancestor, expected at least timeline 1");
  CHECK(refusal(2, "\none\t0/5\tx") ==
        "timeline history '00000002.history', line 2: found 'one\t0/5\tx', expected a timeline, an LSN and a "
        "reason");
  CHECK(
      refusal(2, "1\t5000000\tx") ==
      "timeline history '00000002.history', line 1: found '1\t5000000\tx', expected a timeline, an LSN and a "
      "reason");
  CHECK(refusal(2, "2\t0/5\tx") ==
        "timeline history '00000002.history', line 1: timeline 2 cannot be an ancestor of timeline 2");
  CHECK(refusal(4, "2\t0/5\tx\n1\t0/6\tx") ==
        "timeline history '00000004.history', line 2: timeline 1 does not follow timeline 2");
  CHECK(refusal(4, "1\t0/6\tx\n2\t0/5\tx") ==
        "timeline history '00000004.history', line 2: switch point 0/5 lies before the previous one, 0/6");
}

TEST_CASE("timeline history: who owns a record is decided by where it starts") {
  const auto history = parsed(3, kThird);
  CHECK(owner_of(history, {0x4FFFFF8}) == TimelineId{1});
  CHECK(owner_of(history, {0x5000000}) == TimelineId{2});
  CHECK(owner_of(history, {0x7000147}) == TimelineId{2});
  CHECK(owner_of(history, {0x7000148}) == TimelineId{3});
  CHECK(is_ancestor(history, {1}));
  CHECK(is_ancestor(history, {2}));
  CHECK_FALSE(is_ancestor(history, {3}));
  CHECK(ranges_of(history) == std::vector<TimelineRange>{{{1}, {0}, Lsn{0x5000000}},
                                                         {{2}, {0x5000000}, Lsn{0x7000148}},
                                                         {{3}, {0x7000148}, std::nullopt}});
  CHECK(timelines_of(history) == std::vector<TimelineId>{{1}, {2}, {3}});
}

TEST_CASE("timeline history: one contains another only through the same switch points") {
  const auto first = parsed(1, "");
  const auto second = parsed(2, "1\t0/5000000\tx");
  const auto third = parsed(3, kThird);
  const auto sibling = parsed(4, "1\t0/4000000\tx");
  const auto other_second = parsed(2, "1\t0/4800000\tx");
  CHECK(contains(third, third));
  CHECK(contains(third, second));
  CHECK(contains(third, first));
  CHECK_FALSE(contains(second, third));
  CHECK_FALSE(contains(sibling, second));
  CHECK_FALSE(contains(third, other_second));

  CHECK(fork_point(third, third) == std::nullopt);
  CHECK(fork_point(first, third) == Lsn{0x5000000});
  CHECK(fork_point(third, second) == Lsn{0x7000148});
  CHECK(fork_point(third, sibling) == Lsn{0x4000000});
  CHECK(fork_point(second, parsed(3, "1\t0/5000000\tx")) == Lsn{0x5000000});
}
