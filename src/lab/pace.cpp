#include "lab/pace.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace walback {

std::int64_t Pace::next_due_us(std::int64_t now_us) {
  if (interval_us_ <= 0) return now_us;
  const std::lock_guard lock(mutex_);
  const auto due = [&] {
    return start_us_ + static_cast<std::int64_t>(std::llround(static_cast<double>(taken_) * interval_us_));
  };
  if (now_us - due() > kBacklogUs) {
    start_us_ = now_us;
    taken_ = 0;
  }
  const std::int64_t mine = due();
  ++taken_;
  return mine;
}

std::int64_t RowIds::next(std::int64_t unix_us) {
  const std::lock_guard lock(mutex_);
  last_slot_ = std::max(last_slot_ + 1, unix_us / (kSaltMask + 1));
  return last_slot_ * (kSaltMask + 1) + salt_;
}

void RowIds::change_salt(std::uint64_t salt) {
  const std::lock_guard lock(mutex_);
  salt_ = static_cast<std::int64_t>(salt & kSaltMask);
}

namespace {

/// 0..15 have a bucket each; above, every power of two has `sub` of them.
int bucket_of(std::uint64_t value, int sub) {
  const auto width = static_cast<std::uint64_t>(sub);
  if (value < width) return static_cast<int>(value);
  const int shift = static_cast<int>(std::bit_width(value)) - static_cast<int>(std::bit_width(width));
  return (shift + 1) * sub + static_cast<int>((value >> shift) - width);
}

/// The largest value in the bucket.
std::int64_t bound_of(int bucket, int sub) {
  if (bucket < sub) return bucket;
  const int shift = bucket / sub - 1;
  const auto base = static_cast<std::uint64_t>(sub + bucket % sub);
  return static_cast<std::int64_t>(((base + 1) << shift) - 1);
}

}  // namespace

void Latencies::add(std::int64_t duration_us) {
  duration_us = std::max<std::int64_t>(duration_us, 0);
  ++buckets_[bucket_of(static_cast<std::uint64_t>(duration_us), kSubBuckets)];
  ++count_;
  largest_us_ = std::max(largest_us_, duration_us);
}

void Latencies::add(const Latencies& other) {
  for (int i = 0; i < kBuckets; ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  largest_us_ = std::max(largest_us_, other.largest_us_);
}

std::int64_t Latencies::quantile_us(double q) const {
  if (count_ == 0) return 0;
  const auto wanted = std::max<std::uint64_t>(
      1, static_cast<std::uint64_t>(std::ceil(std::clamp(q, 0.0, 1.0) * static_cast<double>(count_))));
  std::uint64_t seen = 0;
  for (int i = 0; i < kBuckets; ++i) {
    seen += buckets_[i];
    if (seen >= wanted) return std::min(bound_of(i, kSubBuckets), largest_us_);
  }
  return largest_us_;
}

}  // namespace walback
