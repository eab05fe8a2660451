#pragma once
#include <cstdint>
#include <optional>

#include "wal/lsn.h"

namespace walback {

/// What was seen of a running pg_receivewal at one moment.
struct ReceiverObservation {
  std::int64_t now_us = 0;  ///< monotonic
  bool attached = false;    ///< the primary shows a walsender on our slot
  Lsn primary_flush_lsn;
  std::optional<Lsn> write_lsn;  ///< nothing: it has not reported yet
};

/// Tells a stuck pg_receivewal from an idle one, by the primary's LSN and never by silence: an idle server
/// sends nothing for hours and all is well.
///
/// stalled: for `kBound` the primary had flushed more than was received, and nothing was received. One that
/// is far behind and moves is catching up: ending it would throw its open segment's transfer away each time.
/// detached: for `kBound` the process ran and the primary knew of no walsender on the slot, so its connection
/// is dead at the other end and only keepalives would tell.
/// A stretch without observations (the primary stopped answering, or we were suspended) proves nothing about
/// pg_receivewal: the clock starts again behind it.
class StallDetector {
 public:
  enum class Verdict : std::uint8_t { fine, stalled, detached };
  [[nodiscard]] Verdict observe(const ReceiverObservation& seen);
  /// Another pg_receivewal runs now.
  void reset() { *this = {}; }

  static constexpr std::int64_t kBound = 30'000'000;
  static constexpr std::int64_t kLongestSilence = 10'000'000;

 private:
  std::optional<std::int64_t> last_seen_us_, stalled_since_us_, detached_since_us_;
  std::optional<Lsn> last_write_lsn_;
};

}  // namespace walback
