#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "pg/synchronous_queries.h"
#include "sync/note.h"

namespace walback {

/// How often a watcher looks while commits wait: twenty times within the bound.
[[nodiscard]] std::chrono::milliseconds synchronous_tick(std::chrono::milliseconds timeout);

/// When must commits stop waiting for the receiver, and when may they wait again? Pure but for what it
/// remembers of earlier looks. Any number of these may watch one primary: they see the same and come to the
/// same verdict, a moment apart, and what follows from a verdict is idempotent.
///
/// Falls back when some commit has waited for the bound, whatever the reason: the receiver is gone, is
/// stopped, cannot flush, is too far behind; a session asked for remote_apply. Never because of the receiver
/// alone: where no commit waits, nobody is harmed. A wait is counted from the look before the one that first
/// saw it, and ends two looks before the bound, so that the whole stays below it. At the first look after a
/// lost connection or a start nothing is known of the time before: then the age of the statement counts if no
/// receiver is there, which may be too much and is never too little.
///
/// Returns when the receiver streams, has answered, and has flushed all that the primary had flushed one look
/// before, without a break for note.quiet.
class SynchronousPolicy {
 public:
  enum class Verdict : std::uint8_t { nothing, fall_back, go_back };
  struct Judgement {
    Verdict verdict = Verdict::nothing;
    std::string reason;           ///< of a fallback, for people
    std::int64_t longest_us = 0;  ///< that a commit has waited as far as is known
  };
  /// `now_us`: monotonic. `note`: the view's, parsed.
  [[nodiscard]] Judgement judge(const SynchronousView& view, const std::optional<SynchronousNote>& note,
                                std::int64_t now_us);
  /// The next look is a first one.
  void forget() { *this = {}; }

 private:
  using Commit = std::pair<int, std::int64_t>;  ///< pid, start of the transaction
  void note_waiters(const SynchronousView& view, std::int64_t now_us);
  [[nodiscard]] bool keeps_up(const SynchronousView& view);

  std::map<Commit, std::int64_t> since_us_;
  std::optional<std::int64_t> last_look_us_, keeps_up_since_us_;
  std::optional<Lsn> last_flush_lsn_;
  std::optional<Timestamp> first_reply_;
};

/// "walback_capture is not connected", "walback_capture has flushed 0/3000000, the primary 0/4000000", …
[[nodiscard]] std::string describe_receiver(const SynchronousView& view, std::string_view receiver);

}  // namespace walback
