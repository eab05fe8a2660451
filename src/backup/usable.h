#pragma once
#include <chrono>
#include <functional>
#include <stop_token>
#include <vector>

#include "base/clock.h"
#include "base/progress.h"
#include "base/result.h"
#include "catalog/catalog.h"
#include "catalog/rows.h"

namespace walback {

/// How far the WAL that a base backup needs is indexed without a break, from its start LSN on. `segments`:
/// the rows from the one that holds the start on, in order; of all epochs. A damaged segment ends it, and so
/// does a known gap.
[[nodiscard]] Lsn unbroken_until(const BackupRow& backup, const std::vector<SegmentRow>& segments,
                                 const std::vector<GapRow>& gaps, SegmentSize size);
[[nodiscard]] Result<Lsn> indexed_until(const Catalog& catalog, const BackupRow& backup, SegmentSize size);

/// Nothing is wrong with it, and the archive holds its whole WAL range.
[[nodiscard]] Result<bool> is_usable(const Catalog& catalog, const BackupRow& backup, SegmentSize size);

/// A base backup is usable once the archive holds all of [start_lsn, stop_lsn). Waits for that, asking
/// `reached` (indexed_until, as a rule) again and again. After `bound`: unavailable; the backup stays, and is
/// used as soon as its WAL is there.
[[nodiscard]] Status wait_until_usable(const BackupRow& backup, const std::function<Result<Lsn>()>& reached,
                                       std::chrono::milliseconds bound, const Clock& clock,
                                       Progress& progress, std::stop_token stop);

}  // namespace walback
