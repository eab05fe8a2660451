#include "archive/capture_end.h"

#include <algorithm>

namespace walback {

Result<std::optional<CaptureEnd>> capture_end(const Catalog& catalog) {
  auto timelines = TRY(catalog.timelines());
  std::ranges::sort(timelines, std::ranges::greater{}, &TimelineRow::timeline);
  for (const TimelineRow& row : timelines) {
    const auto newest = TRY(catalog.newest_segment(row.timeline));
    if (!newest) continue;
    CaptureEnd end{newest->valid_end_lsn, {}};
    if (const auto last = TRY(catalog.last_end_before({row.timeline, {}, end.lsn}, /*commits_only=*/true)))
      end.last_commit = last->time;
    return std::optional{end};
  }
  return std::optional<CaptureEnd>{};
}

std::string nothing_after(const std::optional<CaptureEnd>& end) {
  if (!end) return "nothing is captured";
  std::string text = "nothing after " + to_string(end->lsn) + " is captured";
  if (end->last_commit) text += " (the last commit before it: " + to_rfc3339(*end->last_commit) + ")";
  return text;
}

}  // namespace walback
