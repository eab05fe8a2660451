#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>

#include "base/result.h"

namespace walback {

/// A time as it was written, before any zone or calendar has judged it.
struct TimeWords {
  std::optional<std::chrono::microseconds> ago;             ///< "now", "5 minutes ago": counts alone
  std::optional<std::tuple<int, unsigned, unsigned>> date;  ///< year, month, day; may not exist
  int days_back = 0;                                        ///< without a date: today 0, yesterday 1
  bool relative_day = false;                                ///< the day is today or yesterday
  std::chrono::microseconds since_midnight{0};
  std::optional<int> offset;  ///< seconds east of UTC
  std::string zone;           ///< as written; empty: none
};

[[nodiscard]] Result<TimeWords> parse_time_words(std::string_view text);

}  // namespace walback
