#include "sync/switch.h"

#include <fmt/format.h>

#include "os/system.h"
#include "pg/find_primary.h"
#include "pg/server.h"
#include "pg/standby_names.h"

namespace walback {
namespace {

using std::chrono::milliseconds;
using Verdict = SynchronousPolicy::Verdict;

constexpr milliseconds kPoll{50};
/// Whoever holds the lock needs a few statements; one that hangs must not keep commits waiting.
constexpr milliseconds kLockPatience{1'000};
/// Until a reload shows in a session, and the walsender says sync.
constexpr milliseconds kReloadPatience{5'000};
const ConnectionOptions kSessionOptions{.application_name = "walback sync",
                                        .connect_timeout = milliseconds{3'000},
                                        .statement_timeout = milliseconds{3'000}};

/// Asks again until it holds. False: not within `patience`, or stopped.
template <class Condition>
Result<bool> becomes(const Condition& condition, milliseconds patience, const std::stop_token& stop) {
  const std::int64_t deadline_us = real_clock().monotonic_us() + std::chrono::microseconds(patience).count();
  while (true) {
    const bool holds = TRY(condition());
    if (holds) return true;
    if (real_clock().monotonic_us() >= deadline_us || !sleep_for(stop, kPoll)) return false;
  }
}

Status write_names(Connection& connection, const std::string& names, bool reset) {
  return alter_system(connection, "synchronous_standby_names", reset ? std::nullopt : std::optional(names));
}

Status write_note(Connection& connection, const std::optional<SynchronousNote>& note) {
  return alter_system(connection, kSynchronousNote, note ? std::optional(to_text(*note)) : std::nullopt);
}

Result<bool> shows(Connection& connection, SynchronousState state) {
  const SynchronousView view = TRY(look_at_synchronous_mode(connection, std::string(kReceiverName)));
  const auto note = TRY(parse_synchronous_note(view.note));
  return synchronous_state(note, view.names, kReceiverName) == state;
}

class Locked {
 public:
  /// `needed`: not getting it is `unavailable`; else it is gone without.
  static Result<Locked> take(Connection& connection, bool needed, const std::stop_token& stop) {
    const bool taken = TRY(becomes([&] { return try_synchronous_lock(connection); }, kLockPatience, stop));
    if (!taken && needed)
      return fail(ErrorKind::unavailable, "somebody else is switching the synchronous mode",
                  "Try again in a moment.");
    return Locked(connection, taken);
  }
  Locked(Locked&& other) noexcept
      : connection_(other.connection_), taken_(std::exchange(other.taken_, false)) {}
  Locked& operator=(Locked&&) = delete;
  ~Locked() {
    if (taken_ && connection_.alive()) static_cast<void>(release_synchronous_lock(connection_));
  }

 private:
  Locked(Connection& connection, bool taken) : connection_(connection), taken_(taken) {}
  Connection& connection_;
  bool taken_;
};

Result<SynchronousFacts> gather_facts(Connection& connection, const SynchronousRequest& request,
                                      bool receiver_syncs, bool with_others) {
  SynchronousFacts facts;
  facts.receiver_syncs = receiver_syncs;
  facts.with_others = with_others;
  facts.privileges = TRY(synchronous_privileges(connection));
  const PrimaryChoice primary =
      TRY(find_primary(request.conninfo, {request.system_identifier, std::nullopt}, kSessionOptions));
  facts.server_commit = TRY(server_synchronous_commit(primary.host.conninfo));
  facts.remote_apply = TRY(remote_apply_settings(connection));
  facts.view = TRY(look_at_synchronous_mode(connection, std::string(kReceiverName)));
  facts.note = TRY(parse_synchronous_note(facts.view.note));
  const Lsn goal = facts.view.flush_lsn;
  const auto is_level = [&]() -> Result<bool> {
    facts.view = TRY(look_at_synchronous_mode(connection, std::string(kReceiverName)));
    for (const SynchronousReceiver& receiver : facts.view.receivers)
      if (receiver.state == "streaming" && receiver.flush_lsn && *receiver.flush_lsn >= goal) return true;
    return false;
  };
  if (!facts.view.receivers.empty()) facts.caught_up = TRY(becomes(is_level, kCatchUpPatience, request.stop));
  return facts;
}

/// A new session sees it, and the walsender knows of it.
Result<bool> is_verified(const SynchronousRequest& request, const SynchronousNote& note) {
  const auto verified = [&]() -> Result<bool> {
    Connection fresh = TRY(open_synchronous_session(request));
    const SynchronousView view = TRY(look_at_synchronous_mode(fresh, std::string(kReceiverName)));
    if (view.names != note.names || view.note != to_text(note)) return false;
    for (const SynchronousReceiver& receiver : view.receivers)
      if (receiver.sync_state == "sync" || receiver.sync_state == "quorum") return true;
    return false;
  };
  return becomes(verified, kReloadPatience, request.stop);
}

Status take_back(Connection& connection, const SynchronousNote& note) {
  TRY(write_names(connection, note.fallback, note.reset));
  TRY(write_note(connection, std::nullopt));
  return reload_configuration(connection);
}

}  // namespace

Result<Connection> open_synchronous_session(const SynchronousRequest& request) {
  Connection connection =
      TRY(open_primary(request.conninfo, {request.system_identifier, std::nullopt}, kSessionOptions));
  const ServerIdentity server = TRY(server_identity(connection));
  if (request.system_identifier && server.system_identifier != *request.system_identifier)
    return fail(ErrorKind::foreign_system,
                fmt::format("the primary has system identifier {}, the archive is of {}",
                            server.system_identifier, *request.system_identifier),
                "Was the primary re-initialised, or does `primary: {conninfo}` name another server?");
  if (server.in_recovery)
    return fail(ErrorKind::conflict, "the server that should be the primary is a standby",
                "Let `primary: {conninfo}` name the primary: only its commits can wait.");
  return connection;
}

Result<SynchronousNote> turn_synchronous_on(const SynchronousRequest& request, bool receiver_syncs,
                                            milliseconds timeout, bool with_others) {
  Connection connection = TRY(open_synchronous_session(request));
  const SynchronousFacts facts = TRY(gather_facts(connection, request, receiver_syncs, with_others));
  if (const auto refusal = refusal_to_wait(facts)) return tl::unexpected<Error>(*refusal);
  const SynchronousNote note = planned_note(facts, timeout);
  {
    const Locked lock = TRY(Locked::take(connection, true, request.stop));
    // The note first: names without one are nobody's to watch.
    TRY(write_note(connection, note));
    TRY(write_names(connection, note.names, false));
    TRY(reload_configuration(connection));
  }
  const auto verified = is_verified(request, note);
  if (verified && *verified) return note;
  TRY(take_back(connection, note));
  if (!verified) return tl::unexpected<Error>(verified.error());
  return fail(ErrorKind::unavailable,
              fmt::format("the primary was told to wait for {}, and does not", kReceiverName),
              "It was taken back. Does another file or the command line set synchronous_standby_names?");
}

Result<bool> turn_synchronous_off(const SynchronousRequest& request) {
  Connection connection = TRY(open_synchronous_session(request));
  const Locked lock = TRY(Locked::take(connection, true, request.stop));
  const SynchronousView view = TRY(look_at_synchronous_mode(connection, std::string(kReceiverName)));
  // A note that cannot be read is no reason to keep it.
  const auto read = parse_synchronous_note(view.note);
  const auto note = read ? *read : std::nullopt;
  const SynchronousState state = synchronous_state(note, view.names, kReceiverName);
  if (state == SynchronousState::off && view.note.empty()) return false;
  if (state == SynchronousState::unwatched) {
    const auto names = parse_standby_names(view.names);
    TRY(write_names(connection, render(without_receiver(*names, kReceiverName)), false));
  } else if (note && state != SynchronousState::overridden) {
    TRY(write_names(connection, note->fallback, note->reset));
  }
  if (!view.note.empty()) TRY(write_note(connection, std::nullopt));
  TRY(reload_configuration(connection));
  const auto is_off = [&]() -> Result<bool> {
    Connection fresh = TRY(open_synchronous_session(request));
    return shows(fresh, SynchronousState::off);
  };
  const bool off = TRY(becomes(is_off, kReloadPatience, request.stop));
  if (off) return true;
  return fail(ErrorKind::unavailable, "the primary was told not to wait, and still does",
              "Does another file or the command line set synchronous_standby_names?");
}

Result<std::optional<SynchronousNote>> act_on(Connection& connection,
                                              const SynchronousPolicy::Judgement& judgement,
                                              std::stop_token stop) {
  std::optional<SynchronousNote> nothing;
  const bool falls = judgement.verdict == Verdict::fall_back;
  if (judgement.verdict == Verdict::nothing) return nothing;
  const Locked lock = TRY(Locked::take(connection, !falls, stop));
  const SynchronousView view = TRY(look_at_synchronous_mode(connection, std::string(kReceiverName)));
  const auto note = TRY(parse_synchronous_note(view.note));
  const SynchronousState expected = falls ? SynchronousState::waiting : SynchronousState::fallen_back;
  if (!note || synchronous_state(note, view.names, kReceiverName) != expected) return nothing;
  const SynchronousNote next =
      falls ? fallen_back(*note, view.time, judgement.reason) : returned(*note, view.time);
  if (falls) {
    // Whoever waits is let go before anything else is written.
    TRY(write_names(connection, next.fallback, next.reset));
    TRY(reload_configuration(connection));
    TRY(write_note(connection, next));
  } else {
    TRY(write_note(connection, next));
    TRY(write_names(connection, next.names, false));
  }
  TRY(reload_configuration(connection));
  // Until it shows, nobody else may judge by what was there before.
  const SynchronousState reached = falls ? SynchronousState::fallen_back : SynchronousState::waiting;
  TRY(becomes([&] { return shows(connection, reached); }, kLockPatience, stop));
  return std::optional(next);
}

}  // namespace walback
