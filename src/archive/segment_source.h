#pragma once
#include <functional>
#include <optional>
#include <vector>

#include "os/file_system.h"
#include "wal/segment_name.h"
#include "wal/wal_source.h"

namespace walback {

/// Segment files as a record reader's source. Reads little at first (what is new in a `.partial` is usually
/// one page) and more with every step forward.
class SegmentSource : public WalSource {
 public:
  /// Which file holds this segment; nothing: none does. Asked once a segment.
  using Locate = std::function<Result<std::optional<Path>>(SegmentNumber)>;
  SegmentSource(FileSystem& files, SegmentSize size, Locate locate)
      : files_(files), size_(size), locate_(std::move(locate)) {}

  [[nodiscard]] Result<std::span<const char>> bytes_from(Lsn position) override;

 private:
  FileSystem& files_;
  SegmentSize size_;
  Locate locate_;
  std::optional<SegmentNumber> located_;
  std::optional<Path> path_;
  std::vector<char> buffer_;
  Lsn next_;
  std::size_t chunk_ = 0;
};

}  // namespace walback
