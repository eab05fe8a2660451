#include "base/crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

/// The portable way reads eight bytes a step through eight tables ("slicing by 8"). The SSE4.2 instruction
/// takes three cycles but one can begin in each: long buffers are cut into three lanes that run side by side,
/// and the lanes are joined by moving a lane's CRC over the length of what follows it, which is one table
/// lookup a byte of the CRC because that length is fixed.
namespace walback {
namespace {

constexpr std::uint32_t kPolynomial = 0x82F63B78U;  // reflected

using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

constexpr Tables make_tables() {
  Tables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    tables[0][byte] = crc;
  }
  for (std::size_t slice = 1; slice < 8; ++slice) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const auto before = tables[slice - 1][byte];
      tables[slice][byte] = (before >> 8) ^ tables[0][before & 0xFF];
    }
  }
  return tables;
}
constexpr Tables kTables = make_tables();

constexpr std::uint32_t byte_step(std::uint32_t crc, std::uint8_t byte) {
  return (crc >> 8) ^ kTables[0][(crc ^ byte) & 0xFF];
}

std::uint64_t load64(const char* bytes) {
  std::uint64_t value = 0;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

#if defined(__x86_64__)
/// What a CRC becomes after a fixed number of zero bytes, by each of its four bytes.
template <std::size_t kBytes>
struct ZeroShift {
  std::array<std::array<std::uint32_t, 256>, 4> table{};

  ZeroShift() {
    std::array<std::uint32_t, 32> of_bit{};
    for (std::size_t bit = 0; bit < 32; ++bit) {
      std::uint32_t crc = 1U << bit;
      for (std::size_t i = 0; i < kBytes; ++i) crc = byte_step(crc, 0);
      of_bit[bit] = crc;
    }
    for (std::size_t byte = 0; byte < 4; ++byte) {
      for (std::size_t value = 0; value < 256; ++value) {
        std::uint32_t crc = 0;
        for (std::size_t bit = 0; bit < 8; ++bit) {
          if ((value >> bit & 1) != 0) crc ^= of_bit[byte * 8 + bit];
        }
        table[byte][value] = crc;
      }
    }
  }
  [[nodiscard]] std::uint32_t operator()(std::uint32_t crc) const {
    return table[0][crc & 0xFF] ^ table[1][crc >> 8 & 0xFF] ^ table[2][crc >> 16 & 0xFF] ^
           table[3][crc >> 24];
  }
};

template <std::size_t kLane>
__attribute__((target("sse4.2"))) std::uint64_t three_lanes(std::uint64_t crc, const char*& bytes,
                                                            std::size_t& size) {
  static const ZeroShift<kLane> shift;
  while (size >= 3 * kLane) {
    std::uint64_t second = 0;
    std::uint64_t third = 0;
    for (std::size_t i = 0; i < kLane; i += 8) {
      crc = _mm_crc32_u64(crc, load64(bytes + i));
      second = _mm_crc32_u64(second, load64(bytes + kLane + i));
      third = _mm_crc32_u64(third, load64(bytes + 2 * kLane + i));
    }
    crc = shift(static_cast<std::uint32_t>(crc)) ^ second;
    crc = shift(static_cast<std::uint32_t>(crc)) ^ third;
    bytes += 3 * kLane;
    size -= 3 * kLane;
  }
  return crc;
}

// Below the shortest lane's three-fold the joining costs more than it saves.
constexpr std::size_t kLongLane = 2048;
constexpr std::size_t kShortLane = 256;

__attribute__((target("sse4.2"))) std::uint32_t crc32c_sse42(std::uint32_t start, const char* bytes,
                                                             std::size_t size) {
  std::uint64_t crc = start;
  if (size >= 3 * kLongLane) crc = three_lanes<kLongLane>(crc, bytes, size);
  if (size >= 3 * kShortLane) crc = three_lanes<kShortLane>(crc, bytes, size);
  for (; size >= 8; bytes += 8, size -= 8) crc = _mm_crc32_u64(crc, load64(bytes));
  auto narrow = static_cast<std::uint32_t>(crc);
  for (; size > 0; ++bytes, --size) narrow = _mm_crc32_u8(narrow, static_cast<std::uint8_t>(*bytes));
  return narrow;
}
#endif

detail::Crc32cFunction choose() {
  const auto hardware = detail::crc32c_hardware();
  return hardware != nullptr ? hardware : detail::crc32c_portable;
}

}  // namespace

std::uint32_t detail::crc32c_portable(std::uint32_t crc, const char* bytes, std::size_t size) {
  for (; size >= 8; bytes += 8, size -= 8) {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < 8; ++i) word |= std::uint64_t{static_cast<std::uint8_t>(bytes[i])} << (8 * i);
    word ^= crc;
    crc = 0;
    for (std::size_t i = 0; i < 8; ++i) crc ^= kTables[7 - i][word >> (8 * i) & 0xFF];
  }
  for (; size > 0; ++bytes, --size) crc = byte_step(crc, static_cast<std::uint8_t>(*bytes));
  return crc;
}

detail::Crc32cFunction detail::crc32c_hardware() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2") != 0) return crc32c_sse42;
#endif
  return nullptr;
}

std::uint32_t crc32c_extend(std::uint32_t crc, const char* bytes, std::size_t size) {
  static const detail::Crc32cFunction kChosen = choose();
  return kChosen(crc, bytes, size);
}

}  // namespace walback
