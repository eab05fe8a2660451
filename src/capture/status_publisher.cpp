#include "capture/status_publisher.h"

namespace walback {
namespace {

constexpr std::int64_t kInterval = 1'000'000;

}  // namespace

void StatusPublisher::publish(CaptureStatus& status, bool now) {
  const std::int64_t now_us = setup_.clock.monotonic_us();
  const bool same = status.state == published_.state && status.receivewal_pid == published_.receivewal_pid;
  if (!now && now_us < next_us_ && same) return;
  next_us_ = now_us + kInterval;
  status.updated_at = setup_.clock.now();
  status.updated_monotonic_us = now_us;
  published_ = status;
  const auto written = write_capture_status(setup_.files, setup_.archive, status);
  if (written) {
    unwritable_.over();
  } else if (unwritable_.due(now_us)) {
    setup_.log.warn("capture", "status_not_written", {{key::error, written.error().message}});
  }
}

}  // namespace walback
