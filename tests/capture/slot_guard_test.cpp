#include "capture/slot_guard.h"

#include <doctest/doctest.h>

using namespace walback;

namespace {

GuardedArchive archive() {
  return {{7299402, *SegmentSize::from_bytes(16U << 20)}, "/archive", "walback", 1, Lsn{0x5000000}};
}

PrimaryView healthy() {
  PrimaryView view;
  view.system_identifier = 7299402;
  view.flush_lsn = {0x6000000};
  ReplicationSlot slot;
  slot.name = "walback";
  slot.restart_lsn = Lsn{0x5000000};
  slot.wal_status = SlotWalStatus::reserved;
  view.slot = slot;
  return view;
}

}  // namespace

TEST_CASE("slot guard: a slot that keeps its WAL may be captured through, active or not") {
  auto view = healthy();
  CHECK(guard_slot(view, archive()));
  view.slot->wal_status = SlotWalStatus::unreserved;
  CHECK(guard_slot(view, archive()));
}

TEST_CASE("slot guard: another cluster is refused before anything else") {
  auto view = healthy();
  view.system_identifier = 7301118;
  view.slot.reset();
  CHECK(guard_slot(view, archive()).error() ==
        Error{ErrorKind::foreign_system,
              "the primary carries system identifier 7301118, archive '/archive' expects 7299402",
              "Was the primary re-initialised or the connection string changed? An archive never mixes two "
              "clusters: begin a new one with walback init --archive."});
}

TEST_CASE("slot guard: a vanished slot says from where on WAL is lost, and is not made anew") {
  auto view = healthy();
  view.slot.reset();
  CHECK(
      guard_slot(view, archive()).error() ==
      Error{
          ErrorKind::not_found,
          "replication slot 'walback' does not exist on the primary: WAL from 0/5000000 on is not kept for "
          "archive '/archive'",
          "Was it dropped, or did a standby without it become the primary? walback never creates it again "
          "by itself, because that would hide what is missing. Run walback init to create it, start walback "
          "capture again, then take a base backup with walback backup."});
  auto empty = archive();
  empty.newest_lsn.reset();
  CHECK(guard_slot(view, empty).error().message ==
        "replication slot 'walback' does not exist on the primary: WAL from its beginning on is not kept for "
        "archive '/archive'");
}

TEST_CASE("slot guard: an invalidated slot says what the primary removed and how to go on") {
  auto view = healthy();
  view.slot->wal_status = SlotWalStatus::lost;
  view.slot->restart_lsn.reset();
  CHECK(
      guard_slot(view, archive()).error() ==
      Error{
          ErrorKind::conflict,
          "replication slot 'walback' was invalidated (wal_status lost): the primary removed WAL from "
          "0/5000000 "
          "on that archive '/archive' does not hold",
          "Raise max_slot_wal_keep_size on the primary so that it does not happen again. Drop the slot, run "
          "walback init to create it, make the empty directory '/archive/wal/0002' (the WAL behind the gap "
          "goes "
          "there), start walback capture again, then take a base backup with walback backup. Moments between "
          "the "
          "end of what is held and that backup stay out of reach."});
}

TEST_CASE("slot guard: a slot that reserves nothing protects nothing") {
  auto view = healthy();
  view.slot->wal_status = SlotWalStatus::none;
  view.slot->restart_lsn.reset();
  CHECK(
      guard_slot(view, archive()).error() ==
      Error{
          ErrorKind::conflict,
          "replication slot 'walback' reserves no WAL on the primary: WAL from 0/5000000 on is not kept for "
          "archive '/archive'",
          "It was created without immediately_reserve. Drop it and run walback init, which creates it with "
          "its "
          "WAL reserved."});
}

TEST_CASE("slot guard: a gap that only pg_receivewal sees is told in the same words") {
  CHECK(wal_removed_error(archive(), "ERROR: gone") ==
        Error{ErrorKind::conflict,
              "the primary removed WAL from 0/5000000 on that archive '/archive' does not hold: ERROR: gone",
              "Was the slot created anew, or did something else stream through it? To go on behind the gap "
              "make the "
              "empty directory '/archive/wal/0002' (the WAL behind the gap goes there), start walback "
              "capture again, "
              "then take a base backup with walback backup. Moments between the end of what is held and that "
              "backup "
              "stay out of reach."});
  CHECK(not_in_history_error(archive(), "ERROR: not there").message ==
        "the primary's history forked before what archive '/archive' holds: ERROR: not there");
}
