#include "pg/choose_primary.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace walback {
namespace {

enum class Descent : std::uint8_t { goes_on, left_behind, unrelated };

/// Where a history file is not there, its timeline's number is all there is to go by.
bool path_known(const TimelineHistory& history) {
  return history.timeline.value == 1 || !history.entries.empty();
}

Descent descent(const TimelineHistory& held, const TimelineHistory& server) {
  if (!path_known(held)) {
    if (server.timeline == held.timeline || is_ancestor(server, held.timeline)) return Descent::goes_on;
    return server.timeline < held.timeline ? Descent::left_behind : Descent::unrelated;
  }
  if (contains(server, held)) return Descent::goes_on;
  return contains(held, server) ? Descent::left_behind : Descent::unrelated;
}

/// ", at 0/3000148", where `history` says when it left `timeline`.
std::string left_at(const TimelineHistory& history, TimelineId timeline) {
  for (const auto& entry : history.entries)
    if (entry.timeline == timeline) return " at " + to_string(entry.switch_lsn);
  return "";
}

Error old_primary(const HostSight& sight, const std::string& who, const TimelineHistory& left_by) {
  const TimelineId timeline = sight.seen->history.timeline;
  return {ErrorKind::conflict,
          fmt::format("'{}' takes writes on timeline {}, which {} left for timeline {}{}", sight.host.name,
                      timeline.value, who, left_by.timeline.value, left_at(left_by, timeline)),
          "Is it an old primary that came back? Stop it: what it commits now is on no path that anybody "
          "follows. Make it a standby of the new primary, by pg_rewind or from a new base backup."};
}

Error other_branch(const HostSight& sight, const TimelineHistory& held) {
  return {ErrorKind::conflict,
          fmt::format("timeline {} of '{}' does not descend from timeline {}, which the archive holds: its "
                      "history is {}, the archive's {}",
                      sight.seen->history.timeline.value, sight.host.name, held.timeline.value,
                      path_text(sight.seen->history), path_text(held)),
          "Were two servers promoted apart from each other? Let primary.conninfo name the one that was "
          "followed, or begin a new archive for this one with walback init --archive."};
}

Error foreign(const HostSight& sight, std::uint64_t expected) {
  return {ErrorKind::foreign_system,
          fmt::format("the server '{}' carries system identifier {}, the archive expects {}", sight.host.name,
                      sight.seen->system_identifier, expected),
          "Was the primary re-initialised or the connection string changed? An archive never mixes two "
          "clusters: begin a new one with walback init --archive."};
}

Error older_copy(const HostSight& sight, Lsn held) {
  return {
      ErrorKind::conflict,
      fmt::format("the server '{}' stands at {} on timeline {}, the archive holds WAL of that timeline up to "
                  "{}: it is an older copy of the primary",
                  sight.host.name, to_string(*sight.seen->flush_lsn), sight.seen->history.timeline.value,
                  to_string(held)),
      kOlderCopyHint};
}

Error standby(const HostSight& sight) {
  return {ErrorKind::unreachable,
          fmt::format("the server '{}' is a standby, expected the primary", sight.host.name),
          "Name every host that may be the primary in primary.conninfo: host=db1,db2. The one that is not in "
          "recovery is followed."};
}

/// Nothing: it may be the primary.
std::optional<Error> refusal(const HostSight& sight, const KnownCluster& known) {
  if (!sight.seen) return sight.seen.error();
  if (known.system_identifier && sight.seen->system_identifier != *known.system_identifier)
    return foreign(sight, *known.system_identifier);
  if (sight.seen->in_recovery) return standby(sight);
  if (!known.history) return std::nullopt;
  switch (descent(*known.history, sight.seen->history)) {
    case Descent::left_behind:
      return old_primary(sight, "the archive's history", *known.history);
    case Descent::unrelated:
      return other_branch(sight, *known.history);
    case Descent::goes_on:
      break;
  }
  const bool behind = known.held_up_to && sight.seen->flush_lsn &&
                      sight.seen->history.timeline == known.history->timeline &&
                      *sight.seen->flush_lsn < *known.held_up_to;
  if (behind) return older_copy(sight, *known.held_up_to);
  return std::nullopt;
}

bool needs_a_person(const Error& error) {
  return error.kind == ErrorKind::conflict || error.kind == ErrorKind::foreign_system;
}

/// One that can be waited for decides the kind: it may become the primary.
Error no_primary(std::vector<std::pair<std::string, Error>> errors) {
  if (errors.size() == 1) return std::move(errors.front().second);
  const auto rank = [](const auto& named) {
    switch (named.second.kind) {
      case ErrorKind::unavailable:
        return 0;
      case ErrorKind::conflict:
        return 3;
      case ErrorKind::foreign_system:
        return 4;
      case ErrorKind::unreachable:
        return 2;
      default:
        return 1;
    }
  };
  std::vector<std::string> texts;
  for (const auto& [name, error] : errors) texts.push_back(error.message);
  const auto leading = std::ranges::min_element(errors, {}, rank);
  // What a person has to do comes before what may pass by itself.
  const auto telling = std::ranges::find_if(errors, [](const auto& e) { return needs_a_person(e.second); });
  return {leading->second.kind,
          fmt::format("none of {} hosts is the primary: {}", errors.size(), join(texts, "; ")),
          telling == errors.end() ? leading->second.hint : telling->second.hint};
}

bool one_server(const HostSight& a, const HostSight& b) {
  return a.seen->started_at == b.seen->started_at && a.seen->history == b.seen->history;
}

/// The one whose path all others lie on; nothing where there is none.
const HostSight* newest_of(const std::vector<const HostSight*>& candidates) {
  for (const HostSight* candidate : candidates) {
    const bool beats_all = std::ranges::all_of(candidates, [&](const HostSight* other) {
      if (other == candidate || one_server(*other, *candidate)) return true;
      return other->seen->history.timeline != candidate->seen->history.timeline &&
             contains(candidate->seen->history, other->seen->history);
    });
    if (beats_all) return candidate;
  }
  return nullptr;
}

Error undecided(const std::vector<const HostSight*>& candidates) {
  std::vector<std::string> texts;
  for (const HostSight* candidate : candidates)
    texts.push_back(
        fmt::format("'{}' (timelines: {})", candidate->host.name, path_text(candidate->seen->history)));
  return {ErrorKind::conflict,
          fmt::format("several servers take writes, and none goes on from the others: {}", join(texts, ", ")),
          "Stop all but the primary, or name the primary alone in primary.conninfo."};
}

}  // namespace

