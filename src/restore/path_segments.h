#pragma once
#include "restore/wal_path.h"

/// What the archive holds of one part of a path, segment by segment.
namespace walback {

/// Fills `runs` and the obstacles that the rows themselves show: numbers that are missing, segments captured
/// in part, damage. `first`: the part begins with the oldest segment captured; any other must begin with the
/// segment of its switch.
[[nodiscard]] Status read_part_segments(const Catalog& catalog, SegmentSize size, bool first, PathPart& part);

/// How far the timeline's own WAL reaches, at most to the switch.
[[nodiscard]] Result<Lsn> captured_end(const Catalog& catalog, SegmentSize size, const PathPart& part);
[[nodiscard]] Result<std::optional<LastRecord>> last_record_of(const Catalog& catalog, SegmentSize size,
                                                               const PathPart& part);

/// Gaps that the manager recorded and the rows do not show (inside a segment).
void add_recorded_gaps(const std::vector<GapRow>& gaps, PathPart& part);

}  // namespace walback
