#include "wal/segment_name.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "base/text.h"

namespace walback {
namespace {

constexpr std::uint64_t kSmallest = 1U << 20;
constexpr std::uint64_t kLargest = 1U << 30;
constexpr std::string_view kPartial = ".partial";
constexpr std::string_view kHistory = ".history";

/// A file name's low part counts the segments within 4 GB of WAL.
std::uint64_t segments_in_4gb(SegmentSize size) {
  return (std::uint64_t{1} << 32) / size.bytes();
}

std::optional<std::uint32_t> eight_digits(std::string_view text) {
  const bool exact = text.size() == 8 && std::ranges::all_of(text, [](char c) {
                       return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F');
                     });
  if (!exact) return std::nullopt;
  const auto value = parse_hex(text);
  return value ? std::optional(static_cast<std::uint32_t>(*value)) : std::nullopt;
}

}  // namespace

std::optional<SegmentSize> SegmentSize::from_bytes(std::uint64_t bytes) {
  if (bytes < kSmallest || bytes > kLargest || !std::has_single_bit(bytes)) return std::nullopt;
  return SegmentSize(bytes);
}

SegmentNumber segment_of(Lsn lsn, SegmentSize size) {
  return {lsn.value / size.bytes()};
}

Lsn start_of(SegmentNumber number, SegmentSize size) {
  return {number.value * size.bytes()};
}

std::string file_name(SegmentName name, SegmentSize size) {
  const auto per_group = segments_in_4gb(size);
  return fmt::format("{:08X}{:08X}{:08X}", name.timeline.value, name.number.value / per_group,
                     name.number.value % per_group);
}

std::string partial_file_name(SegmentName name, SegmentSize size) {
  return file_name(name, size).append(kPartial);
}

std::string history_file_name(TimelineId timeline) {
  return fmt::format("{:08X}{}", timeline.value, kHistory);
}

std::optional<WalFileName> parse_wal_file_name(std::string_view name, SegmentSize size) {
  const auto timeline = eight_digits(name.substr(0, 8));
  if (!timeline || *timeline == 0) return std::nullopt;
  const auto rest = name.substr(8);
  if (rest == kHistory) return WalFileName{WalFileKind::history, {*timeline}, {}};

  const auto high = eight_digits(rest.substr(0, 8));
  const auto low = rest.size() >= 16 ? eight_digits(rest.substr(8, 8)) : std::nullopt;
  const auto per_group = segments_in_4gb(size);
  if (!high || !low || *low >= per_group) return std::nullopt;
  const auto suffix = rest.substr(16);
  if (!suffix.empty() && suffix != kPartial) return std::nullopt;
  return WalFileName{
      suffix.empty() ? WalFileKind::segment : WalFileKind::partial, {*timeline}, {*high * per_group + *low}};
}

}  // namespace walback
