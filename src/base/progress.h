#pragma once
#include <cstdint>
#include <string>

namespace walback {

/// How far a long work is. `total` 0 means "unknown". The one who works reports often; the one who shows
/// (a bar on a terminal, a line every few seconds without one, nothing with --quiet) decides how often to
/// draw.
struct ProgressState {
  std::string phase;       ///< "base backup", "replay", …
  std::uint64_t done = 0;  ///< in bytes
  std::uint64_t total = 0;
  std::string detail;  ///< "segment 17 of 128, at 10:42:07, 12 s left"
};

class Progress {
 public:
  virtual ~Progress() = default;
  virtual void report(const ProgressState& state) = 0;
  /// The phase is over: the bar is wiped so that ordinary output can follow.
  virtual void finish() = 0;
};

}  // namespace walback
