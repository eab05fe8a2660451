#include "capture/stall_detector.h"

namespace walback {

StallDetector::Verdict StallDetector::observe(const ReceiverObservation& seen) {
  if (last_seen_us_ && seen.now_us - *last_seen_us_ > kLongestSilence) reset();
  last_seen_us_ = seen.now_us;

  if (!seen.attached) {
    stalled_since_us_.reset();
    if (!detached_since_us_) detached_since_us_ = seen.now_us;
    return seen.now_us - *detached_since_us_ >= kBound ? Verdict::detached : Verdict::fine;
  }
  detached_since_us_.reset();

  const Lsn written = seen.write_lsn.value_or(Lsn{});
  const bool moved = !last_write_lsn_ || *last_write_lsn_ != written;
  last_write_lsn_ = written;
  if (moved || written >= seen.primary_flush_lsn) stalled_since_us_.reset();
  if (written >= seen.primary_flush_lsn) return Verdict::fine;
  if (!stalled_since_us_) stalled_since_us_ = seen.now_us;
  return seen.now_us - *stalled_since_us_ >= kBound ? Verdict::stalled : Verdict::fine;
}

}  // namespace walback
