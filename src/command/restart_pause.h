#pragma once
#include <algorithm>
#include <chrono>

namespace walback {

/// How long `walback run` waits before it starts a child again that ended by itself: doubling, and back at
/// the beginning once the child had lived for healthy minutes, so that neither a crash loop is hot nor a rare
/// crash costs a minute of capture. Pure.
class RestartPause {
 public:
  static constexpr std::chrono::milliseconds kFirst{3'000}, kLongest{60'000}, kHealthy{120'000};

  [[nodiscard]] std::chrono::milliseconds after(std::chrono::milliseconds lived) {
    if (lived >= kHealthy) next_ = kFirst;
    const auto pause = next_;
    next_ = std::min(next_ * 2, kLongest);
    return pause;
  }

 private:
  std::chrono::milliseconds next_ = kFirst;
};

}  // namespace walback
