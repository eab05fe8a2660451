#pragma once
#include "archive/archive_context.h"
#include "os/segment_source.h"
#include "wal/timeline_history.h"

namespace walback {

/// Where the bytes of a record lie that began before a segment of `epoch`: perhaps several segments ago,
/// perhaps on the parent's timeline, in the same epoch first. The catalog must outlive it.
[[nodiscard]] SegmentSource::Locate earlier_segments(const ArchiveContext& archive, const Catalog& catalog,
                                                     const TimelineHistory& history, std::uint32_t epoch);

}  // namespace walback
