#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace walback {

/// "500ms", "1.5s" is none: whole numbers with ms, s, min or h.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);
/// In the largest unit that divides it.
[[nodiscard]] std::string render_duration(std::chrono::milliseconds duration);

}  // namespace walback
