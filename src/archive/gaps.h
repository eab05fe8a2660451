#pragma once
#include "archive/archive_context.h"
#include "archive/continuity.h"

namespace walback {

/// Brings the catalog's gaps in line with its rows. A new one is an ERROR at once, with what it puts out of
/// reach, which base backups it concerns and until when protection is missing; one that healed is removed.
///
/// What a person accepted stays accepted: also when the first record behind it turns out to begin a little
/// later in the segment at which it was said to end, or when a part of it came back. An accepted gap with no
/// WAL behind it yet stays as it is: the capturer is about to bring it.
[[nodiscard]] Status keep_gaps(const ArchiveContext& archive, Catalog& catalog, const TimelineStarts& starts);

/// Pure. Does what was accepted include this gap?
[[nodiscard]] bool accepts(const GapRow& known, const GapRow& gap, SegmentSize size);

/// What is missing once WAL goes on at `next` on `timeline`, and was not before.
[[nodiscard]] Result<std::optional<GapRow>> gap_up_to(const Catalog& catalog, TimelineId timeline, Lsn next,
                                                      SegmentSize size);

}  // namespace walback
