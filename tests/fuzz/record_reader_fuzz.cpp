#include <cstdint>

#include "fuzz/read_anything.h"

/// libFuzzer's door: any bytes as two segments of WAL. Built with clang; ctest `fuzz_record_reader`.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  walback::test::read_anything({reinterpret_cast<const char*>(data), size});
  return 0;
}