std::string path_text(const TimelineHistory& history) {
  std::string text;
  for (const auto& entry : history.entries)
    text += fmt::format("{} until {}, then ", entry.timeline.value, to_string(entry.switch_lsn));
  return text + std::to_string(history.timeline.value);
}

Result<PrimaryChoice> choose_primary(const std::vector<HostSight>& hosts, const KnownCluster& known) {
  std::vector<const HostSight*> candidates;
  std::vector<std::pair<std::string, Error>> errors;
  for (const HostSight& sight : hosts) {
    if (auto error = refusal(sight, known))
      errors.emplace_back(sight.host.name, std::move(*error));
    else
      candidates.push_back(&sight);
  }
  if (candidates.empty()) return tl::unexpected(no_primary(std::move(errors)));
  const HostSight* const newest = newest_of(candidates);
  if (newest == nullptr) return tl::unexpected(undecided(candidates));
  PrimaryChoice choice{newest->host, *newest->seen, {}};
  for (auto& [name, error] : errors)
    if (needs_a_person(error)) choice.refused.push_back(std::move(error));
  for (const HostSight* other : candidates)
    if (other != newest && !one_server(*other, *newest))
      choice.refused.push_back(old_primary(*other, "'" + newest->host.name + "'", newest->seen->history));
  return choice;
}

}  // namespace walback
