#pragma once
#include <string>

#include "archive/segment_reading.h"
#include "archive/wal_directory.h"
#include "base/result.h"
#include "catalog/archive_layout.h"
#include "catalog/rows.h"

namespace walback {

/// What reading one segment's file found.
struct SegmentVerdict {
  /// Why it is not what was captured, as rows say it ("damaged at 0/3000148: …"); empty: it is right.
  std::string problem;
  Lsn good_until;  ///< records are valid up to here, whatever the problem is
  std::uint64_t read_bytes = 0;
  bool vanished = false;  ///< gone, or renamed, while it was read: look again
};

/// Reads every byte of a segment's file once, for both judgements: the WAL's own (page headers, back
/// pointers, record CRCs, from the record that the one before it ends with) and the checksum with which it
/// was indexed. A finished file must be valid to its end; a `.partial` as far as its row says, and everything
/// behind that is the capturer's.
[[nodiscard]] Result<SegmentVerdict> verify_segment(FileSystem& files, const ArchiveIdentity& identity,
                                                    const SegmentFile& file, const SegmentRow& row,
                                                    const ReadingPlan& how);

}  // namespace walback
