#include "os/crash_point.h"

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <string>

#include "base/text.h"
#include "os/system.h"

namespace walback {

namespace detail {
bool crash_armed = false;
}

namespace {

constexpr const char* kVariable = "WALBACK_CRASH_AT";

std::string armed_label;
std::atomic<std::uint64_t> times_left = 0;

}  // namespace

void detail::reach_crash_point(std::string_view label) {
  if (label != armed_label || --times_left != 0) return;
  // Without a buffer: nothing is flushed behind this line.
  const std::string line = fmt::format("walback: killed at crash point {}\n", label);
  [[maybe_unused]] const auto told = ::write(STDERR_FILENO, line.data(), line.size());
  ::kill(::getpid(), SIGKILL);
  ::pause();
}

Status arm_crash_points() {
  const auto wanted = environment_variable(kVariable);
  if (!wanted || wanted->empty()) return {};
  const std::size_t colon = wanted->find(':');
  armed_label = wanted->substr(0, colon);
  const auto times = colon == std::string::npos ? 1 : parse_decimal(wanted->substr(colon + 1)).value_or(0);
  if (std::ranges::find(kCrashPoints, armed_label) == kCrashPoints.end() || times == 0) {
    return fail(ErrorKind::usage,
                fmt::format("{} is '{}', expected LABEL or LABEL:N with one of {}", kVariable, *wanted,
                            fmt::join(kCrashPoints, ", ")),
                "It is for tests alone: unset it.");
  }
  times_left = times;
  detail::crash_armed = true;
  return {};
}

}  // namespace walback
