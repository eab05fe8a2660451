#pragma once
#include <optional>

#include "base/result.h"
#include "restore/wal_path.h"

namespace walback {

/// The primary's clock as the archive saw it, before and after it was set back. Until it shows `before`
/// again, times up to there come a second time, and a recovery target cannot say which one is meant.
struct ClockSetBack {
  Timestamp before, now;
  Lsn before_lsn, now_lsn;
};

/// Compares the newest witness of the time (a transaction's end, or `watermark` where it lies behind all of
/// them) with every stamp before it. Differences up to kClockTolerance are nobody's fault: a commit's stamp
/// is older than its record, and clocks are corrected.
[[nodiscard]] Result<std::optional<ClockSetBack>> clock_set_back(
    const WalPath& path, const std::optional<WatermarkRow>& watermark);

inline constexpr std::int64_t kClockToleranceUs = 5'000'000;

/// The watermark taken last whose WAL the archive holds of this part: what an older one says of later times
/// is void once this one shows that the clock was set back.
[[nodiscard]] Result<std::optional<WatermarkRow>> newest_covered_watermark(const WalPath& path,
                                                                           std::size_t part);

/// The first commit that shows that the watermark does not hold: it lies behind it and is stamped at or
/// before it, because the clock was set back.
[[nodiscard]] Result<std::optional<TransactionEnd>> contradiction(const WalPath& path, std::size_t part,
                                                                  const WatermarkRow& watermark);

}  // namespace walback
