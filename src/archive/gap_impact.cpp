#include "archive/gap_impact.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "wal/timeline_history.h"

namespace walback {
namespace {

constexpr std::size_t kNamedAtMost = 3;
constexpr Lsn kMaxLsn{UINT64_MAX};

/// Where the way from `ancestor` to `timeline` leaves it. Nothing: it is no ancestor; the timeline itself is
/// never left.
std::optional<Lsn> leaves_at(TimelineId ancestor, TimelineId timeline, const TimelineStarts& starts) {
  Lsn leaves = kMaxLsn;
  while (timeline != ancestor) {
    const auto start = starts.find(timeline);
    if (start == starts.end()) return std::nullopt;
    leaves = start->second.switch_lsn;
    timeline = start->second.parent;
  }
  return leaves;
}

/// cut_short: before it, on its history. swallowed: the gap has WAL of its own range. beyond: what comes
/// after this base backup does not need the gap. unrelated: of another branch.
enum class Place : std::uint8_t { cut_short, swallowed, beyond, unrelated };

Place place_of(const BackupRow& backup, const GapRow& gap, const TimelineStarts& starts) {
  if (const auto leaves = leaves_at(backup.timeline, gap.timeline, starts)) {
    if (backup.start_lsn >= *leaves) return Place::unrelated;
    if (backup.timeline == gap.timeline && backup.start_lsn >= gap.to) return Place::beyond;
    return backup.stop_lsn <= gap.from ? Place::cut_short : Place::swallowed;
  }
  return leaves_at(gap.timeline, backup.timeline, starts) ? Place::beyond : Place::unrelated;
}

TimelineStarts starts_of(const std::vector<TimelineRow>& rows) {
  TimelineStarts starts;
  for (const TimelineRow& row : rows) {
    const auto history =
        row.history_captured ? parse_timeline_history(row.timeline, row.history) : Result<TimelineHistory>{};
    if (history && !history->entries.empty())
      starts[row.timeline] = {history->entries.back().timeline, history->entries.back().switch_lsn};
  }
  return starts;
}

std::string between(const GapImpact& impact) {
  if (!impact.last_before && !impact.first_behind) return "";
  if (!impact.first_behind) return fmt::format(" (after {})", to_rfc3339(*impact.last_before));
  if (!impact.last_before) return fmt::format(" (before {})", to_rfc3339(*impact.first_behind));
  return fmt::format(" (after {}, before {})", to_rfc3339(*impact.last_before),
                     to_rfc3339(*impact.first_behind));
}

}  // namespace

std::vector<GapImpact> judge_gaps(const std::vector<GapRow>& gaps, const std::vector<BackupRow>& backups,
                                  const TimelineStarts& starts) {
  const auto swallowed = [&](const BackupRow& backup) {
    return std::ranges::any_of(
        gaps, [&](const GapRow& gap) { return place_of(backup, gap, starts) == Place::swallowed; });
  };
  std::vector<GapImpact> impacts;
  for (const GapRow& gap : gaps) {
    GapImpact impact;
    impact.gap = gap;
    for (const BackupRow& backup : backups) {
      const Place place = place_of(backup, gap, starts);
      if (place == Place::cut_short) impact.cut_short.push_back(backup.id);
      if (place == Place::swallowed) impact.unusable.push_back(backup.id);
      if (place != Place::beyond || !backup.problem.empty() || swallowed(backup)) continue;
      if (!impact.renewed_by || backup.finished_at < impact.renewed_by->finished_at)
        impact.renewed_by = {backup.id, backup.finished_at};
    }
    impacts.push_back(std::move(impact));
  }
  return impacts;
}

Result<std::vector<GapImpact>> gap_impacts(const Catalog& catalog) {
  const auto gaps = TRY(catalog.gaps());
  if (gaps.empty()) return std::vector<GapImpact>{};
  auto impacts = judge_gaps(gaps, TRY(catalog.backups()), starts_of(TRY(catalog.timelines())));
  for (GapImpact& impact : impacts) {
    const TimelineId timeline = impact.gap.timeline;
    if (const auto end = TRY(catalog.last_end_before({timeline, Lsn{}, impact.gap.from}, false)))
      impact.last_before = end->time;
    if (const auto end = TRY(catalog.first_end_at_or_after({timeline, impact.gap.to, kMaxLsn}, false)))
      impact.first_behind = end->time;
  }
  return impacts;
}

std::string name_backups(const std::vector<std::string>& ids) {
  if (ids.size() > kNamedAtMost)
    return fmt::format("{} base backups, from {} to {}", ids.size(), ids.front(), ids.back());
  if (ids.size() < 2) return "base backup " + join(ids, "");
  const std::vector<std::string> all_but_last(ids.begin(), ids.end() - 1);
  return "base backups " + join(all_but_last, ", ") + " and " + ids.back();
}

std::string describe(const GapImpact& impact) {
  std::string text = fmt::format("every moment from {} to {}{} is out of reach", to_string(impact.gap.from),
                                 to_string(impact.gap.to), between(impact));
  if (!impact.cut_short.empty())
    text += fmt::format("; {} reach{} only up to {}", name_backups(impact.cut_short),
                        impact.cut_short.size() == 1 ? "es" : "", to_string(impact.gap.from));
  if (!impact.unusable.empty())
    text += fmt::format("; {} {} unusable", name_backups(impact.unusable),
                        impact.unusable.size() == 1 ? "is" : "are");
  if (!impact.renewed_by) return text + "; protection is missing until a new base backup is finished";
  return text + fmt::format("; protected again since {}, by base backup {}",
                            to_rfc3339(impact.renewed_by->finished_at), impact.renewed_by->backup);
}

}  // namespace walback
