#include "sync/policy.h"

#include <fmt/format.h>

#include <algorithm>

#include "pg/standby_names.h"

namespace walback {
namespace {

constexpr std::chrono::milliseconds kShortestTick{50}, kLongestTick{500};

std::int64_t us(std::chrono::milliseconds duration) {
  return std::chrono::microseconds(duration).count();
}

const SynchronousReceiver* furthest(const SynchronousView& view) {
  const auto found = std::max_element(view.receivers.begin(), view.receivers.end(),
                                      [](const auto& a, const auto& b) { return a.flush_lsn < b.flush_lsn; });
  return found == view.receivers.end() ? nullptr : &*found;
}

}  // namespace

std::chrono::milliseconds synchronous_tick(std::chrono::milliseconds timeout) {
  return std::clamp(timeout / 20, kShortestTick, kLongestTick);
}

std::string describe_receiver(const SynchronousView& view, std::string_view receiver) {
  const SynchronousReceiver* found = furthest(view);
  if (found == nullptr) return fmt::format("{} is not connected", receiver);
  if (found->state != "streaming") return fmt::format("{} is in state '{}'", receiver, found->state);
  return fmt::format("{} has flushed {}, the primary {}", receiver,
                     found->flush_lsn ? to_string(*found->flush_lsn) : "nothing", to_string(view.flush_lsn));
}

void SynchronousPolicy::note_waiters(const SynchronousView& view, std::int64_t now_us) {
  std::map<Commit, std::int64_t> still;
  for (const CommitWaiter& waiter : view.waiters) {
    const Commit commit{waiter.pid, waiter.transaction_start.unix_us};
    const auto known = since_us_.find(commit);
    std::int64_t since_us = last_look_us_.value_or(now_us);
    if (known != since_us_.end()) {
      since_us = known->second;
    } else if (!last_look_us_ && view.receivers.empty()) {
      since_us = now_us - std::max<std::int64_t>(waiter.statement_age_us, 0);
    }
    still.emplace(commit, since_us);
  }
  since_us_ = std::move(still);
}

bool SynchronousPolicy::keeps_up(const SynchronousView& view) {
  const SynchronousReceiver* receiver = furthest(view);
  const bool level = receiver != nullptr && receiver->state == "streaming" && last_flush_lsn_ &&
                     receiver->flush_lsn && *receiver->flush_lsn >= *last_flush_lsn_;
  if (!level) {
    first_reply_.reset();
    return false;
  }
  if (!first_reply_) first_reply_ = receiver->reply_time;
  return true;
}

SynchronousPolicy::Judgement SynchronousPolicy::judge(const SynchronousView& view,
                                                      const std::optional<SynchronousNote>& note,
                                                      std::int64_t now_us) {
  Judgement judgement;
  note_waiters(view, now_us);
  for (const auto& [commit, since_us] : since_us_)
    judgement.longest_us = std::max(judgement.longest_us, now_us - since_us);
  if (!keeps_up(view)) {
    keeps_up_since_us_.reset();
  } else if (!keeps_up_since_us_) {
    keeps_up_since_us_ = now_us;
  }
  last_look_us_ = now_us;
  last_flush_lsn_ = view.flush_lsn;
  if (!note) return judgement;

  const SynchronousState state = synchronous_state(note, view.names, kReceiverName);
  if (state == SynchronousState::waiting &&
      judgement.longest_us >= us(note->timeout) - 2 * us(synchronous_tick(note->timeout))) {
    judgement.verdict = Verdict::fall_back;
    judgement.reason = describe_receiver(view, kReceiverName);
  }
  const SynchronousReceiver* receiver = furthest(view);
  const bool answered = receiver != nullptr && first_reply_ && receiver->reply_time != first_reply_;
  if (state == SynchronousState::fallen_back && keeps_up_since_us_ && answered &&
      now_us - *keeps_up_since_us_ >= us(note->quiet)) {
    judgement.verdict = Verdict::go_back;
  }
  return judgement;
}

}  // namespace walback
