#include "restore/watch_replay.h"

#include <fmt/format.h>

#include "os/system.h"
#include "pg/recovery_queries.h"

namespace walback {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPoll{10};
/// A server in recovery that neither replays nor says why for this long is stuck.
constexpr std::int64_t kStuckAfterUs = 600'000'000;
/// One that lets nobody in, though it is not starting (a full disk: "could not write init file"), will not
/// think better of it.
constexpr std::int64_t kRefusedAfterUs = 10'000'000;

class Watcher {
 public:
  Watcher(const ReplayWatch& watch, RestoredServer& server, Progress& progress)
      : watch_(watch), server_(server), progress_(progress), begun_us_(watch.clock.monotonic_us()) {}

  Result<ReplayEnd> run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      if (const auto failure = watch_.feeder.failure()) return tl::unexpected(*failure);
      if (!server_.running()) return server_ended();
      if (const auto end = TRY(look())) return *end;
      show();
      TRY(check_moving());
      sleep_for(stop, kPoll);
    }
    return fail(ErrorKind::interrupted, "the restore was interrupted during replay",
                "Start it again; it begins anew.");
  }

 private:
  /// Nothing while replay goes on, or while no connection is let in yet.
  Result<std::optional<ReplayEnd>> look() {
    if (!connection_) {
      auto opened = server_.connect(watch_.superusers);
      if (!opened &&
          (opened.error().kind == ErrorKind::unreachable || opened.error().kind == ErrorKind::unavailable)) {
        note_refusal(opened.error());
        return std::nullopt;
      }
      connection_ = TRY(std::move(opened));
      refused_.clear();
      refused_since_us_.reset();
    }
    const auto state = recovery_state(*connection_);
    if (!state) {
      // Promotion ends sessions of the standby only in old versions; a lost one is simply opened again.
      connection_.reset();
      return std::nullopt;
    }
    reached_ = state->last_transaction_time;
    if (state->replay_lsn != replay_lsn_) {
      replay_lsn_ = state->replay_lsn;
      moved_us_ = watch_.clock.monotonic_us();
    }
    if (!state->in_recovery) return ReplayEnd::promoted;
    if (!state->paused) return std::nullopt;
    if (state->replay_lsn && ended_as_planned(watch_.plan, *state->replay_lsn)) return ReplayEnd::paused;
    // Most likely "max_connections = 100 is a lower setting than on the primary server": in its log.
    return fail(
        ErrorKind::mismatch,
        fmt::format("replay paused at {}, planned {}: {}", to_string(state->replay_lsn.value_or(Lsn{})),
                    to_string(watch_.plan.expected_end.value_or(Lsn{})), server_.last_words(watch_.files)),
        fmt::format("The server's log says why: '{}'.", watch_.layout.log().string()));
  }

  /// While it starts it says so (unavailable), and before that there is no socket. A FATAL of another kind is
  /// no answer that passes.
  void note_refusal(const Error& error) {
    refused_ = error.message;
    const bool lasts =
        error.kind == ErrorKind::unreachable && error.message.find("FATAL:") != std::string::npos;
    if (!lasts) refused_since_us_.reset();
    if (lasts && !refused_since_us_) refused_since_us_ = watch_.clock.monotonic_us();
  }

  tl::unexpected<Error> server_ended() {
    if (const auto failure = watch_.feeder.failure()) return tl::unexpected(*failure);
    return fail(ErrorKind::unavailable,
                "the restored server ended during recovery: " + server_.last_words(watch_.files),
                fmt::format("Its log is '{}'.", watch_.layout.log().string()));
  }

  Status check_moving() {
    const std::uint64_t served = watch_.feeder.served();
    const std::int64_t now_us = watch_.clock.monotonic_us();
    if (refused_since_us_ && now_us - *refused_since_us_ > kRefusedAfterUs) {
      return fail(ErrorKind::unavailable, "the restored server lets nobody in: " + refused_,
                  fmt::format("Its log is '{}'.", watch_.layout.log().string()));
    }
    if (served != served_ || moved_us_ == 0) {
      served_ = served;
      moved_us_ = now_us;
    }
    if (now_us - moved_us_ < kStuckAfterUs) return {};
    return fail(ErrorKind::unavailable,
                fmt::format("replay has not moved for {} (segment {} of {}): {}",
                            render_duration_us(kStuckAfterUs), served, watch_.plan.segment_count,
                            refused_.empty() ? server_.last_words(watch_.files) : refused_),
                fmt::format("The server's log is '{}'.", watch_.layout.log().string()));
  }

  void show() {
    const std::uint64_t segment_bytes = watch_.plan.identity.segment_size.bytes();
    const std::uint64_t total = watch_.plan.segment_count * segment_bytes;
    ProgressState state{"replay", served_ * segment_bytes, total,
                        fmt::format("segment {} of {}", served_, watch_.plan.segment_count)};
    if (reached_) state.detail += ", at " + to_rfc3339(*reached_);
    const std::int64_t elapsed_us = watch_.clock.monotonic_us() - begun_us_;
    if (served_ > 1 && state.done < total) {
      const double left = static_cast<double>(total - state.done) / static_cast<double>(state.done);
      const auto left_us = static_cast<std::int64_t>(left * static_cast<double>(elapsed_us));
      state.detail += ", " + render_duration_us(left_us) + " left";
    }
    progress_.report(state);
  }

  const ReplayWatch& watch_;
  RestoredServer& server_;
  Progress& progress_;
  std::optional<Connection> connection_;
  std::string refused_;                           ///< why the server lets nobody in yet
  std::optional<std::int64_t> refused_since_us_;  ///< for a reason that does not pass
  std::optional<Timestamp> reached_;
  std::optional<Lsn> replay_lsn_;
  std::uint64_t served_ = 0;
  std::int64_t begun_us_;
  std::int64_t moved_us_ = 0;
};

}  // namespace

Result<ReplayEnd> watch_replay(const ReplayWatch& watch, RestoredServer& server, Progress& progress,
                               std::stop_token stop) {
  return Watcher(watch, server, progress).run(stop);
}

}  // namespace walback
