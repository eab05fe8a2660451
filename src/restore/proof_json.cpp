#include <fmt/format.h>

#include "base/text.h"
#include "restore/proof.h"

namespace walback {
namespace {

Json commit_json(const std::optional<TransactionEnd>& commit) {
  if (!commit) return nullptr;
  return {{"lsn", to_string(commit->lsn)},
          {"time", to_rfc3339(commit->time)},
          {"unix_us", commit->time.unix_us},
          {"xid", commit->xid}};
}

template <class T, class Show>
Json optional_json(const std::optional<T>& value, Show show) {
  if (!value) return nullptr;
  return Json(show(*value));
}

Json lsn_json(const std::optional<Lsn>& lsn) {
  return optional_json(lsn, [](Lsn value) { return to_string(value); });
}
Json time_json(const std::optional<Timestamp>& time) {
  return optional_json(time, [](Timestamp value) { return to_rfc3339(value); });
}
Json timeline_json(const std::optional<TimelineId>& timeline) {
  return optional_json(timeline, [](TimelineId value) { return value.value; });
}
Json status_json(const std::optional<TransactionStatus>& status) {
  return optional_json(status, [](TransactionStatus value) { return std::string(name_of(value)); });
}

std::optional<Lsn> lsn_member(const Json& json, std::string_view key) {
  const auto text = member<std::string>(json, key);
  return text ? parse_lsn(*text) : std::nullopt;
}

/// Only what a proof compares comes back: position, time, xid.
std::optional<TransactionEnd> commit_member(const Json& json, std::string_view key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_object()) return std::nullopt;
  const auto lsn = lsn_member(*found, "lsn");
  const auto time_us = member<std::int64_t>(*found, "unix_us");
  const auto xid = member<std::uint64_t>(*found, "xid");
  if (!lsn || !time_us || !xid) return std::nullopt;
  TransactionEnd end;
  end.lsn = *lsn;
  end.time = Timestamp{*time_us};
  end.xid = static_cast<std::uint32_t>(*xid);
  return end;
}

}  // namespace

Json to_json(const Expectation& expectation) {
  return {{"system_identifier", std::to_string(expectation.identity.system_identifier)},
          {"wal_segment_size", expectation.identity.segment_size.bytes()},
          {"timeline", expectation.timeline.value},
          {"stop_lsn", to_string(expectation.stop.lsn)},
          {"inclusive", expectation.stop.inclusive},
          {"replay_end_lsn", to_string(expectation.replay_end)},
          {"last_commit", commit_json(expectation.last_commit)},
          {"next_commit", commit_json(expectation.next_commit)},
          {"last_transaction_time", time_json(expectation.last_transaction_time)},
          {"last_transaction_unix_us",
           optional_json(expectation.last_transaction_time, [](Timestamp time) { return time.unix_us; })}};
}

Result<Expectation> parse_expectation(const Json& json, const std::string& what) {
  const auto system = member<std::string>(json, "system_identifier");
  const auto system_number = system ? parse_decimal(*system) : std::nullopt;
  const auto size = SegmentSize::from_bytes(member<std::uint64_t>(json, "wal_segment_size").value_or(0));
  const auto timeline = member<std::uint64_t>(json, "timeline");
  const auto stop = lsn_member(json, "stop_lsn");
  const auto inclusive = member<bool>(json, "inclusive");
  const auto replay_end = lsn_member(json, "replay_end_lsn");
  if (!system_number || !size || !timeline || !stop || !inclusive || !replay_end) {
    return fail(ErrorKind::corrupt, fmt::format("{} does not say what the restore was to reach", what));
  }
  Expectation expectation{.identity = {*system_number, *size},
                          .timeline = TimelineId{static_cast<std::uint32_t>(*timeline)},
                          .stop = {*stop, *inclusive},
                          .replay_end = *replay_end,
                          .last_commit = commit_member(json, "last_commit"),
                          .next_commit = commit_member(json, "next_commit"),
                          .last_transaction_time = std::nullopt};
  if (const auto time_us = member<std::int64_t>(json, "last_transaction_unix_us")) {
    expectation.last_transaction_time = Timestamp{*time_us};
  }
  return expectation;
}

Json to_json(const Proof& proof) {
  const Reached& reached = proof.reached;
  Json timings = Json::object();
  for (const PhaseTiming& timing : proof.timings) timings[timing.phase + "_ms"] = timing.duration_us / 1000;
  return {{"verdict", proof.holds() ? "proven" : "mismatch"},
          {"differences", proof.differences},
          {"name", proof.name},
          {"directory", proof.directory},
          {"port", proof.port},
          {"target", proof.target},
          {"stage", proof.stage == ProofStage::paused ? "paused" : "promoted"},
          {"backup", proof.backup_id},
          {"expected", to_json(proof.expected)},
          {"reached",
           {{"system_identifier", std::to_string(reached.system_identifier)},
            {"promoted_without_pause", reached.promoted_without_pause},
            {"timeline", timeline_json(reached.timeline)},
            {"replay_lsn", lsn_json(reached.replay_lsn)},
            {"last_transaction_time", time_json(reached.last_transaction_time)},
            {"last_commit_status", status_json(reached.last_commit)},
            {"next_commit_status", status_json(reached.next_commit)},
            {"new_timeline", timeline_json(reached.new_timeline)},
            {"switch_point", lsn_json(reached.switch_point)}}},
          {"prepared_transactions", proof.curiosities.prepared_transactions},
          {"unlogged_tables", proof.curiosities.unlogged_tables},
          {"collation_versions_that_differ", proof.curiosities.collations},
          {"dropped_settings", proof.dropped_settings},
          {"tablespaces", to_json(proof.tablespaces)},
          {"warnings", proof.warnings},
          {"base_bytes", proof.base_bytes},
          {"wal_bytes", proof.wal_bytes},
          {"wal_segments", proof.wal_segments},
          {"timings", timings},
          {"written_at", to_rfc3339(proof.written_at)}};
}

}  // namespace walback
