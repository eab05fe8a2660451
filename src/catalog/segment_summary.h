#pragma once
#include "catalog/stored_segment.h"

// What follows from the rows of wal_segments: the summary of 256 of them, which epoch's row counts, the
// version of a change. Private to catalog/.

namespace walback {

[[nodiscard]] Result<std::int64_t> next_version(Database& database);
[[nodiscard]] Status rebuild_block(Database& database, TimelineId timeline, std::uint64_t block);
/// Marks all rows of the segment but the one that counts; a row whose mark changes has changed for the mirror
/// too.
[[nodiscard]] Status judge_epochs(Database& database, SegmentName name);
[[nodiscard]] Result<bool> has_other_epochs(Database& database, SegmentName name);
/// After a row was written in the place of `before`.
[[nodiscard]] Status summarise(Database& database, const SegmentRow& now,
                               const std::optional<StoredSegment>& before);

}  // namespace walback
