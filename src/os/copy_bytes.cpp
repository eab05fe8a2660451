#include "os/copy_bytes.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "os/descriptor.h"

namespace walback {
namespace {

constexpr std::size_t kBufferBytes = 1U << 20;
constexpr std::size_t kKernelStepBytes = 64U << 20;

/// The ways of saying "not between these two files", as opposed to a failure of the copy.
bool not_possible_here(int number) {
  return number == EXDEV || number == EINVAL || number == ENOSYS || number == EOPNOTSUPP || number == EPERM ||
         number == ETXTBSY;
}

int read_and_write(int source, int target) {
  const auto buffer = std::make_unique<char[]>(kBufferBytes);
  while (true) {
    const auto count = retry([&] { return ::read(source, buffer.get(), kBufferBytes); });
    if (count == 0) return 0;
    if (count == -1) return errno;
    for (ssize_t done = 0; done < count;) {
      const auto written =
          retry([&] { return ::write(target, buffer.get() + done, static_cast<std::size_t>(count - done)); });
      if (written == -1) return errno;
      done += written;
    }
  }
}

}  // namespace

int copy_bytes(int source, int target, std::uint64_t expected_bytes) {
  if (expected_bytes > 0 && ::ioctl(target, FICLONE, source) == 0) return 0;
  std::uint64_t copied = 0;
  while (true) {
    const auto count =
        retry([&] { return ::copy_file_range(source, nullptr, target, nullptr, kKernelStepBytes, 0); });
    if (count > 0) {
      copied += static_cast<std::uint64_t>(count);
      continue;
    }
    if (count == -1 && (copied > 0 || !not_possible_here(errno))) return errno;
    // Some file systems answer 0 at the start of a file that is not empty.
    if (count == 0 && (copied > 0 || expected_bytes == 0)) return 0;
    return read_and_write(source, target);
  }
}

}  // namespace walback
