#pragma once
#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "catalog/catalog.h"

/// Rows to test with: segments of 16 MB whose transaction ends are said in a few numbers.
namespace walback::catalog_test {

inline constexpr std::uint64_t kSegmentBytes = 16U << 20;
inline constexpr std::int64_t kNoon = 1'795'176'000'000'000;  // 2026-11-20T12:00:00Z

inline SegmentSize segment_size() {
  return *SegmentSize::from_bytes(kSegmentBytes);
}
inline Timestamp at(std::int64_t offset_us) {
  return {kNoon + offset_us};
}
inline Lsn lsn_in(std::uint64_t segment, std::uint64_t offset) {
  return {segment * kSegmentBytes + offset};
}

inline TransactionEnd end_at(Lsn lsn, std::int64_t offset_us, std::uint32_t xid,
                             TransactionEndKind kind = TransactionEndKind::commit) {
  TransactionEnd end;
  end.lsn = lsn;
  end.end_lsn = lsn + 48;
  end.time = at(offset_us);
  end.xid = xid;
  end.kind = kind;
  return end;
}

inline SegmentRow segment_with(std::uint64_t number, std::vector<TransactionEnd> ends,
                               std::uint32_t timeline = 1, std::uint32_t epoch = 1) {
  SegmentRow row;
  row.name = {{timeline}, {number}};
  row.epoch = epoch;
  row.state = SegmentState::finished;
  row.start_lsn = lsn_in(number, 0);
  row.valid_end_lsn = lsn_in(number + 1, 0);
  row.size_bytes = kSegmentBytes;
  row.records = ends.size();
  row.ends = std::move(ends);
  return row;
}

inline WalRange range_of(Lsn from, Lsn to = {UINT64_MAX}, std::uint32_t timeline = 1) {
  return {{timeline}, from, to};
}

/// 32 bits a throw, the same in every run.
class Dice {
 public:
  using result_type = std::uint32_t;
  explicit Dice(std::uint32_t seed) : engine_(seed) {}
  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return UINT32_MAX; }
  result_type operator()() { return static_cast<result_type>(engine_()); }

 private:
  std::mt19937 engine_;
};

template <class T>
T value(Result<T> result) {
  if (!result) FAIL(render(result.error()));
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

}  // namespace walback::catalog_test
