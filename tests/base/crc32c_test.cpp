#include "base/crc32c.h"

#include <doctest/doctest.h>

#include <random>
#include <string>

using namespace walback;

namespace {
std::uint32_t of(const std::string& text) {
  return crc32c(text);
}
}  // namespace

TEST_CASE("crc32c: the known vectors of RFC 3720") {
  CHECK(of("") == 0U);
  CHECK(of("123456789") == 0xE3069283U);
  CHECK(of(std::string(32, '\0')) == 0x8A9136AAU);
  CHECK(of(std::string(32, '\xFF')) == 0x62A8AB43U);
  std::string ascending;
  for (int i = 0; i < 32; ++i) ascending.push_back(static_cast<char>(i));
  CHECK(of(ascending) == 0x46DD794EU);
}

TEST_CASE("crc32c: hardware and portable agree for every length and alignment, and in pieces") {
  std::mt19937_64 random(7);
  std::string bytes(40'000, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  const auto hardware = detail::crc32c_hardware();
  if (hardware == nullptr) {
    MESSAGE("this processor has no SSE4.2: only the portable way is tested");
    return;
  }
  for (std::size_t size = 0; size < 2'000; ++size) {
    const std::size_t offset = size % 9;
    REQUIRE(hardware(kCrc32cInit, bytes.data() + offset, size) ==
            detail::crc32c_portable(kCrc32cInit, bytes.data() + offset, size));
  }
  for (const std::size_t size : {6'143U, 6'144U, 6'145U, 8'168U, 12'288U, 20'000U, 39'999U}) {
    const auto whole = detail::crc32c_portable(kCrc32cInit, bytes.data(), size);
    REQUIRE(hardware(kCrc32cInit, bytes.data(), size) == whole);
    const std::size_t cut = size / 3;
    REQUIRE(hardware(hardware(kCrc32cInit, bytes.data(), cut), bytes.data() + cut, size - cut) == whole);
  }
}
