#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include "wal/lsn.h"
#include "wal/segment_name.h"

/// What retention has let go. Recorded before any file is removed, so that a file that is still there is a
/// leftover of an interrupted `walback expire`, and is never taken in as something new.
namespace walback {

/// Of this timeline nothing below `below` belongs to the archive any more, in no epoch. It never goes back.
struct ExpiredWal {
  TimelineId timeline;
  SegmentNumber below;
  Lsn below_lsn;  ///< where that segment starts
  bool operator==(const ExpiredWal&) const = default;
};

[[nodiscard]] inline bool has_expired(const std::vector<ExpiredWal>& expired, SegmentName name) {
  return std::ranges::any_of(expired, [&](const ExpiredWal& one) {
    return one.timeline == name.timeline && name.number < one.below;
  });
}

/// The start LSN goes with the id, because an id is made of a clock, and clocks are set back.
struct ExpiredBackup {
  std::string id;
  Lsn start_lsn;
  bool operator==(const ExpiredBackup&) const = default;
};

}  // namespace walback
