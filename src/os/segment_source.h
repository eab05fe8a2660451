#pragma once
#include <functional>
#include <optional>
#include <vector>

#include "os/file_system.h"
#include "wal/segment_name.h"
#include "wal/wal_source.h"

namespace walback {

/// Segment files as a record reader's source, `.partial` ones too. Read into a reused buffer, not mapped: a
/// file that is truncated meanwhile is then short, and not a SIGBUS. Nothing is kept open between two calls:
/// what was appended since is seen, if it is asked for again. A file shorter than its segment simply has
/// fewer bytes; one that is gone since it was located is not_found, never an end.
///
/// Reads little at first (what is new in a `.partial` is usually one page) and more with every step forward.
class SegmentSource : public WalSource {
 public:
  /// Which file holds this segment; nothing: none does. Which timeline's it is, is for the caller to choose.
  /// Asked once a segment.
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
