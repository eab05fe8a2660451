#include "command/row_json.h"

namespace walback {
namespace {

/// A stored document, or null where there is none or it is damaged.
Json stored(const std::string& text) {
  if (text.empty()) return nullptr;
  auto json = parse_json(text, "a stored document");
  return json ? std::move(*json) : Json(nullptr);
}

std::string_view kind_name(TransactionEndKind kind) {
  switch (kind) {
    case TransactionEndKind::commit:
      return "commit";
    case TransactionEndKind::abort:
      return "abort";
    case TransactionEndKind::commit_prepared:
      return "commit_prepared";
    case TransactionEndKind::abort_prepared:
      return "abort_prepared";
  }
  return "commit";
}

}  // namespace

Json time_or_null(const std::optional<Timestamp>& time) {
  return time ? Json(to_rfc3339(*time)) : Json(nullptr);
}

Json lsn_or_null(const std::optional<Lsn>& lsn) {
  return lsn ? Json(to_string(*lsn)) : Json(nullptr);
}

Json to_json(const SegmentRow& row, SegmentSize size) {
  return {{"segment", file_name(row.name, size)},
          {"timeline", row.name.timeline.value},
          {"epoch", row.epoch},
          {"state", name_of(row.state)},
          {"start_lsn", to_string(row.start_lsn)},
          {"valid_end_lsn", to_string(row.valid_end_lsn)},
          {"first_record_lsn", lsn_or_null(row.first_record_lsn)},
          {"last_record_lsn", lsn_or_null(row.last_record_lsn)},
          {"size_bytes", row.size_bytes},
          {"records", row.records},
          {"commits", row.commits},
          {"aborts", row.aborts},
          {"first_time", time_or_null(row.first_time)},
          {"last_time", time_or_null(row.last_time)},
          {"problem", row.problem.empty() ? Json(nullptr) : Json(row.problem)}};
}

Json to_json(const BackupRow& row) {
  return {{"id", row.id},
          {"timeline", row.timeline.value},
          {"start_lsn", to_string(row.start_lsn)},
          {"checkpoint_lsn", to_string(row.checkpoint_lsn)},
          {"stop_lsn", to_string(row.stop_lsn)},
          {"started_at", to_rfc3339(row.started_at)},
          {"finished_at", to_rfc3339(row.finished_at)},
          {"size_bytes", row.size_bytes},
          {"server_version_num", row.server_version_num},
          {"tablespaces", row.tablespaces},
          {"problem", row.problem.empty() ? Json(nullptr) : Json(row.problem)}};
}

Json to_json(const TimelineRow& row) {
  return {
      {"timeline", row.timeline.value}, {"history_captured", row.history_captured}, {"history", row.history}};
}

Json to_json(const RestoreRow& row) {
  return {{"name", row.name},
          {"directory", row.directory},
          {"port", row.port},
          {"state", name_of(row.state)},
          {"target", row.target},
          {"started_at", to_rfc3339(row.started_at)},
          {"finished_at", time_or_null(row.finished_at)},
          {"error", row.error.empty() ? Json(nullptr) : Json(row.error)},
          {"plan", stored(row.plan)},
          {"proof", stored(row.proof)}};
}

Json to_json(const GapRow& row) {
  return {{"timeline", row.timeline.value},
          {"from_lsn", to_string(row.from)},
          {"to_lsn", to_string(row.to)},
          {"reason", row.reason},
          {"detected_at", to_rfc3339(row.detected_at)},
          {"accepted", row.accepted}};
}

Json to_json(const TransactionEnd& end) {
  Json dropped = Json::array();
  for (const DroppedRelation& relation : end.dropped_relations) {
    dropped.push_back({{"database", relation.database}, {"oid", relation.oid}});
  }
  Json files = Json::array();
  for (const RelationFiles& removed : end.removed_files) {
    files.push_back({{"tablespace", removed.tablespace},
                     {"database", removed.database},
                     {"relfilenode", removed.relfilenode}});
  }
  return {{"lsn", to_string(end.lsn)},    {"end_lsn", to_string(end.end_lsn)},
          {"time", to_rfc3339(end.time)}, {"xid", end.xid},
          {"kind", kind_name(end.kind)},  {"subxids", end.subxids},
          {"relations_dropped", dropped}, {"files_removed", files}};
}

}  // namespace walback
