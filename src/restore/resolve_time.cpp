#include <fmt/format.h>

#include <algorithm>

#include "restore/clock_set_back.h"
#include "restore/resolve_stop.h"

/// A time target ends just before the first commit or abort stamped later, in WAL order over everything
/// captured, so that the choice of a base backup cannot change the answer. Timestamps are not monotonic in
/// the WAL: what is stamped earlier and lies behind that record stays out, and a warning counts it.
namespace walback {
namespace {

/// A watermark at or after T that holds, and the part of the path that it speaks of.
struct CoveredSilence {
  std::size_t part = 0;
  WatermarkRow watermark;
};

Lsn captured_end_of(const WalPath& path, std::size_t part) {
  const auto& last = path.parts[part].last_record;
  return last ? last->end : path.parts[part].range.from;
}

/// The oldest timeline's first: the state at T is the one before the path went on.
Result<std::optional<CoveredSilence>> covered_silence(const WalPath& path, Timestamp time) {
  for (std::size_t part = 0; part < path.parts.size(); ++part) {
    const auto watermark = TRY(newest_covered_watermark(path, part));
    if (watermark && watermark->time >= time && !TRY(contradiction(path, part, *watermark)))
      return CoveredSilence{part, *watermark};
  }
  return std::nullopt;
}

/// Why no watermark helps, and up to where one does.
struct NoProof {
  std::string why;
  std::optional<Timestamp> latest;
};

Result<NoProof> proof_of(const WalPath& path, std::size_t part, const WatermarkRow& covered,
                         const std::optional<TransactionEnd>& last) {
  if (const auto against = TRY(contradiction(path, part, covered)))
    return NoProof{
        fmt::format("the watermark of {} does not hold: the primary's clock was set back, transaction {} "
                    "behind it at {} is stamped earlier",
                    to_rfc3339(covered.time), against->xid, moment_text(against->lsn, against->time)),
        std::nullopt};
  const auto newest = fmt::format("the newest watermark is of {}", to_rfc3339(covered.time));
  if (last && last->lsn < covered.lsn && last->time.unix_us - covered.time.unix_us > kClockToleranceUs)
    return NoProof{newest + ": the primary's clock was set back", std::nullopt};
  return NoProof{newest, covered.time};
}

Result<NoProof> newest_proof(const WalPath& path, const std::optional<TransactionEnd>& last) {
  NoProof proof{"there is no watermark", {}};
  for (std::size_t part = 0; part < path.parts.size(); ++part) {
    const auto newest = TRY(path.catalog->newest_watermark(path.parts[part].range.timeline));
    const auto covered = TRY(newest_covered_watermark(path, part));
    if (covered) proof = TRY(proof_of(path, part, *covered, last));
    if (newest && newest != covered)
      proof.why =
          fmt::format("the watermark of {} needs WAL up to {}, captured is {}", to_rfc3339(newest->time),
                      to_string(newest->lsn), to_string(captured_end_of(path, path.parts.size() - 1)));
  }
  return proof;
}

Result<Refused> silence(const RecoveryTarget& target, const WalPath& path) {
  const auto last = TRY(path.last_end_before(kMaxLsn, false));
  const auto ended =
      last ? fmt::format("the last captured transaction ended at {}", moment_text(last->lsn, last->time))
           : "no transaction's end is captured";
  const NoProof proof = TRY(newest_proof(path, last));
  auto hint =
      std::string("If the primary is alive and `walback manage` runs, the next watermark reaches it; else ");
  hint += proof.latest ? fmt::format("--to-time {} is the latest time, --to-latest everything captured.",
                                     to_rfc3339(*proof.latest))
                       : std::string("--to-latest takes everything captured.");
  return Refused{Error{ErrorKind::not_found,
                       fmt::format("nothing shows what was committed up to {}: {}, and {}",
                                   to_rfc3339(target.time), ended, proof.why),
                       std::move(hint)},
                 kMaxLsn};
}

Result<Catalog::Stragglers> stragglers_behind(const WalPath& path, Lsn from, Timestamp up_to) {
  Catalog::Stragglers all;
  for (const auto& range : path.ranges(from, kMaxLsn)) {
    auto some = TRY(path.catalog->commits_stamped_at_or_before(range, up_to));
    if (all.count == 0) all.first = std::move(some.first);
    all.count += some.count;
  }
  return all;
}

Status warn_of_stragglers(ResolvedStop& at, const WalPath& path, Timestamp up_to) {
  const auto all = TRY(stragglers_behind(path, at.boundary(), up_to));
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

/// The stamps of commits that run at once go backwards by milliseconds at most.
constexpr std::int64_t kConcurrencyUs = 1'000'000;

Status warn_of_clock_set_back(ResolvedStop& at, const WalPath& path, const TransactionEnd& stop) {
  const auto earlier =
      TRY(stragglers_behind(path, at.boundary(), {stop.time.unix_us - kConcurrencyUs})).first;
  if (earlier.empty()) return {};
  at.warnings.push_back(
      {"clock_set_back",
       fmt::format("the primary's clock was set back, by {} at least, between {} and {}: the times between "
                   "came twice, and --to-time means the first; --to-lsn and --to-xid mean one moment each",
                   render_duration_us(stop.time.unix_us - earlier.front().time.unix_us),
                   moment_text(stop.lsn, stop.time),
                   moment_text(earlier.front().lsn, earlier.front().time))});
  return {};
}

}  // namespace

OrRefused<ResolvedStop> resolve_time(const RecoveryTarget& target, const WalPath& path) {
  // With --before, a commit stamped exactly then is out: PostgreSQL's clock has microseconds.
  const Timestamp up_to{target.before ? target.time.unix_us - 1 : target.time.unix_us};
  if (const auto next = TRY(path.first_end_stamped_after(up_to))) {
    auto at = stop_at_record(path, next->part, next->end.lsn, next->end.end_lsn, /*inclusive=*/false);
    TRY(warn_of_stragglers(at, path, up_to));
    TRY(warn_of_clock_set_back(at, path, next->end));
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
