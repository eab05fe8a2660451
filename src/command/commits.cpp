#include <fmt/format.h>

#include <limits>

#include "base/text.h"
#include "command/commands.h"
#include "command/row_json.h"
#include "command/session.h"
#include "restore/recovery_target.h"
#include "restore/target_time.h"
#include "wal/timeline_history.h"

namespace walback {
namespace {

struct Options {
  std::string from, to, timeline;
  bool drops = false;
};

/// One end of the range: a position where there is a slash, else a time.
struct Bound {
  std::optional<Lsn> lsn;
  std::optional<Timestamp> time;
};

Result<Bound> parse_bound(const std::string& text, const Context& context, const std::string& zone) {
  Bound bound;
  if (text.empty()) return bound;
  if (text.find('/') != std::string::npos && text.find(' ') == std::string::npos &&
      text.find(':') == std::string::npos) {
    bound.lsn = TRY(parse_target_lsn(text));
  } else {
    bound.time = TRY(parse_target_time(text, zone, context.clock->now())).time;
  }
  return bound;
}

/// The timeline's whole history, oldest part first, from its parents on.
Result<std::vector<WalRange>> history_of(const Catalog& catalog, const std::string& wanted) {
  std::vector<TimelineRow> timelines = TRY(catalog.timelines());
  if (timelines.empty())
    return fail(ErrorKind::not_found, "the archive holds no WAL yet", "Is `walback run` running?");
  TimelineRow chosen = timelines.back();
  if (!wanted.empty()) {
    const TimelineId id = TRY(parse_target_timeline(wanted));
    const auto found = std::find_if(timelines.begin(), timelines.end(),
                                    [&](const TimelineRow& row) { return row.timeline == id; });
    if (found == timelines.end()) {
      return fail(ErrorKind::not_found, fmt::format("timeline {} is not in the archive", id.value),
                  "`walback list timelines` shows those that are.");
    }
    chosen = *found;
  }
  const TimelineHistory history = TRY(parse_timeline_history(chosen.timeline, chosen.history));
  std::vector<WalRange> ranges;
  for (const TimelineRange& range : ranges_of(history)) {
    ranges.push_back(
        {range.timeline, range.begin, range.end.value_or(Lsn{std::numeric_limits<std::int64_t>::max()})});
  }
  return ranges;
}

std::string removed_text(const TransactionEnd& end) {
  std::vector<std::string> parts;
  for (const DroppedRelation& relation : end.dropped_relations) {
    parts.push_back(fmt::format("dropped {}/{}", relation.database, relation.oid));
  }
  if (parts.empty() && !end.removed_files.empty()) {
    parts.push_back(fmt::format("{} files removed (truncate or rewrite)", end.removed_files.size()));
  }
  return join(parts, ", ");
}

Status run_commits(Context& context, const Options& options) {
  const ArchiveSession session = TRY(open_fresh_archive(context));
  const std::string& zone = session.config.time_zone;
  const Bound from = TRY(parse_bound(options.from, context, zone));
  const Bound to = TRY(parse_bound(options.to, context, zone));
  const std::vector<WalRange> history = TRY(history_of(session.catalog, options.timeline));
  if (context.json) {
    context.output.begin_items();
  } else {
    context.say(fmt::format("{:<14} {:<14} {:<28} {:>10}  {}", "LSN", "END LSN", "TIME", "XID", "RELATIONS"));
  }
  // Commits may be millions: each is written as it is read, and none is held.
  bool any = false;
  const auto visit = [&](const TransactionEnd& end) {
    if (context.stop.stop_requested()) return false;
    if (!is_commit(end.kind)) return true;
    if (from.time && end.time < *from.time) return true;
    if (to.time && end.time > *to.time) return true;
    if (options.drops && end.removed_files.empty()) return true;
    any = true;
    if (context.json) return context.output.item(to_json(end));
    return context.output.line(fmt::format("{:<14} {:<14} {:<28} {:>10}  {}", to_string(end.lsn),
                                           to_string(end.end_lsn), to_rfc3339(end.time), end.xid,
                                           removed_text(end)));
  };
  for (WalRange range : history) {
    if (from.lsn && *from.lsn > range.from) range.from = *from.lsn;
    if (to.lsn && *to.lsn < range.to) range.to = *to.lsn;
    if (range.from < range.to) TRY(session.catalog.each_end(range, visit));
  }
  if (context.stop.stop_requested()) return fail(ErrorKind::interrupted, "the list is not complete");
  if (!any && !context.json) context.say("no such commits");
  return {};
}

}  // namespace

CommandSpec commits_command() {
  return {.name = "commits",
          .summary = "the commits in the captured WAL: where, when, which transaction, what it dropped",
          .endings = {ErrorKind::config, ErrorKind::not_found, ErrorKind::corrupt, ErrorKind::unavailable,
                      ErrorKind::interrupted},
          .declare = [](CLI::App& app) -> Run {
            auto options = std::make_shared<Options>();
            app.add_option("--from", options->from, "a time, or an LSN (it has a slash): not before this");
            app.add_option("--to", options->to, "a time (included), or an LSN (excluded)");
            app.add_option("--timeline", options->timeline, "its history (else the newest timeline's)");
            app.add_flag("--drops", options->drops,
                         "only commits that removed a relation's files: DROP, TRUNCATE, rewrites");
            return [options](Context& context) { return run_commits(context, *options); };
          }};
}

}  // namespace walback
