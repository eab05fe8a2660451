#pragma once
#include <algorithm>
#include <mutex>
#include <string>
#include <vector>

#include "base/log.h"

namespace walback {

/// Keeps every line, without its time, to be compared. Thread safe.
class RecordingLog final : public Log {
 public:
  void write(LogLevel level, std::string_view area, std::string_view event,
             std::initializer_list<LogField> fields) override {
    const std::lock_guard lock(mutex_);
    lines_.push_back(render_log_line(level, area, event, fields));
  }

  [[nodiscard]] std::vector<std::string> lines() const {
    const std::lock_guard lock(mutex_);
    return lines_;
  }
  /// How many lines hold this text.
  [[nodiscard]] std::size_t count(std::string_view text) const {
    const std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(std::count_if(lines_.begin(), lines_.end(), [&](const std::string& line) {
      return line.find(text) != std::string::npos;
    }));
  }
  [[nodiscard]] bool contains(std::string_view text) const { return count(text) > 0; }
  void clear() {
    const std::lock_guard lock(mutex_);
    lines_.clear();
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

}  // namespace walback
