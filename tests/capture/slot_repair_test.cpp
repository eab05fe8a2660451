#include "capture/slot_repair.h"

#include <doctest/doctest.h>

using namespace walback;

namespace {

const SegmentSize kSize = *SegmentSize::from_bytes(16U << 20);

GuardedArchive archive() {
  return {{7299402, kSize}, "/archive", "walback", 1, Lsn{0x5000000}, TimelineId{1}};
}

PrimaryView healthy() {
  PrimaryView view;
  view.system_identifier = 7299402;
  view.history.timeline = {1};
  view.flush_lsn = {0x9000000};
  view.oldest_wal_file = "000000010000000000000005";
  view.slot.emplace();
  view.slot->restart_lsn = Lsn{0x5000000};
  view.slot->wal_status = SlotWalStatus::reserved;
  return view;
}

/// "make drop epoch: why"
std::string planned(const PrimaryView& view, const GuardedArchive& to = archive()) {
  const auto repair = plan_slot_repair(view, to);
  if (!repair) return std::string(name_of(repair.error().kind)) + ": " + repair.error().message;
  return std::string(repair->make_slot ? "make " : "") + (repair->drop_first ? "drop " : "") +
         (repair->wal_is_gone ? "epoch" : "") + ": " + repair->why;
}

}  // namespace

TEST_CASE("slot repair: what is to be done so that capture goes on") {
  auto view = healthy();
  CHECK(planned(view) == ": ");
  view.oldest_wal_file = "000000010000000000000006";
  CHECK(planned(view) == "epoch: the primary removed WAL before it was captured");
  view.slot->wal_status = SlotWalStatus::lost;
  view.slot->restart_lsn.reset();
  CHECK(planned(view) == "make drop epoch: replication slot 'walback' was invalidated");
  view.oldest_wal_file = "000000010000000000000005";
  CHECK(planned(view) == "make drop : replication slot 'walback' was invalidated");
  view.slot->wal_status = SlotWalStatus::none;
  CHECK(planned(view) == "make drop : replication slot 'walback' reserves no WAL");
  view.slot.reset();
  CHECK(planned(view) == "make : replication slot 'walback' vanished");
}

TEST_CASE(
    "slot repair: nothing is made on another cluster, on an older copy, or where nobody can say what is "
    "lost") {
  auto view = healthy();
  view.slot.reset();
  view.oldest_wal_file.reset();
  CHECK(planned(view) == "config: the role of primary.conninfo may not see which WAL the primary still has");
  auto empty = archive();
  empty.newest_lsn.reset();
  CHECK(planned(view, empty) == "make : replication slot 'walback' vanished");
  view.flush_lsn = {0x4000000};
  CHECK(planned(view).starts_with("conflict: the primary stands at 0/4000000 on timeline 1"));
  view.system_identifier = 1;
  CHECK(planned(view).starts_with("foreign_system: the primary carries system identifier 1"));
}

TEST_CASE("slot repair: pg_receivewal begins at a segment's start") {
  CHECK(capture_begins(Lsn{0x5000148}, kSize) == Lsn{0x5000000});
  CHECK(capture_begins(Lsn{0x5000000}, kSize) == Lsn{0x5000000});
}
