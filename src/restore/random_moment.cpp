#include "restore/random_moment.h"

#include <algorithm>
#include <random>

#include "restore/wal_path.h"

namespace walback {
namespace {

constexpr std::uint64_t kCommitShare = 50, kTimeShare = 35;  ///< of 100

/// The stretches of WAL from which every base backup's consistency is behind us.
Result<std::vector<WalRange>> ranges_of(const Catalog& catalog, const ArchiveIdentity& identity,
                                        const RecoverableWindow& window) {
  const auto path = TRY(wal_path(catalog, identity, std::nullopt));
  std::vector<WalRange> ranges;
  for (const RecoverableSpan& span : window.spans) {
    for (const PathPart& part : path.parts) {
      const WalRange both{part.range.timeline, std::max(part.range.from, span.from_lsn),
                          std::min(part.range.to, span.to_lsn)};
      if (both.from < both.to) ranges.push_back(both);
    }
  }
  return ranges;
}

/// A segment, and the part of it that may be drawn from.
struct Share {
  WalRange range;
  std::uint64_t commits = 0;
};

Result<std::vector<Share>> shares_of(const Catalog& catalog, SegmentSize size,
                                     const std::vector<WalRange>& ranges) {
  std::vector<Share> shares;
  for (const WalRange& range : ranges) {
    const SegmentNumber first = segment_of(range.from, size), last = segment_of({range.to.value - 1}, size);
    TRY(catalog.each_segment(range.timeline, first, last, [&](const SegmentRow& row) {
      const WalRange own{range.timeline, std::max(range.from, row.start_lsn),
                         std::min(range.to, row.start_lsn + size.bytes())};
      if (row.commits != 0 && own.from < own.to) shares.push_back({own, row.commits});
      return true;
    }));
  }
  return shares;
}

Result<std::optional<TargetOptions>> draw_commit(const Catalog& catalog, const ArchiveIdentity& identity,
                                                 const RecoverableWindow& window, std::mt19937_64& dice) {
  const auto shares =
      TRY(shares_of(catalog, identity.segment_size, TRY(ranges_of(catalog, identity, window))));
  std::uint64_t total = 0;
  for (const Share& share : shares) total += share.commits;
  if (total == 0) return std::optional<TargetOptions>{};
  std::uint64_t drawn = dice() % total;
  const bool before = dice() % 2 == 0;
  const auto share = std::ranges::find_if(shares, [&](const Share& candidate) {
    if (drawn < candidate.commits) return true;
    drawn -= candidate.commits;
    return false;
  });
  std::vector<Lsn> commits;
  TRY(catalog.each_end(share->range, [&](const TransactionEnd& end) {
    if (is_commit(end.kind)) commits.push_back(end.lsn);
    return true;
  }));
  // All of them lie before the window, or are cut off by its end.
  if (commits.empty()) return std::optional<TargetOptions>{};
  TargetOptions target;
  target.to_lsn = to_string(commits[drawn % commits.size()]);
  target.before = before;
  return std::optional(std::move(target));
}

std::optional<TargetOptions> draw_time(const RecoverableWindow& window, std::mt19937_64& dice) {
  struct Stretch {
    Timestamp from, to;
  };
  std::vector<Stretch> stretches;
  std::uint64_t total = 0;
  for (const RecoverableSpan& span : window.spans) {
    Stretch stretch{span.from_time, span.last_commit_time.value_or(span.from_time)};
    if (&span == &window.spans.back() && window.watermark)
      stretch.to = std::max(stretch.to, window.watermark->time);
    if (stretch.to <= stretch.from) continue;
    stretches.push_back(stretch);
    total += static_cast<std::uint64_t>(stretch.to.unix_us - stretch.from.unix_us);
  }
  if (total == 0) return std::nullopt;
  std::uint64_t drawn = dice() % total;
  for (const Stretch& stretch : stretches) {
    const auto length = static_cast<std::uint64_t>(stretch.to.unix_us - stretch.from.unix_us);
    if (drawn < length) {
      TargetOptions target;
      target.to_time = to_rfc3339({stretch.from.unix_us + static_cast<std::int64_t>(drawn)});
      return target;
    }
    drawn -= length;
  }
  return std::nullopt;
}

}  // namespace

std::string_view name_of(MomentDraw draw) {
  switch (draw) {
    case MomentDraw::commit:
      return "a commit";
    case MomentDraw::time:
      return "a time";
    case MomentDraw::newest:
      return "the newest moment";
  }
  return "the newest moment";
}

Result<RandomMoment> random_moment(const Catalog& catalog, const ArchiveIdentity& identity,
                                   std::uint64_t seed) {
  const RecoverableWindow window = TRY(recoverable_window(catalog, identity));
  if (window.spans.empty()) {
    return fail(ErrorKind::not_found, "nothing can be restored: " + window.problem,
                "Is `walback run` running? Then take a base backup: walback backup.");
  }
  // The engine is the same everywhere; the standard's distributions are not.
  std::mt19937_64 dice(seed);
  const std::uint64_t thrown = dice() % 100;
  if (thrown < kCommitShare) {
    if (auto target = TRY(draw_commit(catalog, identity, window, dice)))
      return RandomMoment{MomentDraw::commit, std::move(*target)};
  }
  if (thrown < kCommitShare + kTimeShare) {
    if (auto target = draw_time(window, dice)) return RandomMoment{MomentDraw::time, std::move(*target)};
  }
  TargetOptions newest;
  newest.to_latest = true;
  return RandomMoment{MomentDraw::newest, std::move(newest)};
}

}  // namespace walback
