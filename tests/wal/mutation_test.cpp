#include <doctest/doctest.h>

#include <random>

#include "fuzz/read_anything.h"
#include "fuzz/seeds.h"

using namespace walback;
using namespace walback::test;

namespace {

using Random = std::mt19937_64;

std::size_t below(Random& random, std::size_t bound) {
  return random() % bound;
}

/// One to four wounds within `window` bytes from `from`.
void mutate(std::string& bytes, Random& random, std::size_t from, std::size_t window) {
  window = std::min(window, bytes.size() - from);
  for (std::size_t wounds = 1 + below(random, 4); wounds > 0 && window > 64; --wounds) {
    const auto at = from + below(random, window - 64);
    switch (below(random, 6)) {
      case 0:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(random, 8)));
        break;
      case 1:
        bytes[at] = static_cast<char>(random());
        break;
      case 2: {
        const std::uint32_t numbers[] = {0,          1,          24,
                                         0x7FFFFFFF, 0xFFFFFFFF, static_cast<std::uint32_t>(random())};
        std::memcpy(&bytes[at / 4 * 4], &numbers[below(random, 6)], 4);
        break;
      }
      case 3:
        std::memset(&bytes[at], 0, 1 + below(random, 64));
        break;
      case 4:
        std::memmove(&bytes[at], &bytes[from + below(random, window - 64)], 1 + below(random, 64));
        break;
      default: {
        // A page header's flags, timeline, address or rest.
        const auto page = at / kPageSize * kPageSize;
        bytes[page + below(random, 24)] = static_cast<char>(random());
      }
    }
  }
}

}  // namespace

TEST_CASE("mutations: no bytes crash the reader, and what it yields keeps its promises") {
  Random random(20'261'120);
  for (const unsigned major : {15U, 16U, 17U, 18U}) {
    const auto wal = seed_wal(32 + 8 * major, major);
    const auto pages = wal.segment(SegmentNumber{1}).substr(0, 6 * kPageSize);
    for (int i = 0; i < 1'500; ++i) {
      auto bytes = pages;
      mutate(bytes, random, 0, bytes.size());
      if (below(random, 8) == 0) bytes.resize(below(random, bytes.size()));
      read_anything(bytes);
    }
  }
}

TEST_CASE("mutations: around a segment's border") {
  Random random(7);
  auto wal = seed_wal(32, 15);
  constexpr std::size_t kSegment = 1U << 20;
  wal.fill_to({2 * kSegment - 64});
  wal.commit({.xid = 5, .time = {}, .subxids = std::vector<std::uint32_t>(4'000, 6)});
  wal.filler(100);
  const auto whole = wal.segment(SegmentNumber{1}) + wal.segment(SegmentNumber{2}).substr(0, 4 * kPageSize);
  for (int i = 0; i < 60; ++i) {
    auto bytes = whole;
    mutate(bytes, random, kSegment - 2 * kPageSize, 5 * kPageSize);
    read_bytes(bytes);
  }
}

TEST_CASE("mutations: noise") {
  Random random(1);
  for (int i = 0; i < 200; ++i) {
    std::string bytes(below(random, 40'000), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    read_anything(bytes);
  }
}
