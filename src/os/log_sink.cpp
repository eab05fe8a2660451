#include <ctime>
#include <mutex>

#include "os/descriptor.h"
#include "os/system.h"

namespace walback {
namespace {

class RealClock final : public Clock {
 public:
  Timestamp now() const override { return {microseconds_of(CLOCK_REALTIME)}; }
  std::int64_t monotonic_us() const override { return microseconds_of(CLOCK_MONOTONIC); }

 private:
  static std::int64_t microseconds_of(clockid_t clock) {
    timespec time{};
    ::clock_gettime(clock, &time);
    return std::int64_t{time.tv_sec} * 1'000'000 + time.tv_nsec / 1000;
  }
};

std::string_view colour_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "\x1b[2m";
    case LogLevel::warn:
      return "\x1b[33m";
    case LogLevel::error:
      return "\x1b[31m";
    case LogLevel::info:
      break;
  }
  return "";
}

/// "…T07:19:40.051Z": milliseconds are enough for people, and what a moment is exactly stands in the fields.
std::string log_time(Timestamp time) {
  std::string text = to_rfc3339(time);
  if (text.size() == 27) text.replace(23, 3, "");
  return text;
}

class DescriptorLog final : public Log {
 public:
  DescriptorLog(int descriptor, LogLevel least)
      : descriptor_(descriptor), least_(least), coloured_(is_terminal(descriptor)) {}

  void write(LogLevel level, std::string_view area, std::string_view event,
             std::initializer_list<LogField> fields) override {
    if (level < least_) return;
    const std::string_view colour = coloured_ ? colour_of(level) : "";
    std::string line(colour);
    line += log_time(real_clock().now());
    line += ' ';
    line += render_log_line(level, area, event, fields);
    if (!colour.empty()) line += "\x1b[0m";
    line += '\n';
    put(line);
  }

 private:
  /// A log that cannot be written is lost: there is nobody left to tell.
  void put(std::string_view line) {
    const std::lock_guard lock(mutex_);
    while (!line.empty()) {
      const auto count = retry([&] { return ::write(descriptor_, line.data(), line.size()); });
      if (count <= 0) return;
      line.remove_prefix(static_cast<std::size_t>(count));
    }
  }

  int descriptor_;
  LogLevel least_;
  bool coloured_;
  std::mutex mutex_;
};

}  // namespace

Clock& real_clock() {
  static RealClock clock;
  return clock;
}

std::unique_ptr<Log> make_log(int descriptor, LogLevel least) {
  return std::make_unique<DescriptorLog>(descriptor, least);
}

}  // namespace walback
