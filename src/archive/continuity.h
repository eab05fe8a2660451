#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "catalog/rows.h"
#include "wal/lsn.h"
#include "wal/segment_name.h"

/// Which WAL is not there, judged from rows alone. Rows are joined by (timeline, LSN), never by number: two
/// segments with consecutive numbers may belong to different histories, and a damaged one reaches only as far
/// as its last valid record.
namespace walback {

/// Where a timeline left its parent, from its history file.
struct TimelineStart {
  TimelineId parent;
  Lsn switch_lsn;
};
using TimelineStarts = std::map<TimelineId, TimelineStart>;

/// How a row's problem begins tells what of the segment may still be used: behind "damaged" everything up to
/// valid_end_lsn, behind any other word nothing.
inline constexpr std::string_view kDamaged = "damaged";
/// Behind this one the segment is read again at every full scan: it may be another one next time.
inline constexpr std::string_view kUnreadable = "unreadable";
[[nodiscard]] bool holds_valid_records(const SegmentRow& row);

/// Was this row's segment read on from `chain_end`? True too while no record has ended in it yet.
[[nodiscard]] bool joins(Lsn chain_end, const SegmentRow& row, SegmentSize size);

/// What is missing between two parts that are there; `detected_at` is the caller's. Before the first segment
/// of an archive there is no gap, and none behind the last one unless something was there. A timeline's own
/// WAL begins at its switch; its parent's must reach that far once the child is in the archive. `rows` in
/// (timeline, number) order, one a segment.
[[nodiscard]] std::vector<GapRow> find_gaps(const std::vector<SegmentRow>& rows, const TimelineStarts& starts,
                                            SegmentSize size);

}  // namespace walback
