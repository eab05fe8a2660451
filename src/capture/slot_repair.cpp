#include "capture/slot_repair.h"

#include <fmt/format.h>

namespace walback {

Result<SlotRepair> plan_slot_repair(const PrimaryView& view, const GuardedArchive& archive) {
  // What the slot's state is decided by is judged here; whose WAL it is, by the guard.
  PrimaryView sound = view;
  sound.slot.emplace();
  sound.slot->restart_lsn = Lsn{};
  sound.oldest_wal_file.reset();
  TRY(guard_slot(sound, archive));

  SlotRepair repair;
  const bool lost = view.slot && view.slot->wal_status == SlotWalStatus::lost;
  repair.make_slot = !view.slot || lost || !view.slot->restart_lsn;
  repair.drop_first = repair.make_slot && view.slot;
  repair.wal_is_gone = next_wal_is_gone(view.oldest_wal_file, archive);
  if (repair.make_slot)
    repair.why = fmt::format("replication slot '{}' {}", archive.slot,
                             !view.slot ? "vanished"
                             : lost     ? "was invalidated"
                                        : "reserves no WAL");
  else if (repair.wal_is_gone)
    repair.why = "the primary removed WAL before it was captured";
  const bool somebody_streams = view.slot && view.slot->active;
  if (!view.oldest_wal_file && archive.newest_lsn && !somebody_streams)
    return fail(ErrorKind::config, "the role of primary.conninfo may not see which WAL the primary still has",
                "Grant pg_monitor to it; without that nobody can say what would be lost.");
  return repair;
}

Lsn capture_begins(Lsn restart_lsn, SegmentSize size) {
  return start_of(segment_of(restart_lsn, size), size);
}

}  // namespace walback
