#include <fmt/format.h>

#include "backup/usable.h"
#include "base/text.h"
#include "command/commands.h"
#include "command/row_json.h"
#include "command/session.h"
#include "restore/clusters.h"

namespace walback {
namespace {

Status list_segments(Context& context, const ArchiveSession& session) {
  const SegmentSize size = session.archive.identity.segment_size;
  const auto line = [&](const auto&... cells) {
    return context.output.line(fmt::format("{:<26} {:>5} {:<9} {:<14} {:<14} {:>9} {:<28} {}", cells...));
  };
  if (context.json) {
    context.output.begin_items();
  } else {
    line("SEGMENT", "EPOCH", "STATE", "START", "VALID END", "COMMITS", "LAST COMMIT OR ABORT", "PROBLEM");
  }
  // There may be 100,000 of them.
  return session.catalog.each_segment([&](const SegmentRow& row) {
    if (context.stop.stop_requested()) return false;
    if (context.json) return context.output.item(to_json(row, size));
    return line(file_name(row.name, size), row.epoch, name_of(row.state), to_string(row.start_lsn),
                to_string(row.valid_end_lsn), row.commits, row.last_time ? to_rfc3339(*row.last_time) : "-",
                row.problem);
  });
}

Status list_backups(Context& context, const ArchiveSession& session) {
  const std::vector<BackupRow> backups = TRY(session.catalog.backups());
  std::vector<bool> usable;
  std::optional<std::size_t> latest;
  for (const BackupRow& backup : backups) {
    usable.push_back(TRY(is_usable(session.catalog, backup, session.archive.identity.segment_size)));
    if (usable.back()) latest = usable.size() - 1;
  }
  Json document = Json::array();
  std::string text = fmt::format("  {:<20} {:>8} {:<14} {:<14} {:>10} {:<28} {}\n", "BACKUP", "TIMELINE",
                                 "START", "STOP", "SIZE", "FINISHED", "PROBLEM");
  for (std::size_t i = 0; i < backups.size(); ++i) {
    const BackupRow& row = backups[i];
    Json json = to_json(row);
    json["usable"] = static_cast<bool>(usable[i]);
    json["latest_usable"] = latest == i;
    document.push_back(json);
    const std::string problem = !row.problem.empty() ? row.problem
                                : usable[i]          ? ""
                                                     : "not usable: the archive lacks WAL that it needs";
    text += fmt::format("{} {:<20} {:>8} {:<14} {:<14} {:>10} {:<28} {}\n", latest == i ? "*" : " ", row.id,
                        row.timeline.value, to_string(row.start_lsn), to_string(row.stop_lsn),
                        render_bytes(row.size_bytes), to_rfc3339(row.finished_at), problem);
  }
  if (latest) text += "* the latest usable one\n";
  if (backups.empty()) text = "no base backups; `walback backup` takes one";
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
  for (const RestoreRow& recorded : TRY(session.catalog.restores())) {
    const RestoreRow row = as_it_is(*context.files, recorded);
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
  if (what == "segments") {
    TRY(list_segments(context, session));
    if (context.stop.stop_requested()) return fail(ErrorKind::interrupted, "the list is not complete");
    return {};
  }
  if (what == "backups") return list_backups(context, session);
  if (what == "timelines") return list_timelines(context, session);
  return list_restores(context, session);
}

}  // namespace

CommandSpec list_command() {
  return {.name = "list",
          .summary = "the catalog: segments, backups, timelines or restores",
          .endings = {ErrorKind::config, ErrorKind::not_found, ErrorKind::corrupt, ErrorKind::unavailable,
                      ErrorKind::interrupted},
          .declare = [](CLI::App& app) -> Run {
            auto what = std::make_shared<std::string>();
            app.add_option("what", *what, "segments, backups, timelines or restores")
                ->required()
                ->type_name("")
                ->check(one_of({"segments", "backups", "timelines", "restores"}));
            return [what](Context& context) { return run_list(context, *what); };
          }};
}

}  // namespace walback
