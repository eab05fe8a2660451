#include "capture/slot_holder.h"

#include <doctest/doctest.h>

using namespace walback;

namespace {

PrimaryView::Sender sender(int pid, std::optional<std::int64_t> replied_s = 100) {
  PrimaryView::Sender made;
  made.pid = pid;
  made.application_name = "walback_capture";
  if (replied_s) made.reply_time = Timestamp{*replied_s * 1'000'000};
  return made;
}

}  // namespace

TEST_CASE("slot holder: who was there before our receiver ran is not ours, whatever its name") {
  SlotHolder holder;
  holder.observe(sender(11), false);
  CHECK_FALSE(holder.is_ours(sender(11)));
  // Ours was started meanwhile, and is about to be turned away.
  holder.observe(sender(11), true);
  CHECK_FALSE(holder.is_ours(sender(11)));
  holder.observe(sender(12), true);
  CHECK(holder.is_ours(sender(12)));
  CHECK_FALSE(holder.rival("walback"));
}

TEST_CASE("slot holder: what a dead receiver left behind does not reply, a rival does") {
  SlotHolder holder;
  for (int look = 0; look < 100; ++look) holder.observe(sender(11, 100), false);
  CHECK_FALSE(holder.rival("walback"));
  // A last reply that was under way.
  holder.observe(sender(11, 101), false);
  CHECK_FALSE(holder.rival("walback"));
  holder.observe(sender(11, 103), true);
  REQUIRE(holder.rival("walback"));
  CHECK(
      *holder.rival("walback") ==
      Error{ErrorKind::conflict,
            "replication slot 'walback' is used by another receiver: pid 11 on the primary, application_name "
            "'walback_capture'",
            "Two receivers on one slot take each other's WAL away. Give this archive a slot of its own "
            "(primary.slot in walback.yaml, then walback init), or stop the other receiver."});
  holder.observe(std::nullopt, false);
  CHECK_FALSE(holder.rival("walback"));
}

TEST_CASE(
    "slot holder: another one after the first begins anew, and one whose replies are hidden is no rival") {
  SlotHolder holder;
  holder.observe(sender(11, 100), false);
  holder.observe(sender(12, 200), false);
  CHECK_FALSE(holder.rival("walback"));
  SlotHolder hidden;
  for (int look = 0; look < 100; ++look) hidden.observe(sender(11, std::nullopt), false);
  CHECK_FALSE(hidden.rival("walback"));
}
