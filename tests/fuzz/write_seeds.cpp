#include <fstream>
#include <string>

#include "fuzz/seeds.h"

/// Writes the fuzzer's first corpus into the directory that it is given.
int main(int argc, char** argv) {
  if (argc != 2) return 2;
  int number = 0;
  for (const unsigned major : {15U, 16U, 17U, 18U}) {
    for (const std::size_t filler : {32U, 777U, 5'000U}) {
      const auto wal = walback::test::seed_wal(filler, major);
      const auto bytes = wal.segment(walback::SegmentNumber{1}).substr(0, 5 * 8'192);
      std::ofstream(std::string(argv[1]) + "/wal-" + std::to_string(number++), std::ios::binary) << bytes;
    }
  }
  return 0;
}
