#pragma once
#include <cstdint>

namespace walback {

/// Everything from `source` to the empty file `target`, by the cheapest way that works: a reflink (FICLONE),
/// a copy inside the kernel (copy_file_range), read and write. `expected_bytes` is only a hint: it copies to
/// the end. Returns 0 or the errno. For os/ alone.
[[nodiscard]] int copy_bytes(int source, int target, std::uint64_t expected_bytes);

}  // namespace walback
