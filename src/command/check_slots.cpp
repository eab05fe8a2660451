#include <fmt/format.h>

#include "base/text.h"
#include "command/checklist.h"
#include "pg/standby_names.h"

namespace walback {
namespace {

std::string go_on_behind_gap(const Checklist& list) {
  return list.walback("capture --accept-gap") + ", then " + list.walback("backup");
}

/// The pid of its walsender, which bears the name that every walback gives to its own.
std::optional<int> other_walback(const Checklist& list, const ReplicationSlot& slot) {
  for (const ReplicationClient& client : list.in.clients)
    if (client.slot == slot.name && client.application_name == kReceiverName) return client.pid;
  return std::nullopt;
}

std::string held_back(const Checklist& list, const ReplicationSlot& slot) {
  return list.in.slot_forecast
             ? list.in.slot_forecast->text
             : fmt::format("holds back {} on the primary", render_bytes(slot.held_back_bytes));
}

std::string keep_all(const Checklist& list) {
  return list.psql({"alter system set max_slot_wal_keep_size = -1", "select pg_reload_conf()"});
}

/// What gains time where PostgreSQL's limit, and not the disk, is what ends it.
std::string or_keep_more(const Checklist& list) {
  const auto& forecast = list.in.slot_forecast;
  return forecast && forecast->limited && forecast->urgent
             ? ", and meanwhile, where the primary's disk has room, " + keep_all(list)
             : "";
}

void capture_slot(Checklist& list, const ReplicationSlot& slot) {
  const std::string subject = "slot " + slot.name;
  if (slot.wal_status == SlotWalStatus::lost) {
    list.add(Severity::wrong, subject,
             "is lost: the primary removed WAL that it needed; " + nothing_after(list.in.capture_end),
             go_on_behind_gap(list));
  } else if (!slot.restart_lsn) {
    list.add(Severity::wrong, subject, "reserves no WAL; " + nothing_after(list.in.capture_end),
             go_on_behind_gap(list));
  } else if (!slot.active) {
    list.add(Severity::wrong, subject, "is not active: nothing is captured; it " + held_back(list, slot),
             list.walback("run") + or_keep_more(list));
  } else if (slot.wal_status == SlotWalStatus::unreserved) {
    list.add(Severity::wrong, subject,
             fmt::format("is active and {} behind: the next checkpoint may remove WAL that it needs",
                         render_bytes(slot.held_back_bytes)),
             keep_all(list));
  } else if (list.in.slot_forecast) {
    list.add(list.in.slot_forecast->urgent ? Severity::wrong : Severity::note, subject,
             "is active and far behind; it " + held_back(list, slot),
             list.walback("status") + " (is it catching up?)" + or_keep_more(list));
  } else {
    list.good(subject, fmt::format("active, holds back {}", render_bytes(slot.held_back_bytes)));
  }
}

/// Somebody else's; what it holds back fills the same disk.
void other_slot(Checklist& list, const ReplicationSlot& slot) {
  const std::string subject = "slot " + slot.name;
  if (slot.temporary) return;
  if (const auto receiver = other_walback(list, slot)) {
    list.add(
        Severity::note, subject,
        fmt::format("is another walback's, which streams from it (pid {} on the primary); it holds back {}",
                    *receiver, render_bytes(slot.held_back_bytes)));
    return;
  }
  if (slot.wal_status == SlotWalStatus::lost) {
    list.add(Severity::note, subject, "is lost: whoever used it must begin anew",
             list.psql({fmt::format("select pg_drop_replication_slot('{}')", slot.name)}));
  } else if (!slot.active && slot.restart_lsn) {
    list.add(Severity::note, subject,
             fmt::format("is not walback's and nobody uses it; it holds back {} on the primary",
                         render_bytes(slot.held_back_bytes)),
             list.psql({fmt::format("select pg_drop_replication_slot('{}')", slot.name)}) +
                 " (if nobody comes back for it)");
  } else {
    list.good(subject, fmt::format("not walback's, {}, holds back {}", slot.active ? "active" : "not active",
                                   render_bytes(slot.held_back_bytes)));
  }
}

}  // namespace

void check_slots(Checklist& list) {
  const std::string& name = list.in.config.primary.slot;
  bool found = false;
  for (const ReplicationSlot& slot : list.in.slots) {
    found = found || slot.name == name;
    slot.name == name ? capture_slot(list, slot) : other_slot(list, slot);
  }
  if (found) return;
  if (!list.in.capture_end) {
    list.add(Severity::wrong, "slot " + name, "does not exist: WAL is recycled before it is captured",
             list.walback("init") + ", then " + list.walback("backup"));
  } else {
    list.add(Severity::wrong, "slot " + name, "does not exist: " + nothing_after(list.in.capture_end),
             go_on_behind_gap(list));
  }
}

}  // namespace walback
