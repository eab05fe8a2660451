#include <fmt/format.h>
#include <sys/file.h>

#include <chrono>
#include <thread>

#include "base/text.h"
#include "os/descriptor.h"
#include "os/process.h"
#include "os/system.h"
#include "os/system_error.h"

namespace walback {
namespace {

/// The pid in the lock file. Its holder writes it just after it got the lock, and until then the number of a
/// dead one may stand there: wait for a living one, a little.
std::optional<std::uint64_t> read_holder(int descriptor) {
  constexpr int kAttempts = 20;
  std::optional<std::uint64_t> holder;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    char text[32];
    const auto count = retry([&] { return ::pread(descriptor, text, sizeof text, 0); });
    if (count > 0) holder = parse_decimal(trim(std::string_view(text, static_cast<std::size_t>(count))));
    if (holder && process_start_ticks(static_cast<int>(*holder))) return holder;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return holder;
}

/// Who asks is_held() has the lock for an instant: that is no other holder.
int lock_patiently(int descriptor) {
  constexpr int kAttempts = 5;
  for (int attempt = 1;; ++attempt) {
    const int result = retry([&] { return ::flock(descriptor, LOCK_EX | LOCK_NB); });
    if (result == 0 || errno != EWOULDBLOCK || attempt == kAttempts) return result;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    errno = EWOULDBLOCK;
  }
}

tl::unexpected<Error> already_running(const Path& path, const std::string& what, int descriptor) {
  const auto holder = read_holder(descriptor);
  if (!holder) {
    return fail(ErrorKind::conflict,
                fmt::format("{} is already running: another process holds '{}'", what, path.string()),
                fmt::format("See who it is with: fuser '{}'", path.string()));
  }
  return fail(ErrorKind::conflict,
              fmt::format("{} is already running: pid {} holds '{}'", what, *holder, path.string()),
              fmt::format("Wait until pid {} has ended, or end it with: kill {}", *holder, *holder));
}

}  // namespace

Result<FileLock> FileLock::take(const Path& path, const std::string& what) {
  const auto open = [&] { return ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600); };
  Descriptor file(open());
  if (!file.valid() && errno == ENOENT) {
    TRY(real_file_system().create_directories(path.parent_path()));
    file = Descriptor(open());
  }
  if (!file.valid()) return system_error("open the lock", path, errno);
  // flock, not fcntl: it belongs to the open file, so that a second lock in this process is refused too, and
  // closing another descriptor of the file does not lose it.
  if (lock_patiently(file.get()) != 0) {
    if (errno == EWOULDBLOCK) return already_running(path, what, file.get());
    return system_error("lock", path, errno);
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(file.get(), 0) != 0 || ::pwrite(file.get(), pid.data(), pid.size(), 0) == -1) {
    return system_error("write the pid to the lock", path, errno);
  }
  return FileLock(file.release());
}

bool FileLock::is_held(const Path& path) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  // Shared, so that two who ask do not take each other for the holder.
  return file.valid() && retry([&] { return ::flock(file.get(), LOCK_SH | LOCK_NB); }) != 0 &&
         errno == EWOULDBLOCK;
}

Result<FileLock> FileLock::take_directory(const Path& path, const std::string& what) {
  Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return system_error("open the directory", path, errno);
  if (retry([&] { return ::flock(directory.get(), LOCK_EX | LOCK_NB); }) != 0) {
    if (errno != EWOULDBLOCK) return system_error("lock", path, errno);
    return fail(ErrorKind::conflict,
                fmt::format("{} is already running: another process holds '{}'", what, path.string()),
                fmt::format("See who it is with: fuser '{}'", path.string()));
  }
  return FileLock(directory.release());
}

FileLock::FileLock(int descriptor) : descriptor_(descriptor) {}
FileLock::FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}
FileLock::~FileLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace walback
