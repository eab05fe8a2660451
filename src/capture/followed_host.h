#pragma once
#include <set>
#include <string>

#include "base/log.h"
#include "capture/slot_guard.h"

namespace walback {

/// Where the WAL comes from, as the newest look at it said; what changes is logged. A host that takes writes
/// and is not the primary is named once, as long as it does so.
class FollowedHost {
 public:
  explicit FollowedHost(Log& log) : log_(log) {}

  /// True when pg_receivewal must be led there: the first look, another host, or another server behind the
  /// same name.
  [[nodiscard]] bool take(const PrimaryView& view);

  [[nodiscard]] const HostConninfo& host() const { return host_; }
  [[nodiscard]] const TimelineHistory& history() const { return history_; }
  [[nodiscard]] bool may_set_lc_messages() const { return may_set_lc_messages_; }

 private:
  void name_refused(const std::vector<Error>& errors);

  Log& log_;
  HostConninfo host_;
  TimelineHistory history_;  ///< of the timeline that it writes
  bool may_set_lc_messages_ = false;
  std::set<std::string> refused_;
};

}  // namespace walback
