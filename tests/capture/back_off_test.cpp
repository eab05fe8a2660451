#include "capture/back_off.h"

#include <doctest/doctest.h>

#include <vector>

using namespace walback;
using namespace std::chrono_literals;

namespace {
constexpr std::uint64_t kLuck = 0;  // the shortest wait
constexpr std::int64_t kSecond = 1'000'000;
}  // namespace

TEST_CASE("back-off: doubles from the least to the most, and half of each wait is chance") {
  BackOff waits(500ms, 15'000ms);
  const std::int64_t full[] = {500, 1000, 2000, 4000, 8000, 15000, 15000};
  for (const auto expected : full) {
    BackOff longest = waits;
    CHECK(longest.next(0ms, static_cast<std::uint64_t>(expected / 2)).count() == expected);
    CHECK(waits.next(0ms, kLuck).count() == expected - expected / 2);
  }
}

TEST_CASE("back-off: never outside half to whole, whatever chance says, for ever") {
  BackOff waits(500ms, 15'000ms);
  for (std::uint64_t i = 0; i < 1000; ++i) {
    const auto wait = waits.next(1ms, i * 0x9E3779B97F4A7C15ULL);
    CHECK(wait >= 250ms);
    CHECK(wait <= 15'000ms);
  }
}

TEST_CASE("back-off: a healthy run begins anew, one just short of it does not") {
  BackOff waits(500ms, 15'000ms);
  (void)waits.next(0ms, kLuck);
  (void)waits.next(0ms, kLuck);
  CHECK(waits.next(BackOff::kHealthyTime - 1ms, kLuck) == 1000ms);
  CHECK(waits.next(BackOff::kHealthyTime, kLuck) == 250ms);
}

TEST_CASE("repetition: at once, after 10 s, then at doubled intervals, at most every 10 minutes") {
  Repetition complaint;
  std::vector<std::int64_t> said;
  for (std::int64_t second = 0; second < 4000; ++second) {
    if (complaint.due(second * kSecond)) said.push_back(second);
  }
  CHECK(said == std::vector<std::int64_t>{0, 10, 30, 70, 150, 310, 630, 1230, 1830, 2430, 3030, 3630});
}

TEST_CASE("repetition: its end is news only when it had been said, and then it begins anew") {
  Repetition complaint;
  CHECK_FALSE(complaint.over());
  CHECK(complaint.due(5 * kSecond));
  CHECK(complaint.over());
  CHECK_FALSE(complaint.over());
  CHECK(complaint.due(6 * kSecond));
}
