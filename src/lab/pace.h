#pragma once
#include <cstdint>
#include <mutex>
#include <optional>

namespace walback {

/// When the next commit is due, on a monotonic clock in microseconds. Pure but for its own counters; one is
/// shared by all writers for a total rate, or each writer has its own for an interval.
///
/// Late commits are made up for, so that a rate is met on average, but at most kBacklogUs of them: after an
/// outage of a minute the schedule begins anew instead of firing a minute's worth at once.
class Pace {
 public:
  static constexpr std::int64_t kBacklogUs = 1'000'000;

  /// Every `interval_us`, the first at `start_us`. 0: at once, always.
  Pace(std::int64_t start_us, double interval_us) : start_us_(start_us), interval_us_(interval_us) {}
  [[nodiscard]] static double interval_of_rate(double commits_per_second) {
    return commits_per_second > 0 ? 1e6 / commits_per_second : 0;
  }

  /// The moment at which the caller's commit is due; it may lie in the past. Thread safe.
  [[nodiscard]] std::int64_t next_due_us(std::int64_t now_us);

 private:
  std::mutex mutex_;
  std::int64_t start_us_;
  double interval_us_;
  std::uint64_t taken_ = 0;
};

/// Ids that are unique over runs without asking the server: the moment in microseconds, its low five bits
/// replaced by the run's salt. They ascend (the index grows at its right end), stay below 2^53 until 2255,
/// and tell a person when they were made. Rejected: a sequence or max(id), which go back with a restore and
/// then give the same id twice.
class RowIds {
 public:
  explicit RowIds(std::uint64_t salt) : salt_(static_cast<std::int64_t>(salt & kSaltMask)) {}

  /// Thread safe. A wall clock that jumps back makes the ids run ahead of it, never repeat.
  [[nodiscard]] std::int64_t next(std::int64_t unix_us);
  /// The id was taken by another run with the same salt: go on with another one.
  void change_salt(std::uint64_t salt);

 private:
  static constexpr std::int64_t kSaltMask = 31;
  std::mutex mutex_;
  std::int64_t salt_;
  std::int64_t last_slot_ = 0;
};

/// Counts durations in buckets of at most 1/16 of their value: any number of them in a few kilobytes.
class Latencies {
 public:
  void add(std::int64_t duration_us);
  void add(const Latencies& other);
  [[nodiscard]] std::uint64_t count() const { return count_; }
  /// The upper bound of the bucket that holds the quantile, 0 < q <= 1; never above the largest seen. 0 when
  /// empty.
  [[nodiscard]] std::int64_t quantile_us(double q) const;

 private:
  static constexpr int kSubBuckets = 16;
  static constexpr int kBuckets = 64 * kSubBuckets;
  std::uint64_t buckets_[kBuckets] = {};
  std::uint64_t count_ = 0;
  std::int64_t largest_us_ = 0;
};

}  // namespace walback
