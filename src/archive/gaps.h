#pragma once
#include "archive/archive_context.h"
#include "archive/continuity.h"

namespace walback {

/// Brings the catalog's gaps in line with its rows. A new one is an ERROR at once, with what it puts out of
/// reach; one that healed is removed.
[[nodiscard]] Status keep_gaps(const ArchiveContext& archive, Catalog& catalog, const TimelineStarts& starts);

}  // namespace walback
