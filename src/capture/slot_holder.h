#pragma once
#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "base/error.h"
#include "capture/slot_guard.h"

namespace walback {

/// Tells our own walsender from somebody else's on the same slot. Both may bear the same application_name, so
/// it is told by time: whoever was seen on the slot while no pg_receivewal of ours ran is not ours, ever.
///
/// What our own last pg_receivewal left behind may hold the slot for a while, at worst until the primary's
/// wal_sender_timeout, and goes by itself. It no longer replies; a rival does.
class SlotHolder {
 public:
  /// `ours_may`: a pg_receivewal of ours ran when the look ended. There was a look before it was started, so
  /// that whoever held the slot then is known.
  void observe(const std::optional<PrimaryView::Sender>& sender, bool ours_may);
  [[nodiscard]] bool is_ours(const PrimaryView::Sender& sender) const;
  /// Another live receiver holds the slot: conflict, with its pid and name.
  [[nodiscard]] std::optional<Error> rival(const std::string& slot) const;

  /// By so much its replies must have moved on since it was first seen.
  static constexpr std::int64_t kAliveUs = 3'000'000;

 private:
  struct Stranger {
    PrimaryView::Sender sender;
    std::optional<Timestamp> first_reply;
  };
  std::optional<Stranger> stranger_;
  std::set<int> strangers_;
};

}  // namespace walback
