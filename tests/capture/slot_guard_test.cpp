#include "capture/slot_guard.h"

#include <doctest/doctest.h>

using namespace walback;

namespace {

constexpr const char* kAccept =
    "walback capture --accept-gap shows what is lost, makes the slot anew and lets capture go on behind the "
    "gap; then take a base backup with walback backup.";

GuardedArchive archive() {
  return {{7299402, *SegmentSize::from_bytes(16U << 20)},
          "/archive",
          "walback",
          1,
          Lsn{0x5000000},
          TimelineId{1}};
}

PrimaryView healthy() {
  PrimaryView view;
  view.system_identifier = 7299402;
  view.history.timeline = {1};
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
      Error{ErrorKind::not_found,
            "replication slot 'walback' does not exist on the primary: WAL from 0/5000000 on is not kept for "
            "archive '/archive'",
            std::string("Was it dropped, or did a standby without it become the primary? walback never "
                        "creates it again by itself, because that would hide what is missing: ") +
                kAccept});
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
  CHECK(guard_slot(view, archive()).error() ==
        Error{ErrorKind::conflict,
              "replication slot 'walback' was invalidated (wal_status lost): the primary removed WAL from "
              "0/5000000 on that archive '/archive' does not hold",
              std::string("Raise max_slot_wal_keep_size on the primary so that it does not happen again; ") +
                  kAccept});
}

TEST_CASE("slot guard: a slot that reserves nothing protects nothing") {
  auto view = healthy();
  view.slot->wal_status = SlotWalStatus::none;
  view.slot->restart_lsn.reset();
  CHECK(guard_slot(view, archive()).error() ==
        Error{ErrorKind::conflict,
              "replication slot 'walback' reserves no WAL on the primary: WAL from 0/5000000 on is not kept "
              "for archive '/archive'",
              std::string("It was created without immediately_reserve; ") + kAccept});
}

TEST_CASE("slot guard: WAL that the primary no longer has is told by its files, whatever its language") {
  auto view = healthy();
  view.slot->restart_lsn = Lsn{0x7000000};
  view.flush_lsn = {0x9000000};
  CHECK(guard_slot(view, archive()));
  view.oldest_wal_file = "000000010000000000000005";
  CHECK(guard_slot(view, archive()));
  // By number alone: a server removes old segments of every timeline alike.
  view.oldest_wal_file = "000000020000000000000006";
  CHECK(guard_slot(view, archive()).error() ==
        Error{ErrorKind::conflict,
              "the primary removed WAL from 0/5000000 on that archive '/archive' does not hold: its oldest "
              "segment is 000000020000000000000006",
              std::string("Was the slot created anew, or did something else stream through it? Go on behind "
                          "the gap: ") +
                  kAccept});
  auto empty = archive();
  empty.newest_lsn.reset();
  CHECK(guard_slot(view, empty));
}

TEST_CASE("slot guard: an older copy in the primary's place is refused, a crash is not taken for one") {
  auto view = healthy();
  view.flush_lsn = {0x5000000};
  CHECK(guard_slot(view, archive()));
  view.flush_lsn = {0x4FFFFF8};
  view.slot.reset();
  CHECK(
      guard_slot(view, archive()).error() ==
      Error{ErrorKind::conflict,
            "the primary stands at 0/4FFFFF8 on timeline 1, archive '/archive' holds WAL of that timeline up "
            "to 0/5000000: it is an older copy of the primary",
            "Was a copy or an image of it put in its place? What it writes from now on is another history "
            "under the same numbers, and an archive never mixes two: begin a new one with walback init "
            "--archive. The old one still restores everything up to its end."});
  // Another timeline is another matter: its history tells where it left ours.
  view = healthy();
  view.history.timeline = {2};
  view.flush_lsn = {0x4FFFFF8};
  CHECK(guard_slot(view, archive()));
}

TEST_CASE("slot guard: a gap that only pg_receivewal sees is told in the same words") {
  CHECK(wal_removed_error(archive(), "ERROR: gone") ==
        Error{ErrorKind::conflict,
              "the primary removed WAL from 0/5000000 on that archive '/archive' does not hold: ERROR: gone",
              std::string("Was the slot created anew, or did something else stream through it? Go on behind "
                          "the gap: ") +
                  kAccept});
  CHECK(not_in_history_error(archive(), "ERROR: not there").message ==
        "the primary's history forked before what archive '/archive' holds: ERROR: not there");
}
