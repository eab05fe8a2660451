/// walback-fetch: PostgreSQL's restore_command in a restore that walback runs. The spool's contract is in
/// base/spool.h.
///
/// It never lies. PostgreSQL takes exit 1 for the end of the archive, and opens; so 1 is said only where that
/// is true: the plan does not have the file, or it was handed out before and lies in pg_wal under its own
/// name. Everything else that is not success is 200, which stops recovery.
///
/// It runs once a segment, so it has to start in a millisecond: POSIX calls, no streams, no allocation to
/// speak of, the plan mapped and searched instead of parsed.
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "base/spool.h"

namespace {

namespace spool = walback::spool;

/// A number that is missing from the plan, or not one.
constexpr std::int64_t kNone = -1;
/// Between two looks when inotify stays silent: it is only the fast way, never the only one.
constexpr int kLookAgainMs = 20;

[[noreturn]] __attribute__((format(printf, 2, 3))) void die(const char* hint, const char* format, ...) {
  std::fputs("walback-fetch: ", stderr);
  va_list arguments;
  va_start(arguments, format);
  std::vfprintf(stderr, format, arguments);
  va_end(arguments);
  std::fprintf(stderr, "\nhint: %s\n", hint);
  ::_exit(spool::kBroken);
}

constexpr char kAgain[] = "The restore stops here; its own log says why. Run it again: it begins anew.";

struct PathText {
  char text[PATH_MAX];
};

PathText path_of(const char* root, const char* folder, const char* name = "") {
  PathText path;
  const int length =
      std::snprintf(path.text, sizeof path.text, "%s/%s%s%s", root, folder, *name ? "/" : "", name);
  if (length < 0 || static_cast<std::size_t>(length) >= sizeof path.text) {
    die(kAgain, "the path '%s/%s/%s' is too long", root, folder, name);
  }
  return path;
}

bool is_hex(const char* text, std::size_t length) {
  for (std::size_t i = 0; i < length; ++i) {
    const bool digit = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'A' && text[i] <= 'F');
    if (!digit) return false;
  }
  return true;
}

bool is_segment(const char* name) {
  return std::strlen(name) == 24 && is_hex(name, 24);
}

bool is_history(const char* name) {
  return std::strlen(name) == 16 && is_hex(name, 8) && std::strcmp(name + 8, ".history") == 0;
}

/// The plan, mapped. Lines are found by searching for "\n<key> <value>\n": 100,000 of them take about a
/// millisecond.
class Plan {
 public:
  explicit Plan(const char* root) : path_(path_of(root, spool::kPlan)) {
    const int file = ::open(path_.text, O_RDONLY | O_CLOEXEC);
    if (file < 0) die(kAgain, "cannot open the plan '%s': %s", path_.text, std::strerror(errno));
    struct stat found {};
    if (::fstat(file, &found) != 0) die(kAgain, "cannot look at '%s': %s", path_.text, std::strerror(errno));
    size_ = static_cast<std::size_t>(found.st_size);
    if (size_ == 0) die(kAgain, "the plan '%s' is empty", path_.text);
    void* mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    if (mapped == MAP_FAILED) die(kAgain, "cannot read the plan '%s': %s", path_.text, std::strerror(errno));
    ::close(file);
    text_ = static_cast<const char*>(mapped);
    if (text_[size_ - 1] != '\n') die(kAgain, "the plan '%s' ends in the middle of a line", path_.text);
  }

  /// Is there a line "<key> <value>"?
  [[nodiscard]] bool has(const char* key, const char* value) const {
    char line[64];
    const int length = std::snprintf(line, sizeof line, "\n%s %s\n", key, value);
    return find(line, static_cast<std::size_t>(length)) != nullptr;
  }

