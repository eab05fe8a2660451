#include "capture/stall_detector.h"

#include <doctest/doctest.h>

using namespace walback;
using Verdict = StallDetector::Verdict;

namespace {

constexpr std::int64_t kSecond = 1'000'000;

ReceiverObservation seen(std::int64_t second, std::uint64_t flushed, std::optional<std::uint64_t> written) {
  ReceiverObservation observation;
  observation.now_us = second * kSecond;
  observation.attached = true;
  observation.primary_flush_lsn = {flushed};
  if (written) observation.write_lsn = Lsn{*written};
  return observation;
}

/// The second in which it was first called anything but fine, or -1.
template <class Make>
std::int64_t first_alarm(StallDetector& detector, std::int64_t seconds, const Make& make) {
  for (std::int64_t second = 0; second < seconds; ++second) {
    if (detector.observe(make(second)) != Verdict::fine) return second;
  }
  return -1;
}

}  // namespace

TEST_CASE("stall detector: an idle primary is never stuck, however long it is silent") {
  StallDetector detector;
  CHECK(first_alarm(detector, 100'000, [](auto second) { return seen(second, 1000, 1000); }) == -1);
}

TEST_CASE("stall detector: a busy receiver that keeps up is fine") {
  StallDetector detector;
  CHECK(first_alarm(detector, 1000,
                    [](auto second) { return seen(second, 1000 + 10 * second, 995 + 10 * second); }) == -1);
}

TEST_CASE("stall detector: far behind but moving is catching up, not stuck") {
  StallDetector detector;
  CHECK(first_alarm(detector, 1000, [](auto second) {
          return seen(second, 1'000'000'000 + 100 * second, 1000 + second);
        }) == -1);
}

TEST_CASE("stall detector: stuck when what was flushed 30 s ago is not here and nothing came meanwhile") {
  StallDetector detector;
  CHECK(first_alarm(detector, 100,
                    [](auto second) { return seen(second, second < 20 ? 1000 : 1001, 1000); }) == 50);
}

TEST_CASE("stall detector: one that never reports a position is stuck as well") {
  StallDetector detector;
  CHECK(first_alarm(detector, 100, [](auto second) { return seen(second, 1000, std::nullopt); }) == 30);
}

TEST_CASE("stall detector: a process without a walsender is detached after 30 s, even on an idle primary") {
  StallDetector detector;
  CHECK(first_alarm(detector, 100, [](auto second) {
          auto observation = seen(second, 1000, std::nullopt);
          observation.attached = second < 10;
          return observation;
        }) == 40);
  StallDetector again;
  auto observation = seen(0, 1000, std::nullopt);
  observation.attached = false;
  CHECK(again.observe(observation) == Verdict::fine);
  observation.now_us = 5 * kSecond;
  CHECK(again.observe(observation) == Verdict::fine);
}

TEST_CASE("stall detector: time in which nobody looked proves nothing") {
  StallDetector detector;
  CHECK(detector.observe(seen(0, 2000, 1000)) == Verdict::fine);
  // The primary was stopped for a minute; now it answers, and the receiver needs a moment.
  CHECK(detector.observe(seen(60, 2000, 1000)) == Verdict::fine);
  CHECK(detector.observe(seen(69, 2000, 1000)) == Verdict::fine);
  CHECK(detector.observe(seen(70, 2000, 2000)) == Verdict::fine);
}

TEST_CASE("stall detector: another pg_receivewal has its own 30 s") {
  StallDetector detector;
  for (int second = 0; second < 29; ++second)
    CHECK(detector.observe(seen(second, 2000, 1000)) == Verdict::fine);
  detector.reset();
  CHECK(first_alarm(detector, 100, [](auto second) { return seen(29 + second, 2000, 1000); }) == 30);
}
