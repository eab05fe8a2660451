#pragma once
#include <atomic>
#include <chrono>

#include "base/clock.h"

namespace walback {

/// Stands still until a test moves it. The wall clock may be set alone, as a person or NTP would do.
class FakeClock final : public Clock {
 public:
  /// 2026-11-20T10:00:00Z, so that a test which pins a text need not set it.
  explicit FakeClock(Timestamp now = {1'795'168'800'000'000}) : now_us_(now.unix_us) {}

  Timestamp now() const override { return {now_us_}; }
  std::int64_t monotonic_us() const override { return monotonic_us_; }

  /// Time passes: both clocks.
  void advance(std::chrono::microseconds duration) {
    now_us_ += duration.count();
    monotonic_us_ += duration.count();
  }
  /// The wall clock jumps.
  void set(Timestamp now) { now_us_ = now.unix_us; }

 private:
  std::atomic<std::int64_t> now_us_;
  std::atomic<std::int64_t> monotonic_us_ = 1'000'000;
};

}  // namespace walback
