#include <fmt/format.h>

#include "base/text.h"
#include "pg/standby_names.h"
#include "sync/switch.h"

namespace walback {
namespace {

Error refused(ErrorKind kind, std::string message, std::string hint) {
  return {kind, std::move(message), std::move(hint)};
}

/// What others wait for; walback's own name taken out.
std::string others_in(const SynchronousFacts& facts) {
  const auto parsed = parse_standby_names(facts.view.names);
  return parsed ? render(without_receiver(*parsed, kReceiverName)) : facts.view.names;
}

std::optional<Error> privileges(const SynchronousPrivileges& may) {
  std::vector<std::string> grants;
  std::vector<std::string> settings;
  if (!may.sets_names) settings.emplace_back("synchronous_standby_names");
  if (!may.sets_note) settings.emplace_back(kSynchronousNote);
  if (!settings.empty())
    grants.push_back(
        fmt::format("GRANT ALTER SYSTEM ON PARAMETER {} TO {};", join(settings, ", "), may.role));
  if (!may.reloads)
    grants.push_back(fmt::format("GRANT EXECUTE ON FUNCTION pg_reload_conf() TO {};", may.role));
  if (!may.sees_waiters) grants.push_back(fmt::format("GRANT pg_monitor TO {};", may.role));
  if (grants.empty()) return std::nullopt;
  return refused(ErrorKind::config,
                 fmt::format("role '{}' may not switch the synchronous mode, or not see who waits", may.role),
                 "Let a superuser run: " + join(grants, " "));
}

std::optional<Error> settings(const SynchronousFacts& facts) {
  if (facts.view.source == "command line")
    return refused(ErrorKind::conflict,
                   fmt::format("synchronous_standby_names is '{}' on the server's command line, which ALTER "
                               "SYSTEM does not change",
                               facts.view.names),
                   "Take it out of the command that starts the primary, restart it, and try again.");
  if (facts.server_commit == "remote_apply" || !facts.remote_apply.empty()) {
    std::vector<std::string> where = facts.remote_apply;
    if (facts.server_commit == "remote_apply") where.insert(where.begin(), "the server");
    return refused(ErrorKind::conflict,
                   fmt::format("synchronous_commit is remote_apply for {}: a receiver applies nothing, so "
                               "that such commits wait for ever",
                               join(where, ", ")),
                   "Set synchronous_commit to on there; a receiver then makes them as durable.");
  }
  if (!facts.receiver_syncs)
    return refused(ErrorKind::conflict,
                   "capture.synchronous is false: the receiver flushes whole segments, and so long would "
                   "commits wait",
                   "Set `capture: {synchronous: true}` in walback.yaml and restart `walback run`.");
  return std::nullopt;
}

std::optional<Error> others(const SynchronousFacts& facts) {
  const std::string rest = facts.note && synchronous_state(facts.note, facts.view.names, kReceiverName) !=
                                             SynchronousState::overridden
                               ? facts.note->fallback
                               : others_in(facts);
  if (rest.empty()) return std::nullopt;
  const auto parsed = parse_standby_names(rest);
  if (!parsed)
    return refused(ErrorKind::conflict,
                   fmt::format("synchronous_standby_names is '{}', which walback does not understand", rest),
                   "Set it by hand; `walback sync` keeps its hands off it.");
  const StandbyNames both = with_receiver(*parsed, std::string(kReceiverName));
  if (always_waits_for(both, kReceiverName)) {
    if (facts.with_others) return std::nullopt;
    return refused(ErrorKind::conflict, fmt::format("synchronous_standby_names names others: '{}'", rest),
                   fmt::format("`walback sync on --with-others` makes it '{}': commits wait for all of them.",
                               render(both)));
  }
  StandbyNames all = both;
  all.count = static_cast<unsigned>(all.names.size());
  return refused(
      ErrorKind::conflict,
      fmt::format("synchronous_standby_names names others, of which some may be missing: '{}'", rest),
      fmt::format("Set by hand what you mean: '{}' waits for all of them; '{}' for the receiver first, but "
                  "without it once it is gone.",
                  render(all), render(both)));
}

std::optional<Error> receiver(const SynchronousFacts& facts) {
  const auto& receivers = facts.view.receivers;
  if (receivers.empty() || receivers.front().state != "streaming")
    return refused(
        ErrorKind::unavailable,
        "the capturer does not stream: " + describe_receiver(facts.view, kReceiverName),
        "Commits would wait at once. Start `walback run`; `walback status` tells when it streams.");
  if (receivers.size() > 1)
    return refused(ErrorKind::conflict,
                   fmt::format("{} receivers call themselves {}: commits would wait for any of them",
                               receivers.size(), kReceiverName),
                   "Synchronous mode is for one archive: stop the other capturers, or set "
                   "synchronous_standby_names by hand.");
  if (!facts.caught_up)
    return refused(ErrorKind::unavailable,
                   "the capturer is behind: " + describe_receiver(facts.view, kReceiverName),
                   "Commits would wait until it has caught up; try again when `walback status` says so.");
  if (!is_watched(facts.view))
    return refused(ErrorKind::unavailable,
                   "nobody watches: a capturer that dies would stop the primary without a bound",
                   "Start `walback run` here, or `walback sync watch` on the primary's host.");
  return std::nullopt;
}

}  // namespace

bool is_watched(const SynchronousView& view) {
  for (const SynchronousWatcher& watcher : view.watchers)
    if (watcher.silent_us < std::chrono::microseconds(kWatcherSilence).count()) return true;
  return false;
}

std::optional<Error> refusal_to_wait(const SynchronousFacts& facts) {
  for (const auto& refusal : {privileges(facts.privileges), settings(facts), others(facts), receiver(facts)})
    if (refusal) return refusal;
  return std::nullopt;
}

SynchronousNote planned_note(const SynchronousFacts& facts, std::chrono::milliseconds timeout) {
  SynchronousNote note;
  note.timeout = timeout;
  const auto state = synchronous_state(facts.note, facts.view.names, kReceiverName);
  if (facts.note && state != SynchronousState::overridden) {
    note.fallback = facts.note->fallback;
    note.reset = facts.note->reset;
  } else {
    note.fallback = others_in(facts);
    note.reset = !facts.view.by_alter_system && note.fallback == facts.view.names;
  }
  const auto rest = parse_standby_names(note.fallback);
  note.names = render(with_receiver(rest.value_or(StandbyNames{}), std::string(kReceiverName)));
  return note;
}

}  // namespace walback
