#include "sync/watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "os/system.h"
#include "pg/server.h"
#include "pg/standby_names.h"

namespace walback {
namespace {

using std::chrono::milliseconds;
using Verdict = SynchronousPolicy::Verdict;

constexpr std::string_view kArea = "sync";
constexpr milliseconds kOffTick{1'000};
constexpr milliseconds kRetryMin{250}, kRetryMax{1'000};
/// After a fallback: so long may the checkpointer take to let waiting commits go before it is said.
constexpr std::int64_t kReleaseBound = 5'000'000;

class Watch {
 public:
  explicit Watch(const SynchronousWatchSetup& setup) : setup_(setup) {}

  void run(const std::stop_token& stop) {
    auto retry = kRetryMin;
    while (!stop.stop_requested()) {
      const Status looked = round(stop);
      if (looked) {
        retry = kRetryMin;
        if (!std::exchange(failure_, "").empty()) setup_.log.info(kArea, "primary_seen_again");
        sleep_for(stop, tick_);
        continue;
      }
      complain(looked.error());
      connection_.reset();
      policy_.forget();
      sleep_for(stop, retry);
      retry = std::min(retry * 2, kRetryMax);
    }
  }

 private:
  Status round(const std::stop_token& stop) {
    if (!connection_) TRY(connect());
    const std::int64_t now_us = setup_.clock.monotonic_us();
    const SynchronousView view = TRY(look_at_synchronous_mode(*connection_, std::string(kReceiverName)));
    if (view.in_recovery) return fail(ErrorKind::unavailable, "the server has become a standby");
    const auto note = TRY(parse_synchronous_note(view.note));
    tick_ = note ? synchronous_tick(note->timeout) : kOffTick;
    tell_change(note, view);
    const auto judgement = policy_.judge(view, note, now_us);
    tell_if_held_up(view, judgement, now_us);
    if (judgement.verdict == Verdict::nothing) return {};
    if (const auto next = TRY(act_on(*connection_, judgement, stop))) tell(*next, judgement);
    return {};
  }

  Status connect() {
    Connection connection =
        TRY(open_synchronous_session({setup_.conninfo, setup_.system_identifier, setup_.clock, {}}));
    // Not left to the connection string: others find the watchers by this name.
    TRY(connection.query("SELECT set_config('application_name', $1, false)", {kWatcherName}));
    connection_ = std::move(connection);
    return {};
  }

  void tell(const SynchronousNote& next, const SynchronousPolicy::Judgement& judgement) {
    if (judgement.verdict == Verdict::fall_back) {
      state_ = SynchronousState::fallen_back;
      tell_fallback(next, judgement.longest_us);
    } else {
      state_ = SynchronousState::waiting;
      tell_return(next);
    }
  }

  void tell_fallback(const SynchronousNote& note, std::int64_t waited_us) {
    setup_.log.warn(kArea, "synchronous_mode_fell_back",
                    {{key::error, note.reason},
                     {"waited_ms", std::to_string(waited_us / 1000)},
                     {"timeout_ms", std::to_string(note.timeout.count())},
                     {key::hint,
                      "Commits no longer wait: those of now may be lost with the primary. They wait again by "
                      "themselves when the receiver has caught up; see `walback status`."}});
    journal(note.fell_back_at.value_or(setup_.clock.now()), SynchronousEvent::fell_back, note);
  }

  void tell_return(const SynchronousNote& note) {
    setup_.log.info(kArea, "synchronous_mode_returned",
                    {{"timeout_ms", std::to_string(note.timeout.count())},
                     {"quiet_ms", std::to_string(note.quiet.count())}});
    journal(note.returned_at.value_or(setup_.clock.now()), SynchronousEvent::returned, note);
  }

  /// What somebody else did, and what was found at the start.
  void tell_change(const std::optional<SynchronousNote>& note, const SynchronousView& view) {
    const SynchronousState now = synchronous_state(note, view.names, kReceiverName);
    const auto before = std::exchange(state_, now);
    if (before == now) return;
    if (before == SynchronousState::waiting && now == SynchronousState::fallen_back) {
      tell_fallback(*note, 0);
    } else if (before == SynchronousState::fallen_back && now == SynchronousState::waiting) {
      tell_return(*note);
    } else if (now == SynchronousState::overridden) {
      setup_.log.warn(kArea, "synchronous_mode_overridden",
                      {{"synchronous_standby_names", view.names},
                       {key::hint, "Somebody else has set it; `walback sync on` or `off` decides anew."}});
    } else {
      setup_.log.info(kArea, "synchronous_mode",
                      {{"state", std::string(name_of(now))}, {"synchronous_standby_names", view.names}});
    }
  }

  void tell_if_held_up(const SynchronousView& view, const SynchronousPolicy::Judgement& judgement,
                       std::int64_t now_us) {
    const bool held = state_ == SynchronousState::fallen_back && !view.waiters.empty();
    if (!held) {
      held_since_us_.reset();
      return;
    }
    if (!held_since_us_) held_since_us_ = now_us;
    if (*held_since_us_ == kSaid || now_us - *held_since_us_ < kReleaseBound) return;
    held_since_us_ = kSaid;
    setup_.log.warn(kArea, "commits_still_wait",
                    {{"waiting", std::to_string(view.waiters.size())},
                     {"waited_ms", std::to_string(judgement.longest_us / 1000)},
                     {key::hint,
                      "The primary's checkpointer lets them go when it reads the configuration, after what "
                      "it is syncing. pg_cancel_backend(pid) ends a wait at once, with a warning."}});
  }

  void journal(Timestamp at, SynchronousEvent event, const SynchronousNote& note) {
    if (setup_.note) setup_.note(journal_entry(at, event, note));
  }

  void complain(const Error& error) {
    if (error.kind == ErrorKind::interrupted || failure_ == error.message) return;
    failure_ = error.message;
    setup_.log.warn(kArea, "primary_not_watched", {{key::error, error.message}, {key::hint, error.hint}});
  }

  static constexpr std::int64_t kSaid = -1;

  const SynchronousWatchSetup& setup_;
  std::optional<Connection> connection_;
  SynchronousPolicy policy_;
  std::optional<SynchronousState> state_;
  std::optional<std::int64_t> held_since_us_;
  milliseconds tick_ = kOffTick;
  std::string failure_;
};

}  // namespace

void watch_synchronous_mode(const SynchronousWatchSetup& setup, std::stop_token stop) {
  Watch(setup).run(stop);
}

}  // namespace walback
