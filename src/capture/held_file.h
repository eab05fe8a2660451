#pragma once
#include <optional>
#include <string>

#include "base/result.h"
#include "os/file_system.h"
#include "wal/lsn.h"
#include "wal/segment_name.h"

namespace walback {

/// Is the file there in which pg_receivewal says that it writes? One whose file was deleted under it goes on
/// writing into nothing, acknowledges every byte, and notices only at the segment's end. Started again it
/// fetches the segment anew.
class HeldFile {
 public:
  /// Two looks in a row must miss it before it is called gone: the name of the file in question.
  [[nodiscard]] Result<std::optional<std::string>> missed(FileSystem& files, const Path& epoch,
                                                          TimelineId timeline, Lsn write_lsn,
                                                          SegmentSize size);

 private:
  int missed_ = 0;
};

}  // namespace walback
