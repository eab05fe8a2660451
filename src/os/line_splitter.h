#pragma once
#include <algorithm>
#include <functional>
#include <string>
#include <string_view>

namespace walback {

/// A child's output into lines: without their line feed, at most kLimit bytes each (the rest of a longer one
/// is dropped), the unterminated end of the output as a line of its own.
class LineSplitter {
 public:
  static constexpr std::size_t kLimit = 64U << 10;

  void feed(std::string_view bytes, const std::function<void(std::string_view)>& on_line) {
    while (!bytes.empty()) {
      const auto end = bytes.find('\n');
      const std::string_view piece = bytes.substr(0, end);
      line_ += piece.substr(0, kLimit - line_.size());
      started_ = true;
      if (end == std::string_view::npos) return;
      finish(on_line);
      bytes.remove_prefix(end + 1);
    }
  }

  void finish(const std::function<void(std::string_view)>& on_line) {
    if (started_ && on_line) on_line(line_);
    line_.clear();
    started_ = false;
  }

 private:
  std::string line_;
  bool started_ = false;
};

}  // namespace walback
