#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>

#include "archive/archive_context.h"
#include "base/result.h"
#include "catalog/catalog.h"
#include "pg/connection.h"

/// Watermarks (docs/design.md, step 7): "every commit stamped at or before W lies below L". They let an idle
/// database be restored to a moment after its last commit. Taken on the primary, by rule; stored only once
/// the archive holds everything up to L.
namespace walback {

/// How long one round may wait for transactions that could still be stamped at or before W.
inline constexpr std::chrono::milliseconds kSettleTimeout{2'000};
inline constexpr std::chrono::milliseconds kSettlePoll{10};
/// How far the server's clock and our monotonic one may disagree over a round before we say it was set.
inline constexpr std::chrono::milliseconds kClockStep{500};
/// How long a taken watermark waits for the capturer and the intake.
inline constexpr std::chrono::milliseconds kCoverTimeout{60'000};
/// While nothing is written, L stays and only W moves on: a journal line of it at most this often. What a
/// person loses by it is the last half minute of silence; what it saves is a journal that grows by the
/// second.
inline constexpr std::chrono::milliseconds kIdleWatermarkInterval{30'000};

/// One round in one session: W, then X, then the wait for X, then L. Nothing: no watermark this round,
/// because X did not settle in time, the role cannot see enough, or the server's clock was set meanwhile. The
/// session only reads: no xid, no WAL. `timeline`: of the WAL that this primary writes; it cannot change
/// while the session lives.
struct WatermarkRound {
  std::optional<WatermarkRow> taken;
  std::string reason;  ///< why not, for the log
};
[[nodiscard]] Result<WatermarkRound> take_watermark(Connection& connection, TimelineId timeline, Clock& clock,
                                                    std::stop_token stop);

/// No record byte can lie between the last valid record's end and L.
[[nodiscard]] bool covers(Lsn indexed_end, Lsn lsn, SegmentSize size);

/// Decides what becomes of taken watermarks; used by the intake's thread alone.
///
/// Stored is only what nobody could know without it: where a transaction end stamped after W is already in
/// the index, that end answers for every moment up to W, and the watermark is `overtaken`: a busy primary
/// costs the journal nothing. Never more often than `interval`, and on the same L than
/// kIdleWatermarkInterval. A W that is not later than the last stored one (the primary's clock was set back)
/// is said once and stored all the same: its claim is about its own W and L. What the older one says of later
/// times is void from then on: the planner believes the one that was taken last, and asks the index for
/// counter-examples. A counter-example at hand here refuses the watermark.
class WatermarkKeeper {
 public:
  WatermarkKeeper(const ArchiveContext& archive, std::chrono::milliseconds interval);

  enum class Outcome : std::uint8_t { nothing, waiting, stored, overtaken, too_soon, refused, expired };

  /// Replaces the one that still waits, if any.
  void offer(const WatermarkRow& taken);
  [[nodiscard]] bool waiting() const { return pending_.has_value(); }
  /// After each intake. An error leaves the watermark waiting.
  [[nodiscard]] Result<Outcome> settle(Catalog& catalog);
  /// The newest that was covered, stored or not.
  [[nodiscard]] const std::optional<WatermarkRow>& newest_covered() const { return covered_; }

 private:
  [[nodiscard]] Result<Outcome> judge(Catalog& catalog, const WatermarkRow& watermark);
  [[nodiscard]] bool too_soon(const WatermarkRow& watermark) const;
  void say_if_clock_went_back(const WatermarkRow& watermark);

  ArchiveContext archive_;
  std::chrono::milliseconds interval_;
  std::optional<WatermarkRow> pending_, covered_, stored_;
  std::int64_t offered_us_ = 0;  ///< monotonic
  std::int64_t stored_us_ = 0;
  bool said_went_back_ = false;
};

}  // namespace walback