  [[nodiscard]] std::int64_t number(const char* key, std::int64_t least, std::int64_t most) const {
    char start[64];
    const int length = std::snprintf(start, sizeof start, "\n%s ", key);
    const char* at = find(start, static_cast<std::size_t>(length));
    std::int64_t value = kNone;
    if (at != nullptr) {
      // find() may answer with the first line, which has no line feed before it.
      const char* digit = std::strchr(at + 1, ' ') + 1;
      for (value = 0; *digit >= '0' && *digit <= '9' && value <= most; ++digit)
        value = value * 10 + (*digit - '0');
      if (*digit != '\n') value = kNone;
    }
    if (value < least || value > most) {
      die(kAgain, "the plan '%s' has no valid line '%s': expected a number from %lld to %lld", path_.text,
          key, static_cast<long long>(least), static_cast<long long>(most));
    }
    return value;
  }

 private:
  [[nodiscard]] const char* find(const char* line, std::size_t length) const {
    if (size_ >= length - 1 && std::memcmp(text_, line + 1, length - 1) == 0) return text_;
    return static_cast<const char*>(::memmem(text_, size_, line, length));
  }

  PathText path_;
  const char* text_ = nullptr;
  std::size_t size_ = 0;
};

/// Best effort: it only shows progress.
void tell_wanted(const char* root, const char* name) {
  const PathText temporary = path_of(root, "wanted.tmp");
  const int file = ::open(temporary.text, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return;
  const bool written = ::write(file, name, std::strlen(name)) > 0 && ::write(file, "\n", 1) == 1;
  ::close(file);
  if (written) ::rename(temporary.text, path_of(root, spool::kWanted).text);
}

/// Ends the program when the feeder has given up.
void heed_failure(const char* root, const char* name) {
  const int file = ::open(path_of(root, spool::kFailed).text, O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  char why[4096];
  const ssize_t length = ::read(file, why, sizeof why - 1);
  why[length > 0 ? length : 0] = '\0';
  if (char* end = std::strchr(why, '\n')) *end = '\0';
  die(kAgain, "'%s' will not come, the restore failed: %s", name, *why ? why : "it did not say why");
}

std::int64_t monotonic_ms() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return std::int64_t{time.tv_sec} * 1000 + time.tv_nsec / 1'000'000;
}

/// True: `path` is there and a regular file, its size in `size_bytes`.
bool is_there(const char* path, std::int64_t& size_bytes) {
  struct stat found {};
  if (::lstat(path, &found) != 0) {
    if (errno == ENOENT) return false;
    die(kAgain, "cannot look at '%s': %s", path, std::strerror(errno));
  }
  if (!S_ISREG(found.st_mode)) die(kAgain, "'%s' is not a regular file", path);
  size_bytes = found.st_size;
  return true;
}

/// Waits until ready/<name> is there; ends the program when it does not come. Returns its size.
std::int64_t wait_for(const char* root, const char* name, const char* ready, std::int64_t timeout_ms) {
  std::int64_t size_bytes = 0;
  if (is_there(ready, size_bytes)) return size_bytes;
  const std::int64_t begin = monotonic_ms();
  const int events = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (events >= 0) {
    ::inotify_add_watch(events, path_of(root, spool::kReady).text, IN_MOVED_TO);
    ::inotify_add_watch(events, root, IN_MOVED_TO | IN_CREATE);
  }
  while (true) {
    // After the watch is set and before every wait: what came in between is seen.
    if (is_there(ready, size_bytes)) break;
    heed_failure(root, name);
    const std::int64_t waited = monotonic_ms() - begin;
    if (waited >= timeout_ms) {
      die(kAgain, "'%s' is planned but was not placed in '%s' within %lld ms", name, ready,
          static_cast<long long>(timeout_ms));
    }
    const std::int64_t left = timeout_ms - waited;
    pollfd change{events, POLLIN, 0};
    ::poll(&change, 1, static_cast<int>(left < kLookAgainMs ? left : kLookAgainMs));
    char unread[4096];
    while (events >= 0 && ::read(events, unread, sizeof unread) > 0) {
    }
  }
  if (events >= 0) ::close(events);
  return size_bytes;
}

/// The name under which PostgreSQL keeps a segment that it got: beside the destination.
PathText kept_by_postgres(const char* destination, const char* name) {
  const char* slash = std::strrchr(destination, '/');
  PathText folder;
  const int length = slash == nullptr ? 1 : static_cast<int>(slash - destination);
  std::snprintf(folder.text, sizeof folder.text, "%.*s", length, slash == nullptr ? "." : destination);
  return path_of(folder.text, name);
}

int serve_segment(const char* root, const char* name, const char* destination) {
  const Plan plan(root);
  const std::int64_t segment_size = plan.number(spool::kSegmentSizeKey, 1 << 20, 1 << 30);
  const std::int64_t timeout_ms = plan.number(spool::kTimeoutKey, 0, INT_MAX);
  if (!plan.has(spool::kSegmentKey, name)) return spool::kAbsentByPlan;

  const PathText ready = path_of(root, spool::kReady, name);
  const PathText served = path_of(root, spool::kServed, name);
  std::int64_t size_bytes = 0;
  // A marker with the segment still in ready: killed between the two, and nothing was handed out yet.
  if (is_there(served.text, size_bytes) && !is_there(ready.text, size_bytes)) {
    const PathText kept = kept_by_postgres(destination, name);
    if (is_there(kept.text, size_bytes)) return spool::kAbsentByPlan;
    die(kAgain, "segment '%s' was handed out before, but '%s' is not there", name, kept.text);
  }
  size_bytes = wait_for(root, name, ready.text, timeout_ms);
  if (size_bytes != segment_size) {
    die(kAgain, "segment '%s' in the spool has %lld bytes, expected %lld", name,
        static_cast<long long>(size_bytes), static_cast<long long>(segment_size));
  }
  // The marker first: killed after it, the segment is found in ready and served again; the other way round a
  // segment that PostgreSQL already has would be waited for.
  const int marker = ::open(served.text, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (marker < 0 || ::close(marker) != 0)
    die(kAgain, "cannot create '%s': %s", served.text, std::strerror(errno));
  if (::rename(ready.text, destination) != 0) {
    die(kAgain, "cannot rename '%s' to '%s': %s", ready.text, destination, std::strerror(errno));
  }
  return spool::kPlaced;
}

/// A copy: PostgreSQL asks for a history file twice.
int serve_history(const char* root, const char* name, const char* destination) {
  const Plan plan(root);
  const std::int64_t timeout_ms = plan.number(spool::kTimeoutKey, 0, INT_MAX);
  if (!plan.has(spool::kHistoryKey, name)) return spool::kAbsentByPlan;

  const PathText ready = path_of(root, spool::kReady, name);
  wait_for(root, name, ready.text, timeout_ms);
  const int from = ::open(ready.text, O_RDONLY | O_CLOEXEC);
  if (from < 0) die(kAgain, "cannot open '%s': %s", ready.text, std::strerror(errno));
  const int to = ::open(destination, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (to < 0) die(kAgain, "cannot create '%s': %s", destination, std::strerror(errno));
  char buffer[64 << 10];
  ssize_t count = 0;
  while ((count = ::read(from, buffer, sizeof buffer)) > 0) {
    for (ssize_t done = 0; done < count;) {
      const ssize_t written = ::write(to, buffer + done, static_cast<std::size_t>(count - done));
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) {
        const int number = errno;
        ::unlink(destination);
        die(kAgain, "cannot write '%s': %s", destination, std::strerror(number));
      }
      done += written;
    }
  }
  if (count < 0 || ::close(to) != 0) {
    const int number = errno;
    ::unlink(destination);
    die(kAgain, "cannot copy '%s' to '%s': %s", ready.text, destination, std::strerror(number));
  }
  return spool::kPlaced;
}

}  // namespace

int main(int count, char** arguments) {
  constexpr char kUsage[] = "It is PostgreSQL's restore_command in a restore: walback-fetch SPOOL %f %p";
  if (count != 4) die(kUsage, "found %d arguments, expected 3: SPOOL NAME DESTINATION", count - 1);
  const char* root = arguments[1];
  const char* name = arguments[2];
  const char* destination = arguments[3];
  const bool segment = is_segment(name);
  if (!segment && !is_history(name)) {
    die(kUsage, "'%s' is neither the name of a WAL segment nor of a history file", name);
  }
  heed_failure(root, name);
  tell_wanted(root, name);
  const int code = segment ? serve_segment(root, name, destination) : serve_history(root, name, destination);
  ::_exit(code);
}
