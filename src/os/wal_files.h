#pragma once
#include <functional>
#include <optional>
#include <vector>

#include "os/file_system.h"
#include "wal/segment_name.h"
#include "wal/wal_source.h"

namespace walback {

/// The file that holds a segment, a `.partial` among them; nothing: there is none. Which timeline's file is
/// for the caller to choose.
using SegmentFile = std::function<std::optional<Path>(SegmentNumber)>;

/// Segments in files as a record reader's source. Read into a reused buffer, not mapped: a file that is
/// truncated meanwhile is then short, and not a SIGBUS. A file shorter than its segment simply has fewer
/// bytes; one that was removed since it was chosen has none. Nothing is kept between two calls but the open
/// file: what was appended since is seen, if it is asked for again.
class WalFiles : public WalSource {
 public:
  WalFiles(SegmentSize size, SegmentFile file);
  ~WalFiles() override;
  WalFiles(const WalFiles&) = delete;
  WalFiles& operator=(const WalFiles&) = delete;

  [[nodiscard]] Result<std::span<const char>> bytes_from(Lsn position) override;

 private:
  Status open(SegmentNumber number);
  void close();

  SegmentSize size_;
  SegmentFile file_;
  int descriptor_ = -1;
  std::optional<SegmentNumber> open_segment_;
  Path path_;
  std::vector<char> buffer_;
};

}  // namespace walback
