#include "archive/watermark.h"

#include <fmt/format.h>

#include <cstdlib>

#include "catalog/journal.h"
#include "os/system.h"
#include "pg/server.h"
#include "pg/watermark_queries.h"
#include "wal/page.h"

namespace walback {
namespace {

constexpr std::int64_t kUsPerMs = 1000;

WatermarkRound no_watermark(std::string reason) {
  return {std::nullopt, std::move(reason)};
}

/// Waits until X cannot commit at or before W any more; the number of those that still could.
Result<std::size_t> wait_until_settled(Connection& connection, std::vector<WriteTransaction> writing,
                                       Timestamp w, const Clock& clock, const std::stop_token& stop) {
  const std::int64_t deadline = clock.monotonic_us() + kSettleTimeout.count() * kUsPerMs;
  while (true) {
    if (!writing.empty()) writing = TRY(unsettled(connection, writing, w));
    if (writing.empty() || clock.monotonic_us() >= deadline) return writing.size();
    if (!sleep_for(stop, kSettlePoll)) return fail(ErrorKind::interrupted, "the watermark round was stopped");
  }
}

/// By how much the server's clock went differently from ours since `w`: the time of the round itself, at
/// most, unless somebody set it.
bool clock_was_set(Timestamp w, Timestamp now, std::int64_t elapsed_us) {
  const std::int64_t difference = now.unix_us - w.unix_us - elapsed_us;
  return now < w || std::llabs(difference) > kClockStep.count() * kUsPerMs + elapsed_us / 10;
}

}  // namespace

Result<WatermarkRound> take_watermark(Connection& connection, TimelineId timeline, Clock& clock,
                                      std::stop_token stop) {
  const std::int64_t begun_us = clock.monotonic_us();
  const Timestamp w = TRY(server_clock(connection));
  const std::size_t unsettled_count =
      TRY(wait_until_settled(connection, TRY(write_transactions(connection)), w, clock, stop));
  if (unsettled_count != 0)
    return no_watermark(
        fmt::format("{} transactions did not settle within {} ms", unsettled_count, kSettleTimeout.count()));
  const Lsn l = TRY(insert_lsn(connection));
  // A clock set back inside the round lets a later commit carry a stamp at or before W, behind L.
  const Timestamp now = TRY(server_clock(connection));
  if (clock_was_set(w, now, clock.monotonic_us() - begun_us))
    return no_watermark("the primary's clock was set during the round");
  return WatermarkRound{WatermarkRow{timeline, l, w}, ""};
}

bool covers(Lsn indexed_end, Lsn lsn, SegmentSize size) {
  return skip_page_header(indexed_end, size) >= skip_page_header(lsn, size);
}

WatermarkKeeper::WatermarkKeeper(const ArchiveContext& archive, std::chrono::milliseconds interval)
    : archive_(archive), interval_(interval) {}

void WatermarkKeeper::offer(const WatermarkRow& taken) {
  pending_ = taken;
  offered_us_ = archive_.clock.monotonic_us();
}

Result<WatermarkKeeper::Outcome> WatermarkKeeper::settle(Catalog& catalog) {
  if (!pending_) return Outcome::nothing;
  const Outcome outcome = TRY(judge(catalog, *pending_));
  if (outcome == Outcome::waiting) {
    if (archive_.clock.monotonic_us() - offered_us_ < kCoverTimeout.count() * kUsPerMs) return outcome;
    archive_.log.warn("archive", "watermark_not_covered",
                      {{key::timeline, std::to_string(pending_->timeline.value)},
                       {key::lsn, to_string(pending_->lsn)},
                       {"time", to_rfc3339(pending_->time)},
                       {key::hint, "Is the capturer running, and does it keep up? See `walback status`."}});
    pending_.reset();
    return Outcome::expired;
  }
  if (outcome != Outcome::refused) covered_ = pending_;
  pending_.reset();
  return outcome;
}

Result<WatermarkKeeper::Outcome> WatermarkKeeper::judge(Catalog& catalog, const WatermarkRow& watermark) {
  const auto newest = TRY(catalog.newest_segment(watermark.timeline));
  if (!newest || !covers(newest->valid_end_lsn, watermark.lsn, archive_.identity.segment_size))
    return Outcome::waiting;

  const WalRange behind{watermark.timeline, watermark.lsn, newest->valid_end_lsn};
  const auto stragglers = TRY(catalog.commits_stamped_at_or_before(behind, watermark.time));
  if (stragglers.count != 0) {
    archive_.log.warn(
        "archive", "watermark_contradicted",
        {{key::timeline, std::to_string(watermark.timeline.value)},
         {key::lsn, to_string(watermark.lsn)},
         {"time", to_rfc3339(watermark.time)},
         {"commits", std::to_string(stragglers.count)},
         {key::hint, "Was the primary's clock set back? This watermark is dropped; the index wins."}});
    return Outcome::refused;
  }
  if (TRY(catalog.first_end_stamped_after(behind, watermark.time))) return Outcome::overtaken;

  if (!stored_ || stored_->timeline != watermark.timeline)
    stored_ = TRY(catalog.newest_watermark(watermark.timeline));
  if (too_soon(watermark)) return Outcome::too_soon;
  say_if_clock_went_back(watermark);
  TRY(record_watermark(archive_.files, archive_.layout, catalog, watermark));
  stored_ = watermark;
  stored_us_ = archive_.clock.monotonic_us();
  return Outcome::stored;
}

bool WatermarkKeeper::too_soon(const WatermarkRow& watermark) const {
  if (!stored_) return false;
  if (stored_us_ != 0 && archive_.clock.monotonic_us() - stored_us_ < interval_.count() * kUsPerMs)
    return true;
  const std::int64_t later_by_us = watermark.time.unix_us - stored_->time.unix_us;
  return watermark.lsn == stored_->lsn && later_by_us >= 0 &&
         later_by_us < kIdleWatermarkInterval.count() * kUsPerMs;
}

void WatermarkKeeper::say_if_clock_went_back(const WatermarkRow& watermark) {
  const bool went_back = stored_ && watermark.time <= stored_->time;
  if (went_back && !said_went_back_)
    archive_.log.warn(
        "archive", "watermark_time_went_back",
        {{"time", to_rfc3339(watermark.time)},
         {"last_time", to_rfc3339(stored_->time)},
         {key::lsn, to_string(watermark.lsn)},
         {key::hint,
          "Was the primary's clock set back? Moments between the two times are ambiguous: prefer "
          "--to-lsn or --to-xid there."}});
  said_went_back_ = went_back;
}

}  // namespace walback
