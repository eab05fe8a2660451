#include "archive/timelines.h"

#include <algorithm>

#include "os/crash_point.h"

namespace walback {

Status Timelines::load(const Catalog& catalog) {
  for (const TimelineRow& row : TRY(catalog.timelines())) {
    noted_.insert(row.timeline);
    if (!row.history_captured) continue;
    if (auto parsed = parse_timeline_history(row.timeline, row.history))
      histories_[row.timeline] = std::move(*parsed);
  }
  return {};
}

std::vector<TimelineId> Timelines::missing(const std::vector<EpochFiles>& all) const {
  std::vector<TimelineId> missing;
  for (const auto& [timeline, history] : histories_) {
    const bool listed = std::ranges::any_of(all, [id = timeline](const EpochFiles& epoch) {
      return std::ranges::binary_search(epoch.histories, id);
    });
    if (timeline.value != 1 && !listed) missing.push_back(timeline);
  }
  return missing;
}

Status Timelines::take(Catalog& catalog, const EpochFiles& listed) {
  for (const TimelineId timeline : listed.histories) {
    const Path path = archive_.layout.epoch(listed.epoch) / history_file_name(timeline);
    const auto info = archive_.files.stat(path);
    if (!info && info.error().kind == ErrorKind::not_found) continue;
    const auto seen = seen_.find(path.string());
    if (seen != seen_.end() && seen->second == TRY(info).mtime_ns) continue;
    TRY(read(catalog, timeline, path));
    seen_[path.string()] = info->mtime_ns;
  }
  for (const SegmentFile& file : listed.segments) TRY(note(catalog, file.name.timeline));
  return {};
}

Status Timelines::read(Catalog& catalog, TimelineId timeline, const Path& path) {
  const std::string text = TRY(archive_.files.read(path));
  auto parsed = parse_timeline_history(timeline, text);
  if (!parsed) {
    say(timeline, path, parsed.error());
    return {};
  }
  const auto known = histories_.find(timeline);
  if (known != histories_.end() && !(known->second == *parsed)) {
    say(timeline, path,
        {ErrorKind::conflict, history_file_name(timeline) + " says something else in another epoch or before",
         "Two servers were promoted to the same timeline; the first history that was seen is used."});
    return {};
  }
  TRY(catalog.put_timeline({timeline, text, true}));
  crash_point("intake.timeline_taken");
  if (known == histories_.end())
    archive_.log.info("archive", "timeline_history_read",
                      {{key::timeline, std::to_string(timeline.value)}, {key::path, path.string()}});
  histories_[timeline] = std::move(*parsed);
  noted_.insert(timeline);
  return {};
}

void Timelines::say(TimelineId timeline, const Path& path, const Error& error) {
  archive_.log.error("archive", "timeline_history_refused",
                     {{key::timeline, std::to_string(timeline.value)},
                      {key::path, path.string()},
                      {key::error, error.message},
                      {key::hint, error.hint}});
}

Status Timelines::note(Catalog& catalog, TimelineId timeline) {
  if (noted_.contains(timeline)) return {};
  TRY(catalog.put_timeline({timeline, "", false}));
  noted_.insert(timeline);
  return {};
}

const TimelineHistory* Timelines::history(TimelineId timeline) const {
  const auto found = histories_.find(timeline);
  return found == histories_.end() ? nullptr : &found->second;
}

bool Timelines::has_ended(TimelineId timeline) const {
  return std::ranges::any_of(histories_,
                             [&](const auto& known) { return is_ancestor(known.second, timeline); });
}

TimelineStarts Timelines::starts() const {
  TimelineStarts starts;
  for (const auto& [timeline, history] : histories_)
    if (!history.entries.empty())
      starts[timeline] = {history.entries.back().timeline, history.entries.back().switch_lsn};
  return starts;
}

}  // namespace walback
