#pragma once
#include <chrono>

#include "base/timestamp.h"

namespace walback {

/// The two clocks that walback reads, behind one door so that a test can set them. The wall clock may jump
/// (a person, NTP); nothing may measure a duration with it. The monotonic clock never goes back.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual Timestamp now() const = 0;
  /// Microseconds since an arbitrary start, CLOCK_MONOTONIC: comparable between processes of one boot.
  [[nodiscard]] virtual std::int64_t monotonic_us() const = 0;
};

}  // namespace walback
