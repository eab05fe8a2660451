#pragma once
#include <string>

#include "base/result.h"
#include "capture/slot_guard.h"

namespace walback {

/// What has to be done so that capture goes on behind a gap that a person accepts. Pure.
struct SlotRepair {
  bool make_slot = false;    ///< it vanished, or reserves nothing any more
  bool drop_first = false;   ///< the useless one is in the way
  bool wal_is_gone = false;  ///< the primary no longer has what comes next: a new epoch begins behind it
  std::string why;           ///< "replication slot 'walback' was invalidated"; empty: nothing is to be done
  bool operator==(const SlotRepair&) const = default;
};

/// foreign_system and conflict as guard_slot; `config` where the role may not see which WAL the primary still
/// has: then nobody can say what would be lost.
[[nodiscard]] Result<SlotRepair> plan_slot_repair(const PrimaryView& view, const GuardedArchive& archive);

/// Where WAL goes on with a slot that reserves from `restart_lsn` on and an empty epoch: pg_receivewal begins
/// at that segment's start.
[[nodiscard]] Lsn capture_begins(Lsn restart_lsn, SegmentSize size);

}  // namespace walback
