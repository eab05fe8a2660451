#include <fmt/format.h>

#include "base/text.h"
#include "command/commands.h"
#include "command/row_json.h"
#include "command/session.h"
#include "restore/recoverable_window.h"

namespace walback {
namespace {

Status list_segments(Context& context, const ArchiveSession& session) {
  const SegmentSize size = session.archive.identity.segment_size;
  Json document = Json::array();
  std::string text = fmt::format("{:<26} {:>5} {:<9} {:<14} {:<14} {:>9} {:<28} {}\n", "SEGMENT", "EPOCH",
                                 "STATE", "START", "VALID END", "COMMITS", "LAST COMMIT OR ABORT", "PROBLEM");
  TRY(session.catalog.each_segment([&](const SegmentRow& row) {
    if (context.json) {
      document.push_back(to_json(row, size));
    } else {
      text +=
          fmt::format("{:<26} {:>5} {:<9} {:<14} {:<14} {:>9} {:<28} {}\n", file_name(row.name, size),
                      row.epoch, name_of(row.state), to_string(row.start_lsn), to_string(row.valid_end_lsn),
                      row.commits, row.last_time ? to_rfc3339(*row.last_time) : "-", row.problem);
    }
    return true;
  }));
  context.answer(document, text);
  return {};
}

/// The newest whose WAL is captured without a break: with which the recoverable window's last span ends.
Result<std::string> latest_usable(const ArchiveSession& session) {
  std::string latest;
  for (const BackupRow& backup : TRY(session.catalog.backups())) {
    if (!backup.problem.empty()) continue;
    const auto newest = TRY(session.catalog.newest_segment(backup.timeline));
    if (newest && newest->valid_end_lsn >= backup.stop_lsn) latest = backup.id;
  }
  return latest;
}

Status list_backups(Context& context, const ArchiveSession& session) {
  const std::string latest = TRY(latest_usable(session));
  Json document = Json::array();
  std::string text = fmt::format("  {:<20} {:>8} {:<14} {:<14} {:>10} {:<28} {}\n", "BACKUP", "TIMELINE",
                                 "START", "STOP", "SIZE", "FINISHED", "PROBLEM");
  for (const BackupRow& row : TRY(session.catalog.backups())) {
    Json json = to_json(row);
    json["latest_usable"] = row.id == latest;
    document.push_back(json);
    text += fmt::format("{} {:<20} {:>8} {:<14} {:<14} {:>10} {:<28} {}\n", row.id == latest ? "*" : " ",
                        row.id, row.timeline.value, to_string(row.start_lsn), to_string(row.stop_lsn),
                        render_bytes(row.size_bytes), to_rfc3339(row.finished_at), row.problem);
  }
  if (document.empty()) text = "no base backups; `walback backup` takes one";
  context.answer(document, text);
  return {};
}

Status list_timelines(Context& context, const ArchiveSession& session) {
  Json document = Json::array();
  std::string text = fmt::format("{:>8} {:<14} {:<14} {}\n", "TIMELINE", "FROM", "CAPTURED TO", "HISTORY");
  for (const TimelineRow& row : TRY(session.catalog.timelines())) {
    Json json = to_json(row);
    const auto oldest = TRY(session.catalog.oldest_segment(row.timeline));
    const auto newest = TRY(session.catalog.newest_segment(row.timeline));
    json["from_lsn"] = oldest ? Json(to_string(oldest->start_lsn)) : Json(nullptr);
    json["captured_to_lsn"] = newest ? Json(to_string(newest->valid_end_lsn)) : Json(nullptr);
    document.push_back(json);
    text += fmt::format(
        "{:>8} {:<14} {:<14} {}\n", row.timeline.value, oldest ? to_string(oldest->start_lsn) : "-",
        newest ? to_string(newest->valid_end_lsn) : "-",
        row.history_captured ? "captured" : (row.timeline.value == 1 ? "none needed" : "NOT captured"));
  }
  context.answer(document, text);
  return {};
}

Status list_restores(Context& context, const ArchiveSession& session) {
  Json document = Json::array();
  std::string text =
      fmt::format("{:<20} {:<10} {:<28} {:<40} {}\n", "NAME", "STATE", "STARTED", "TARGET", "ERROR");
  for (const RestoreRow& row : TRY(session.catalog.restores())) {
    document.push_back(to_json(row));
    text += fmt::format("{:<20} {:<10} {:<28} {:<40} {}\n", row.name, name_of(row.state),
                        to_rfc3339(row.started_at), row.target, row.error);
  }
  if (document.empty()) text = "no restores yet";
  context.answer(document, text);
  return {};
}

Status run_list(Context& context, const std::string& what) {
  const ArchiveSession session = TRY(open_fresh_archive(context));
  if (what == "segments") return list_segments(context, session);
  if (what == "backups") return list_backups(context, session);
  if (what == "timelines") return list_timelines(context, session);
  return list_restores(context, session);
}

}  // namespace

CommandSpec list_command() {
  return {.name = "list",
          .summary = "the catalog: segments, backups, timelines or restores",
          .endings = {ErrorKind::config, ErrorKind::not_found, ErrorKind::corrupt, ErrorKind::unavailable},
          .declare = [](CLI::App& app) -> Run {
            auto what = std::make_shared<std::string>();
            app.add_option("what", *what, "segments, backups, timelines or restores")
                ->required()
                ->check(CLI::IsMember({"segments", "backups", "timelines", "restores"}));
            return [what](Context& context) { return run_list(context, *what); };
          }};
}

}  // namespace walback
