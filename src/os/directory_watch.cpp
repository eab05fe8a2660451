#include <poll.h>
#include <sys/inotify.h>

#include <algorithm>
#include <array>
#include <utility>

#include "os/descriptor.h"
#include "os/system.h"
#include "os/system_error.h"

namespace walback {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

class InotifyWatch final : public DirectoryWatch {
 public:
  explicit InotifyWatch(Descriptor events) : events_(std::move(events)) {}

  Status add(const Path& directory) override {
    constexpr std::uint32_t kChanges = IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE |
                                       IN_MODIFY | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
    if (::inotify_add_watch(events_.get(), directory.c_str(), kChanges) < 0) {
      return system_error("watch", directory, errno);
    }
    return {};
  }

  bool wait(std::stop_token stop, milliseconds timeout) override {
    const StopEvent event(stop);
    const auto deadline = steady_clock::now() + timeout;
    while (true) {
      if (stop.stop_requested()) return false;
      const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now()).count();
      std::array<pollfd, 2> waited{{{events_.get(), POLLIN, 0}, {event.descriptor(), POLLIN, 0}}};
      const int patience = static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
      const int count = retry([&] { return ::poll(waited.data(), waited.size(), patience); });
      if (count > 0 && waited[1].revents != 0) return false;
      // An overflow of the queue is an event too: "something changed" is all that is told here.
      if (count > 0 && drain()) return true;
      if (left <= 0) return false;
    }
  }

  Changes take_changes() override { return std::exchange(changes_, {}); }

 private:
  bool drain() {
    alignas(inotify_event) std::array<char, 16U << 10> buffer;
    bool any = false;
    while (true) {
      const auto got = retry([&] { return ::read(events_.get(), buffer.data(), buffer.size()); });
      if (got <= 0) return any;
      any = true;
      for (const char* at = buffer.data(); at < buffer.data() + got;) {
        const auto* const event = reinterpret_cast<const inotify_event*>(at);
        note(*event);
        at += sizeof(inotify_event) + event->len;
      }
    }
  }

  void note(const inotify_event& event) {
    const std::string name = event.len == 0 ? "" : event.name;
    if ((event.mask & IN_Q_OVERFLOW) != 0) changes_.complete = false;
    if ((event.mask & (IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF)) != 0)
      changes_.named.insert({Change::Kind::gone, name});
    // Not IN_CLOSE_WRITE: whoever syncs a file by its name opens it for writing.
    if ((event.mask & IN_MODIFY) != 0) changes_.named.insert({Change::Kind::written, name});
  }

  Descriptor events_;
  Changes changes_;
};

}  // namespace

Result<std::unique_ptr<DirectoryWatch>> DirectoryWatch::open() {
  Descriptor events(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!events.valid()) return system_error("watch directories", errno);
  return std::make_unique<InotifyWatch>(std::move(events));
}

}  // namespace walback
