#pragma once
#include <chrono>
#include <cstdint>
#include <optional>

namespace walback {

/// How long to wait before the next start of something that keeps ending: doubled each time up to a bound,
/// with jitter (half of it is chance), and back at the beginning once it ran well for `kHealthyTime`. Pure:
/// the caller brings chance and time.
class BackOff {
 public:
  BackOff(std::chrono::milliseconds least, std::chrono::milliseconds most) : least_(least), most_(most) {}

  /// It ended, having run for `ran`: the wait before the next start.
  [[nodiscard]] std::chrono::milliseconds next(std::chrono::milliseconds ran, std::uint64_t random);

  static constexpr std::chrono::milliseconds kHealthyTime{10'000};

 private:
  std::chrono::milliseconds least_, most_;
  unsigned doublings_ = 0;
};

/// The same complaint again: is it time to say it? At once, then after 10 s, then twice as long each time, at
/// most every 10 minutes, so that a night without a primary is a page of log and not a disk full of it.
class Repetition {
 public:
  [[nodiscard]] bool due(std::int64_t now_us);
  /// It is over. True when it had been said, so that its end is worth a line too.
  bool over();

 private:
  std::optional<std::int64_t> said_at_us_;
  std::int64_t interval_us_ = 0;
};

}  // namespace walback
