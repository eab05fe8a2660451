#include "restore/clock_set_back.h"

#include <algorithm>

#include "wal/page.h"

namespace walback {

Result<std::optional<ClockSetBack>> clock_set_back(const WalPath& path,
                                                   const std::optional<WatermarkRow>& watermark) {
  const auto last = TRY(path.last_end_before(kMaxLsn, false));
  if (!last) return std::optional<ClockSetBack>{};
  ClockSetBack found{{}, last->time, {}, last->lsn};
  if (watermark && watermark->lsn > last->lsn) {
    found.now = watermark->time;
    found.now_lsn = watermark->lsn;
  }
  const auto later = TRY(path.first_end_stamped_after({found.now.unix_us + kClockToleranceUs}));
  if (!later || later->end.lsn >= found.now_lsn) return std::optional<ClockSetBack>{};
  found.before = later->end.time;
  found.before_lsn = later->end.lsn;
  return std::optional<ClockSetBack>{found};
}

Result<std::optional<WatermarkRow>> newest_covered_watermark(const WalPath& path, std::size_t part) {
  const auto& [range, switch_lsn, runs, obstacles, last] = path.parts[part];
  const Lsn end = skip_page_header(last ? last->end : range.from, path.identity.segment_size);
  return path.catalog->newest_watermark(range.timeline, std::min(end, range.to));
}

Result<std::optional<TransactionEnd>> contradiction(const WalPath& path, std::size_t part,
                                                    const WatermarkRow& watermark) {
  const auto& range = path.parts[part].range;
  if (watermark.lsn >= range.to) return std::optional<TransactionEnd>{};
  const auto behind = TRY(
      path.catalog->commits_stamped_at_or_before({range.timeline, watermark.lsn, range.to}, watermark.time));
  if (behind.first.empty()) return std::optional<TransactionEnd>{};
  return std::optional{behind.first.front()};
}

}  // namespace walback
