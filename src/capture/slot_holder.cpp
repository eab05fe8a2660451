#include "capture/slot_holder.h"

#include <fmt/format.h>

namespace walback {

void SlotHolder::observe(const std::optional<PrimaryView::Sender>& sender, bool ours_may) {
  if (!sender) {
    stranger_.reset();
    strangers_.clear();
    return;
  }
  if (!ours_may) strangers_.insert(sender->pid);
  if (!strangers_.contains(sender->pid)) {
    stranger_.reset();
    return;
  }
  if (!stranger_ || stranger_->sender.pid != sender->pid) stranger_ = {*sender, sender->reply_time};
  stranger_->sender = *sender;
  if (!stranger_->first_reply) stranger_->first_reply = sender->reply_time;
}

bool SlotHolder::is_ours(const PrimaryView::Sender& sender) const {
  return !strangers_.contains(sender.pid);
}

std::optional<Error> SlotHolder::rival(const std::string& slot) const {
  if (!stranger_ || !stranger_->first_reply || !stranger_->sender.reply_time) return std::nullopt;
  if (stranger_->sender.reply_time->unix_us - stranger_->first_reply->unix_us < kAliveUs) return std::nullopt;
  return Error{ErrorKind::conflict,
               fmt::format("replication slot '{}' is used by another receiver: pid {} on the primary, "
                           "application_name '{}'",
                           slot, stranger_->sender.pid, stranger_->sender.application_name),
               "Two receivers on one slot take each other's WAL away. Give this archive a slot of its own "
               "(primary.slot in walback.yaml, then walback init), or stop the other receiver."};
}

}  // namespace walback
