#include "os/segment_source.h"

#include <algorithm>

#include "wal/page.h"

namespace walback {
namespace {

constexpr std::size_t kFirstChunk = kPageSize;
// Large enough that system calls cost nothing, small enough to stay in a core's cache between read and CRC.
constexpr std::size_t kLargestChunk = 256U << 10;
constexpr std::size_t kGrowth = 4;

}  // namespace

Result<std::span<const char>> SegmentSource::bytes_from(Lsn position) {
  const SegmentNumber number = segment_of(position, size_);
  if (located_ != number) {
    path_ = TRY(locate_(number));
    located_ = number;
  }
  if (!path_) return std::span<const char>{};
  chunk_ = position == next_ ? std::min(chunk_ * kGrowth, kLargestChunk) : kFirstChunk;

  const std::uint64_t offset = position - start_of(number, size_);
  const std::size_t wanted = std::min<std::uint64_t>(std::max(chunk_, kFirstChunk), size_.bytes() - offset);
  if (buffer_.size() < wanted) buffer_.resize(wanted);
  const std::size_t got = TRY(files_.read_at(*path_, offset, std::span(buffer_).first(wanted)));
  next_ = position + got;
  return std::span<const char>(buffer_).first(got);
}

}  // namespace walback
