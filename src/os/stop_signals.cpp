#include <poll.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <thread>

#include "os/descriptor.h"
#include "os/system.h"

namespace walback {
namespace {

sigset_t stop_set() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&set, number);
  return set;
}

}  // namespace

/// The signals stay blocked in every thread and arrive at a descriptor: no handler, so nothing has to be
/// async-signal-safe, and no system call elsewhere is interrupted.
struct StopSignals::Watcher {
  std::stop_source source;
  sigset_t former{};
  Descriptor signals;
  Descriptor quit{::eventfd(0, EFD_CLOEXEC)};
  std::thread thread;

  void watch() {
    int interrupts = 0;
    while (true) {
      std::array<pollfd, 2> waited{{{signals.get(), POLLIN, 0}, {quit.get(), POLLIN, 0}}};
      if (retry([&] { return ::poll(waited.data(), waited.size(), -1); }) < 0) return;
      if (waited[1].revents != 0) return;
      signalfd_siginfo info{};
      if (retry([&] { return ::read(signals.get(), &info, sizeof info); }) != sizeof info) continue;
      if (info.ssi_signo == SIGINT && ++interrupts > 1) ::_exit(exit_code(ErrorKind::interrupted));
      source.request_stop();
    }
  }
};

StopSignals::StopSignals() : watcher_(std::make_unique<Watcher>()) {
  ::signal(SIGPIPE, SIG_IGN);
  const sigset_t set = stop_set();
  // A shell starts what ends in '&' with SIGINT ignored; an ignored signal never reaches a signalfd.
  for (const int number : {SIGINT, SIGTERM}) ::signal(number, SIG_DFL);
  ::pthread_sigmask(SIG_BLOCK, &set, &watcher_->former);
  watcher_->signals = Descriptor(::signalfd(-1, &set, SFD_CLOEXEC));
  watcher_->thread = std::thread([watcher = watcher_.get()] { watcher->watch(); });
}

StopSignals::~StopSignals() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(watcher_->quit.get(), &one, sizeof one);
  watcher_->thread.join();
  ::pthread_sigmask(SIG_SETMASK, &watcher_->former, nullptr);
}

std::stop_token StopSignals::token() const {
  return watcher_->source.get_token();
}

bool sleep_for(std::stop_token stop, std::chrono::milliseconds duration) {
  const StopEvent event(stop);
  const auto deadline = std::chrono::steady_clock::now() + duration;
  while (!stop.stop_requested()) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    if (left <= 0) return true;
    pollfd waited{event.descriptor(), POLLIN, 0};
    ::poll(&waited, 1, static_cast<int>(std::min<std::int64_t>(left, 60'000)));
  }
  return false;
}

}  // namespace walback
