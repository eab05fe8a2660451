#pragma once
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "wal/lsn.h"

namespace walback {

/// A timeline's number, from 1. Written as 8 upper-case hexadecimal digits in file names, in decimal
/// elsewhere.
struct TimelineId {
  std::uint32_t value = 0;
  auto operator<=>(const TimelineId&) const = default;
};

/// wal_segment_size in bytes: a power of two from 1 MB to 1 GB.
class SegmentSize {
 public:
  [[nodiscard]] static std::optional<SegmentSize> from_bytes(std::uint64_t bytes);
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  auto operator<=>(const SegmentSize&) const = default;

 private:
  explicit SegmentSize(std::uint64_t bytes) : bytes_(bytes) {}
  std::uint64_t bytes_;
};

/// The ordinal of a segment: the segment that holds `lsn` is lsn / wal_segment_size.
struct SegmentNumber {
  std::uint64_t value = 0;
  auto operator<=>(const SegmentNumber&) const = default;
};

[[nodiscard]] SegmentNumber segment_of(Lsn lsn, SegmentSize size);
/// The first byte's position. The segment is [start, start + size).
[[nodiscard]] Lsn start_of(SegmentNumber number, SegmentSize size);

struct SegmentName {
  TimelineId timeline;
  SegmentNumber number;
  auto operator<=>(const SegmentName&) const = default;
};

/// What a file in a WAL directory is, by its name alone. Any other name is none of these: report it.
enum class WalFileKind { segment, partial, history };
struct WalFileName {
  WalFileKind kind = WalFileKind::segment;
  TimelineId timeline;
  SegmentNumber number;  ///< of a segment or a partial
  auto operator<=>(const WalFileName&) const = default;
};

/// 24 upper-case hexadecimal digits, e.g. "000000010000003F0000002A".
[[nodiscard]] std::string file_name(SegmentName name, SegmentSize size);
[[nodiscard]] std::string partial_file_name(SegmentName name, SegmentSize size);
/// "00000002.history"
[[nodiscard]] std::string history_file_name(TimelineId timeline);
/// Exact: upper-case only, timeline from 1, the low part within the segments that the size allows.
[[nodiscard]] std::optional<WalFileName> parse_wal_file_name(std::string_view name, SegmentSize size);

}  // namespace walback
