#include <fmt/format.h>

#include "base/text.h"
#include "restore/plan.h"
#include "restore/target_time.h"

namespace walback {
namespace {

std::string describe(const std::optional<TransactionEnd>& commit, std::string_view zone,
                     std::string_view none) {
  if (!commit) return std::string(none);
  return fmt::format("transaction {} at {}, {}", commit->xid, to_string(commit->lsn),
                     describe_time(commit->time, zone));
}

std::string describe_segments(const RestorePlan& plan) {
  if (plan.segments.empty()) return "none";
  const auto size = plan.identity.segment_size;
  const auto& first = plan.segments.front();
  const auto& last = plan.segments.back();
  const auto last_name = last.state == SegmentState::finished
                             ? file_name({last.timeline, last.last}, size)
                             : partial_file_name({last.timeline, last.last}, size);
  if (plan.segment_count == 1) return last_name;
  return fmt::format("{}, from {} to {}", plan.segment_count, file_name({first.timeline, first.first}, size),
                     last_name);
}

Json to_json(const std::optional<TransactionEnd>& commit) {
  if (!commit) return nullptr;
  return Json{{"lsn", to_string(commit->lsn)},
              {"end_lsn", to_string(commit->end_lsn)},
              {"time", to_rfc3339(commit->time)},
              {"xid", commit->xid}};
}

Json to_json(const RecoveryTarget& target) {
  Json json{{"kind", name_of(target.kind)}};
  if (target.kind == TargetKind::time) json["time"] = to_rfc3339(target.time);
  if (target.kind == TargetKind::lsn) json["lsn"] = to_string(target.lsn);
  if (target.kind == TargetKind::xid) json["xid"] = target.xid;
  if (target.kind == TargetKind::name) json["name"] = target.name;
  json["before"] = target.before;
  json["timeline"] = target.timeline ? Json(target.timeline->value) : Json(nullptr);
  json["text"] = to_string(target);
  json["options"] = to_options(target);
  return json;
}

Json to_json(const BackupRow& backup) {
  return Json{{"id", backup.id},
              {"timeline", backup.timeline.value},
              {"start_lsn", to_string(backup.start_lsn)},
              {"stop_lsn", to_string(backup.stop_lsn)},
              {"finished_at", to_rfc3339(backup.finished_at)},
              {"size_bytes", backup.size_bytes},
              {"tablespaces", backup.tablespaces}};
}

Json to_json(const SegmentRun& run, SegmentSize size) {
  return Json{{"timeline", run.timeline.value},
              {"first", file_name({run.timeline, run.first}, size)},
              {"last", file_name({run.timeline, run.last}, size)},
              {"count", run.last.value - run.first.value + 1},
              {"epoch", run.epoch},
              {"state", name_of(run.state)}};
}

Json to_json(const std::optional<ReachableMoment>& moment) {
  if (!moment) return nullptr;
  return Json{{"lsn", to_string(moment->lsn)},
              {"time", moment->time ? Json(to_rfc3339(*moment->time)) : Json(nullptr)},
              {"options", moment->options}};
}

}  // namespace

Json to_json(const RestorePlan& plan) {
  Json json{{"target", to_json(plan.target)},
            {"backup", to_json(plan.backup)},
            {"timeline", plan.timeline.value},
            {"stop", {{"lsn", to_string(plan.stop.lsn)}, {"inclusive", plan.stop.inclusive}}},
            {"expected_end", plan.expected_end ? Json(to_string(*plan.expected_end)) : Json(nullptr)},
            {"last_commit", to_json(plan.last_commit)},
            {"next_commit", to_json(plan.next_commit)},
            {"commit_at_stop", to_json(plan.commit_at_stop)}};
  auto& wal = json["wal"] = Json{{"segments", plan.segment_count}, {"bytes", plan.wal_bytes}};
  wal["runs"] = Json::array();
  for (const auto& run : plan.segments) wal["runs"].push_back(to_json(run, plan.identity.segment_size));
  json["settings"] = Json{{"max_connections", plan.settings.max_connections},
                          {"max_worker_processes", plan.settings.max_worker_processes},
                          {"max_wal_senders", plan.settings.max_wal_senders},
                          {"max_prepared_transactions", plan.settings.max_prepared_transactions},
                          {"max_locks_per_transaction", plan.settings.max_locks_per_transaction}};
  json["tablespaces_created"] = Json::array();
  for (const auto& created : plan.tablespaces_created)
    json["tablespaces_created"].push_back(
        Json{{"lsn", to_string(created.lsn)},
             {"oid", created.oid},
             {"path", created.path},
             {"time", created.time ? Json(to_rfc3339(*created.time)) : Json(nullptr)}});
  json["warnings"] = Json::array();
  for (const auto& warning : plan.warnings)
    json["warnings"].push_back(Json{{"code", warning.code}, {"message", warning.message}});
  return json;
}

Json to_json(const Refusal& refusal) {
  return Json{{"error",
               {{"kind", name_of(refusal.error.kind)},
                {"message", refusal.error.message},
                {"hint", refusal.error.hint}}},
              {"nearest", {{"before", to_json(refusal.before)}, {"after", to_json(refusal.after)}}}};
}

std::string render_text(const RestorePlan& plan, std::string_view zone) {
  const auto line = [](std::string_view label, std::string_view what) {
    return fmt::format("{:<12} {}\n", label, what);
  };
  std::string text =
      line("target", plan.target.kind == TargetKind::time
                         ? (plan.target.before ? "before " : "") + describe_time(plan.target.time, zone)
                         : to_string(plan.target));
  text +=
      line("base backup", fmt::format("{} ({}, consistent at {}, finished {})", plan.backup.id,
                                      render_bytes(plan.backup.size_bytes), to_string(plan.backup.stop_lsn),
                                      describe_time(plan.backup.finished_at, zone)));
  text += line("segments", describe_segments(plan));
  text += line("WAL",
               fmt::format("{} to replay on timeline {}", render_bytes(plan.wal_bytes), plan.timeline.value));
  text += line("stop", fmt::format("{} the record at {}", plan.stop.inclusive ? "with" : "just before",
                                   to_string(plan.stop.lsn)));
  text += line("last commit", describe(plan.last_commit, zone, "none is captured before the stop"));
  text += line("next commit", describe(plan.next_commit, zone, "none is captured after the stop"));
  for (const auto& created : plan.tablespaces_created)
    text += line("tablespace",
                 fmt::format("'{}' is created by the WAL at {}",
                             created.in_place() ? fmt::format("pg_tblspc/{}", created.oid) : created.path,
                             to_string(created.lsn)));
  for (const auto& warning : plan.warnings) text += line("warning", warning.message);
  return text;
}

}  // namespace walback
