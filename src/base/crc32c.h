#pragma once
#include <cstdint>
#include <span>

namespace walback {

/// CRC-32C (Castagnoli), the checksum of WAL records and of pg_control. Start with kCrc32cInit, extend with
/// each piece in order, finish once.
inline constexpr std::uint32_t kCrc32cInit = 0xFFFFFFFFU;
[[nodiscard]] std::uint32_t crc32c_extend(std::uint32_t crc, const char* bytes, std::size_t size);
[[nodiscard]] constexpr std::uint32_t crc32c_finish(std::uint32_t crc) {
  return crc ^ 0xFFFFFFFFU;
}
[[nodiscard]] inline std::uint32_t crc32c(std::span<const char> bytes) {
  return crc32c_finish(crc32c_extend(kCrc32cInit, bytes.data(), bytes.size()));
}

namespace detail {
/// The two implementations behind crc32c_extend, by name so that a test can hold one against the other.
[[nodiscard]] std::uint32_t crc32c_portable(std::uint32_t crc, const char* bytes, std::size_t size);
/// Null where the processor has no SSE4.2.
using Crc32cFunction = std::uint32_t (*)(std::uint32_t, const char*, std::size_t);
[[nodiscard]] Crc32cFunction crc32c_hardware();
}  // namespace detail

}  // namespace walback
