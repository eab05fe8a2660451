#include "capture/primary_monitor.h"

#include "os/system.h"

namespace walback {

PrimaryMonitor::PrimaryMonitor(LookAtPrimary look, const Clock& clock, std::chrono::milliseconds interval)
    : look_(std::move(look)),
      clock_(clock),
      thread_([this, interval](std::stop_token stop) { watch(stop, interval); }) {}

std::optional<PrimaryMonitor::Sight> PrimaryMonitor::latest() const {
  const std::lock_guard guard(mutex_);
  return latest_;
}

void PrimaryMonitor::watch(std::stop_token stop, std::chrono::milliseconds interval) {
  std::uint64_t number = 0;
  do {
    const std::int64_t begun_us = clock_.monotonic_us();
    Sight sight{look_(), ++number, begun_us, 0, {}};
    sight.taken_us = clock_.monotonic_us();
    sight.taken_at = clock_.now();
    const std::lock_guard guard(mutex_);
    latest_ = std::move(sight);
  } while (sleep_for(stop, interval));
}

}  // namespace walback
