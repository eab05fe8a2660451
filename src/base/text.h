#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace walback {

/// Decimal digits only: no sign, no blanks, no overflow; anything else is nothing.
[[nodiscard]] std::optional<std::uint64_t> parse_decimal(std::string_view text);
/// 1 to 16 hexadecimal digits of either case, nothing else.
[[nodiscard]] std::optional<std::uint64_t> parse_hex(std::string_view text);

[[nodiscard]] std::string_view trim(std::string_view text);
[[nodiscard]] std::vector<std::string_view> split(std::string_view text, char separator);
[[nodiscard]] std::string join(const std::vector<std::string>& parts, std::string_view separator);

/// "1.5 GB", "16 MB", "812 B": powers of 1024 with PostgreSQL's unit names.
[[nodiscard]] std::string render_bytes(std::uint64_t bytes);

/// The nearest of `candidates` by edit distance if it is near enough to be a typing error.
[[nodiscard]] std::optional<std::string> nearest(std::string_view word,
                                                 const std::vector<std::string>& candidates);

}  // namespace walback
