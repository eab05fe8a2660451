#pragma once
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace walback {

/// A byte position in the WAL. Written `X/Y`: the high and the low 32 bits in hexadecimal.
/// 0/0 is PostgreSQL's InvalidXLogRecPtr.
struct Lsn {
  std::uint64_t value = 0;

  auto operator<=>(const Lsn&) const = default;
  [[nodiscard]] bool valid() const { return value != 0; }
};

[[nodiscard]] inline Lsn operator+(Lsn lsn, std::uint64_t bytes) {
  return {lsn.value + bytes};
}
/// Bytes from `b` to `a`; `a` must not lie before `b`.
[[nodiscard]] inline std::uint64_t operator-(Lsn a, Lsn b) {
  return a.value - b.value;
}

[[nodiscard]] std::string to_string(Lsn lsn);
/// As PostgreSQL's pg_lsn reads it: two groups of 1 to 8 hexadecimal digits, one slash, nothing else.
[[nodiscard]] std::optional<Lsn> parse_lsn(std::string_view text);

}  // namespace walback
