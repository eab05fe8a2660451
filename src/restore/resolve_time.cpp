#include <fmt/format.h>

#include "restore/resolve_stop.h"
#include "wal/page.h"

/// A time target ends just before the first commit or abort stamped later, in WAL order over everything
/// captured, so that the choice of a base backup cannot change the answer. Timestamps are not monotonic in
/// the WAL: what is stamped earlier and lies behind that record stays out, and a warning counts it.
namespace walback {
namespace {

/// A watermark at or after T whose WAL the archive holds, and the part of the path that it speaks of.
struct CoveredSilence {
  std::size_t part = 0;
  WatermarkRow watermark;
};

Lsn captured_end_of(const WalPath& path, std::size_t part) {
  const auto& last = path.parts[part].last_record;
  return last ? last->end : path.parts[part].range.from;
}

bool is_covered(const WalPath& path, std::size_t part, const WatermarkRow& watermark) {
  const auto& range = path.parts[part].range;
  return watermark.lsn <= range.to &&
         skip_page_header(watermark.lsn, path.identity.segment_size) <=
             skip_page_header(captured_end_of(path, part), path.identity.segment_size);
}

/// The oldest timeline's first: the state at T is the one before the path went on.
Result<std::optional<CoveredSilence>> covered_silence(const WalPath& path, Timestamp time) {
  for (std::size_t part = 0; part < path.parts.size(); ++part) {
    const auto watermark = TRY(path.catalog->watermark_at_or_after(path.parts[part].range.timeline, time));
    if (watermark && is_covered(path, part, *watermark)) return CoveredSilence{part, *watermark};
  }
  return std::nullopt;
}

Result<Refused> silence(const RecoveryTarget& target, const WalPath& path) {
  const auto last = TRY(path.last_end_before(kMaxLsn, false));
  const auto ended =
      last ? fmt::format("the last captured transaction ended at {}", moment_text(last->lsn, last->time))
           : "no transaction's end is captured";
  std::optional<WatermarkRow> covered, waiting;
  for (std::size_t part = 0; part < path.parts.size(); ++part) {
    const auto newest = TRY(path.catalog->newest_watermark(path.parts[part].range.timeline));
    if (newest) (is_covered(path, part, *newest) ? covered : waiting) = newest;
  }
  auto proof = std::string("there is no watermark");
  if (covered) proof = fmt::format("the newest watermark is of {}", to_rfc3339(covered->time));
  if (waiting)
    proof = fmt::format("the watermark of {} needs WAL up to {}, captured is {}", to_rfc3339(waiting->time),
                        to_string(waiting->lsn), to_string(captured_end_of(path, path.parts.size() - 1)));
  auto hint =
      std::string("If the primary is alive and `walback manage` runs, the next watermark reaches it; else ");
  hint += covered ? fmt::format("--to-time {} is the latest time, --to-latest everything captured.",
                                to_rfc3339(covered->time))
                  : std::string("--to-latest takes everything captured.");
  return Refused{Error{ErrorKind::not_found,
                       fmt::format("nothing shows what was committed up to {}: {}, and {}",
                                   to_rfc3339(target.time), ended, proof),
                       std::move(hint)},
                 kMaxLsn};
}

Status warn_of_stragglers(ResolvedStop& at, const WalPath& path, Timestamp up_to) {
  Catalog::Stragglers all;
  for (const auto& range : path.ranges(at.boundary(), kMaxLsn)) {
    auto some = TRY(path.catalog->commits_stamped_at_or_before(range, up_to));
    if (all.count == 0) all.first = std::move(some.first);
    all.count += some.count;
  }
  if (all.count == 0 || all.first.empty()) return {};
  const auto& first = all.first.front();
  at.warnings.push_back(
      {"commits_beyond_stop",
       fmt::format("{} stamped at or before {} but written behind the stop and left out; the first is "
                   "transaction {} at {}",
                   all.count == 1 ? "1 commit is" : fmt::format("{} commits are", all.count),
                   to_rfc3339(up_to), first.xid, moment_text(first.lsn, first.time))});
  return {};
}

}  // namespace

OrRefused<ResolvedStop> resolve_time(const RecoveryTarget& target, const WalPath& path) {
  // With --before, a commit stamped exactly then is out: PostgreSQL's clock has microseconds.
  const Timestamp up_to{target.before ? target.time.unix_us - 1 : target.time.unix_us};
  if (const auto next = TRY(path.first_end_stamped_after(up_to))) {
    auto at = stop_at_record(path, next->part, next->end.lsn, next->end.end_lsn, /*inclusive=*/false);
    TRY(warn_of_stragglers(at, path, up_to));
    return at;
  }
  const auto silent = TRY(covered_silence(path, up_to));
  if (!silent) return tl::unexpected(TRY(silence(target, path)));
  std::size_t part = silent->part;
  while (part > 0 && !path.parts[part].last_record) --part;
  if (!path.parts[part].last_record) return tl::unexpected(TRY(silence(target, path)));
  // Every record captured there, not only those below the watermark: none of the rest is a commit stamped
  // later, and a base backup taken in the silence is of use.
  auto at = stop_at_last_record(path, part);
  if (!at) return at;
  const auto& runs = path.parts[part].runs;
  const bool newest = part + 1 == path.parts.size();
  if (newest && !runs.empty())
    at->needs_wal_to =
        std::max(at->needs_wal_to, start_of({runs.back().last.value + 1}, path.identity.segment_size));
  TRY(warn_of_stragglers(*at, path, up_to));
  return at;
}

}  // namespace walback
