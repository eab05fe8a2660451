#pragma once
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <thread>

#include "base/clock.h"
#include "base/result.h"
#include "capture/follow_primary.h"

namespace walback {

/// Looks at the primary again and again in a thread of its own, because a look at a stopped primary blocks
/// for seconds and the capturer must not: it still has a child to watch and a status to write.
class PrimaryMonitor {
 public:
  PrimaryMonitor(LookAtPrimary look, const Clock& clock, std::chrono::milliseconds interval);

  struct Sight {
    Result<PrimaryView> view;
    std::uint64_t number = 0;   ///< counts the looks
    std::int64_t begun_us = 0;  ///< monotonic
    std::int64_t taken_us = 0;  ///< monotonic, when the look ended
    Timestamp taken_at;
  };
  /// The newest look; nothing before the first has ended.
  [[nodiscard]] std::optional<Sight> latest() const;

 private:
  void watch(std::stop_token stop, std::chrono::milliseconds interval);

  LookAtPrimary look_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::optional<Sight> latest_;
  std::jthread thread_;  ///< last: it uses the others
};

}  // namespace walback
