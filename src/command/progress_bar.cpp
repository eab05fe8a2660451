#include "command/progress_bar.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"
#include "os/system.h"

namespace walback {
namespace {

constexpr std::int64_t kRedrawUs = 100'000;
constexpr std::int64_t kPlainLineUs = 5'000'000;
constexpr std::size_t kBarWidth = 20;

class SilentProgress final : public Progress {
 public:
  void report(const ProgressState&) override {}
  void finish() override {}
};

class DescriptorProgress final : public Progress {
 public:
  DescriptorProgress(int descriptor, const Clock& clock)
      : descriptor_(descriptor),
        clock_(clock),
        terminal_(is_terminal(descriptor) && environment_variable("TERM").value_or("dumb") != "dumb") {}
  ~DescriptorProgress() override { wipe(); }

  void report(const ProgressState& state) override {
    const std::int64_t now_us = clock_.monotonic_us();
    const bool new_phase = state.phase != phase_;
    if (!new_phase && now_us - drawn_us_ < (terminal_ ? kRedrawUs : kPlainLineUs)) return;
    phase_ = state.phase;
    drawn_us_ = now_us;
    const std::string text = render_progress(state, columns());
    put(terminal_ ? "\r\033[K" + text : text + "\n");
    drawn_ = true;
  }

  void finish() override {
    wipe();
    phase_.clear();
  }

 private:
  void wipe() {
    if (terminal_ && drawn_) put("\r\033[K");
    drawn_ = false;
  }

  void put(const std::string& text) const {
    // A progress line that cannot be shown is no reason to stop the work.
    [[maybe_unused]] const auto written = ::write(descriptor_, text.data(), text.size());
  }

  [[nodiscard]] std::size_t columns() const {
    winsize size{};
    if (terminal_ && ioctl(descriptor_, TIOCGWINSZ, &size) == 0 && size.ws_col > 20) return size.ws_col - 1U;
    return terminal_ ? 79 : 200;
  }

  int descriptor_;
  const Clock& clock_;
  bool terminal_;
  bool drawn_ = false;
  std::string phase_;
  std::int64_t drawn_us_ = 0;
};

}  // namespace

std::unique_ptr<Progress> make_progress(int descriptor, const Clock& clock) {
  return std::make_unique<DescriptorProgress>(descriptor, clock);
}

std::unique_ptr<Progress> make_silent_progress() {
  return std::make_unique<SilentProgress>();
}

std::string render_progress(const ProgressState& state, std::size_t columns) {
  std::string text = state.phase;
  if (state.total > 0) {
    const double share = std::min(1.0, static_cast<double>(state.done) / static_cast<double>(state.total));
    const auto filled = static_cast<std::size_t>(share * kBarWidth);
    text += fmt::format("  [{}{}] {:3.0f} %  {} of {}", std::string(filled, '#'),
                        std::string(kBarWidth - filled, '.'), share * 100, render_bytes(state.done),
                        render_bytes(state.total));
  } else if (state.done > 0) {
    text += "  " + render_bytes(state.done);
  }
  if (!state.detail.empty()) text += (state.total > 0 || state.done > 0 ? ", " : "  ") + state.detail;
  if (text.size() > columns) {
    // Not in the middle of a character: continuation bytes are 10xxxxxx.
    std::size_t end = columns;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
    text.resize(end);
  }
  return text;
}

}  // namespace walback
