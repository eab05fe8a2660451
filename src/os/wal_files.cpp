#include "os/wal_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "os/descriptor.h"
#include "os/system_error.h"
#include "wal/page.h"

namespace walback {
namespace {

// Large enough that system calls cost nothing, small enough to stay in a core's cache between read and CRC.
constexpr std::size_t kBuffer = 256U << 10;

}  // namespace

WalFiles::WalFiles(SegmentSize size, SegmentFile file) : size_(size), file_(std::move(file)) {}

WalFiles::~WalFiles() {
  close();
}

void WalFiles::close() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
  open_segment_.reset();
}

/// Leaves no segment open where there is no file.
Status WalFiles::open(SegmentNumber number) {
  if (open_segment_ == number) return {};
  close();
  const auto path = file_(number);
  if (!path) return {};
  path_ = *path;
  descriptor_ = retry([&] { return ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW); });
  if (descriptor_ < 0) {
    const int error = errno;
    if (error == ENOENT) return {};
    return system_error("open", path_, error);
  }
  // Advice only: read ahead of the checksums.
  (void)::posix_fadvise(descriptor_, 0, 0, POSIX_FADV_SEQUENTIAL);
  open_segment_ = number;
  return {};
}

Result<std::span<const char>> WalFiles::bytes_from(Lsn position) {
  const auto number = segment_of(position, size_);
  TRY(open(number));
  if (open_segment_ != number) return std::span<const char>();
  const auto offset = position - start_of(number, size_);
  // A file longer than its segment has no more bytes than the segment.
  const auto wanted = std::min<std::uint64_t>(kBuffer, size_.bytes() - offset);
  buffer_.resize(kBuffer);
  std::size_t got = 0;
  while (got < wanted) {
    const auto count = retry([&] {
      return ::pread(descriptor_, buffer_.data() + got, wanted - got, static_cast<off_t>(offset + got));
    });
    if (count < 0) return system_error("read", path_, errno);
    if (count == 0) break;
    got += static_cast<std::size_t>(count);
  }
  return std::span<const char>(buffer_.data(), got);
}

}  // namespace walback
