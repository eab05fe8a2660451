#include "capture/back_off.h"

#include <algorithm>

namespace walback {
namespace {

constexpr unsigned kMostDoublings = 20;
constexpr std::int64_t kFirstInterval = 10'000'000;
constexpr std::int64_t kLongestInterval = 600'000'000;

}  // namespace

std::chrono::milliseconds BackOff::next(std::chrono::milliseconds ran, std::uint64_t random) {
  if (ran >= kHealthyTime) doublings_ = 0;
  const auto full = std::min(most_, least_ * (std::int64_t{1} << doublings_));
  if (full < most_ && doublings_ < kMostDoublings) ++doublings_;
  const auto half = full.count() / 2;
  return std::chrono::milliseconds(full.count() - half +
                                   static_cast<std::int64_t>(random % static_cast<std::uint64_t>(half + 1)));
}

bool Repetition::due(std::int64_t now_us) {
  if (said_at_us_ && now_us - *said_at_us_ < interval_us_) return false;
  interval_us_ = said_at_us_ ? std::min(kLongestInterval, interval_us_ * 2) : kFirstInterval;
  said_at_us_ = now_us;
  return true;
}

bool Repetition::over() {
  const bool said = said_at_us_.has_value();
  *this = {};
  return said;
}

}  // namespace walback
