#include "restore/proof.h"

#include <fmt/format.h>

#include "wal/page.h"
#include "wal/timeline_history.h"

namespace walback {
namespace {

template <class T>
std::string shown(const std::optional<T>& value) {
  if (!value) return "nothing";
  if constexpr (std::is_same_v<T, Timestamp>) {
    return to_rfc3339(*value);
  } else if constexpr (std::is_same_v<T, TimelineId>) {
    return std::to_string(value->value);
  } else if constexpr (std::is_same_v<T, TransactionStatus>) {
    return std::string(name_of(*value));
  } else {
    return to_string(*value);
  }
}

/// A difference unless both are there and equal.
template <class T>
void compare(std::vector<std::string>& found, std::string_view what, const std::optional<T>& reached,
             const std::optional<T>& expected) {
  if (reached == expected) return;
  found.push_back(fmt::format("{}: {}, expected {}", what, shown(reached), shown(expected)));
}

/// Two positions are the same when no record byte can lie between them: a page header may.
std::optional<Lsn> next_record(std::optional<Lsn> end, SegmentSize size) {
  if (!end) return std::nullopt;
  return skip_page_header(*end, size);
}

void compare_commits(std::vector<std::string>& found, const Expectation& expected, const Reached& reached) {
  if (expected.last_commit && reached.last_commit != TransactionStatus::committed &&
      reached.last_commit != TransactionStatus::forgotten) {
    found.push_back(fmt::format("transaction {} (the last commit in): {}, expected committed",
                                expected.last_commit->xid, shown(reached.last_commit)));
  }
  if (expected.next_commit && (!reached.next_commit || reached.next_commit == TransactionStatus::committed)) {
    found.push_back(fmt::format("transaction {} (the first commit out): {}, expected not committed",
                                expected.next_commit->xid, shown(reached.next_commit)));
  }
}

}  // namespace

Expectation expectation_of(const RestorePlan& plan) {
  return {.identity = plan.identity,
          .timeline = plan.timeline,
          .stop = plan.stop,
          .replay_end = plan.expected_end.value_or(Lsn{}),
          .last_commit = plan.last_commit,
          .next_commit = plan.next_commit,
          .last_transaction_time =
              plan.last_end_before_stop ? std::optional(plan.last_end_before_stop->time) : std::nullopt};
}

std::vector<std::string> differences(const Expectation& expected, const Reached& reached, ProofStage stage) {
  std::vector<std::string> found;
  const SegmentSize size = expected.identity.segment_size;
  if (reached.system_identifier != expected.identity.system_identifier) {
    found.push_back(fmt::format("system identifier: {}, expected {}", reached.system_identifier,
                                expected.identity.system_identifier));
  }
  // The switch point alone stands for the replay position where the copy never paused: it is always there.
  if (!reached.promoted_without_pause) {
    compare<Lsn>(found, "end of replay", next_record(reached.replay_lsn, size), expected.replay_end);
    compare<Timestamp>(found, "time of the last transaction replayed", reached.last_transaction_time,
                       expected.last_transaction_time);
  }
  compare_commits(found, expected, reached);
  if (stage == ProofStage::promoted) {
    compare<TimelineId>(found, "timeline that was left", reached.timeline, expected.timeline);
    compare<Lsn>(found, "switch point of the new timeline", next_record(reached.switch_point, size),
                 expected.replay_end);
    if (!reached.new_timeline || *reached.new_timeline <= expected.timeline) {
      found.push_back(fmt::format("new timeline: {}, expected one above {}", shown(reached.new_timeline),
                                  expected.timeline.value));
    }
  }
  return found;
}

void Proof::compare(ProofStage at) {
  stage = at;
  differences = walback::differences(expected, reached, at);
  compared = true;
}

Status ask_while_paused(Connection& connection, const Expectation& expected, Reached& reached) {
  const ServerIdentity identity = TRY(server_identity(connection));
  reached.system_identifier = identity.system_identifier;
  const RecoveryState state = TRY(recovery_state(connection));
  if (state.in_recovery) {
    reached.replay_lsn = state.replay_lsn;
    reached.last_transaction_time = state.last_transaction_time;
  }
  if (expected.last_commit)
    reached.last_commit = TRY(transaction_status(connection, expected.last_commit->xid));
  if (expected.next_commit)
    reached.next_commit = TRY(transaction_status(connection, expected.next_commit->xid));
  return {};
}

Status read_switch_point(FileSystem& files, const Path& data_directory, TimelineId new_timeline,
                         Reached& reached) {
  const Path path = data_directory / "pg_wal" / history_file_name(new_timeline);
  const TimelineHistory history = TRY(parse_timeline_history(new_timeline, TRY(files.read(path))));
  reached.new_timeline = new_timeline;
  if (history.entries.empty()) {
    return fail(ErrorKind::corrupt,
                fmt::format("'{}' names no timeline that it was forked from", path.string()));
  }
  reached.timeline = history.entries.back().timeline;
  reached.switch_point = history.entries.back().switch_lsn;
  return {};
}

}  // namespace walback
