#pragma once
#include <span>

#include "base/result.h"
#include "wal/lsn.h"

namespace walback {

/// Where a record reader gets its bytes from: one timeline's path through the segments, chosen by whoever
/// builds it.
class WalSource {
 public:
  virtual ~WalSource() = default;
  /// The bytes from `position` (always a page's first byte) on, up to at most the end of its segment. Whole
  /// pages, except where the bytes of the segment end. Empty: there are none at that position. The span is
  /// valid until the next call. An error means that bytes are there and cannot be read.
  [[nodiscard]] virtual Result<std::span<const char>> bytes_from(Lsn position) = 0;
};

}  // namespace walback
