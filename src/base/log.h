#pragma once
#include <initializer_list>
#include <string>
#include <string_view>

namespace walback {

/// INFO: a station of the design was passed. WARN: we cope, look tomorrow. ERROR: a promise is broken, with a
/// hint.
enum class LogLevel { debug, info, warn, error };

struct LogField {
  std::string_view key;
  std::string value;
};

/// One line an event: `2026-11-20T07:19:40.051Z INFO archive segment_indexed timeline=1 segment=… end_lsn=…`.
/// Values are quoted where they hold a blank, a quote or a control character. Never a secret.
class Log {
 public:
  virtual ~Log() = default;
  virtual void write(LogLevel level, std::string_view area, std::string_view event,
                     std::initializer_list<LogField> fields) = 0;

  void debug(std::string_view area, std::string_view event, std::initializer_list<LogField> fields = {}) {
    write(LogLevel::debug, area, event, fields);
  }
  void info(std::string_view area, std::string_view event, std::initializer_list<LogField> fields = {}) {
    write(LogLevel::info, area, event, fields);
  }
  void warn(std::string_view area, std::string_view event, std::initializer_list<LogField> fields = {}) {
    write(LogLevel::warn, area, event, fields);
  }
  void error(std::string_view area, std::string_view event, std::initializer_list<LogField> fields = {}) {
    write(LogLevel::error, area, event, fields);
  }
};

/// The line without its time: `INFO archive segment_indexed timeline=1`. Pure, so that tests can pin it.
[[nodiscard]] std::string render_log_line(LogLevel level, std::string_view area, std::string_view event,
                                          std::initializer_list<LogField> fields);

/// The keys that stand in more than one place: a monitor greps for them, so they are spelled once.
namespace key {
inline constexpr std::string_view timeline = "timeline";
inline constexpr std::string_view segment = "segment";
inline constexpr std::string_view lsn = "lsn";
inline constexpr std::string_view end_lsn = "end_lsn";
inline constexpr std::string_view epoch = "epoch";
inline constexpr std::string_view slot = "slot";
inline constexpr std::string_view path = "path";
inline constexpr std::string_view pid = "pid";
inline constexpr std::string_view took_ms = "took_ms";
inline constexpr std::string_view error = "error";
inline constexpr std::string_view hint = "hint";
}  // namespace key

}  // namespace walback
