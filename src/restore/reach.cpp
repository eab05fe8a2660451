#include "restore/reach.h"

#include <fmt/format.h>

#include <algorithm>

#include "wal/page.h"

namespace walback {
namespace {

Result<std::optional<ReachableMoment>> reachable_before(const WalPath& path, const std::vector<Reach>& spans,
                                                        Lsn around) {
  for (auto span = spans.rbegin(); span != spans.rend(); ++span) {
    if (span->from > around) continue;
    const auto commit = TRY(path.last_end_before(std::min(around, span->to), /*commits_only=*/true));
    if (commit && commit->lsn >= span->from)
      return ReachableMoment{commit->lsn, commit->time, fmt::format("--to-lsn {}", to_string(commit->lsn))};
    return ReachableMoment{span->from, span->from_time,
                           fmt::format("--to-lsn {} --before", to_string(span->from))};
  }
  return std::nullopt;
}

Result<std::optional<ReachableMoment>> reachable_after(const WalPath& path, const std::vector<Reach>& spans,
                                                       Lsn around) {
  for (const auto& span : spans) {
    if (span.from > around)
      return ReachableMoment{span.from, span.from_time,
                             fmt::format("--to-lsn {} --before", to_string(span.from))};
    if (around >= span.to) continue;
    const auto commit = TRY(path.first_end_at_or_after(around, /*commits_only=*/true));
    if (commit && commit->lsn < span.to)
      return ReachableMoment{commit->lsn, commit->time, fmt::format("--to-lsn {}", to_string(commit->lsn))};
  }
  return std::nullopt;
}

std::string in_words(const std::optional<ReachableMoment>& before,
                     const std::optional<ReachableMoment>& after) {
  const auto one = [](const ReachableMoment& moment) {
    return fmt::format("{} with {}", moment_text(moment.lsn, moment.time), moment.options);
  };
  if (before && after)
    return fmt::format("Reachable nearby: before it {}, after it {}.", one(*before), one(*after));
  if (before) return fmt::format("The last reachable moment before it is {}.", one(*before));
  if (after) return fmt::format("The first reachable moment after it is {}.", one(*after));
  return {};
}

}  // namespace

std::string moment_text(Lsn lsn, std::optional<Timestamp> time) {
  return time ? fmt::format("{} ({})", to_string(lsn), to_rfc3339(*time)) : to_string(lsn);
}

bool on_path(const WalPath& path, const BackupRow& backup) {
  return std::ranges::any_of(path.parts, [&](const PathPart& part) {
    return part.range.timeline == backup.timeline && backup.stop_lsn <= part.switch_lsn.value_or(kMaxLsn);
  });
}

std::optional<Obstacle> first_obstacle(const std::vector<Obstacle>& obstacles, Lsn from, Lsn to) {
  for (const auto& obstacle : obstacles)
    if (obstacle.from < to && from < obstacle.to) return obstacle;
  return std::nullopt;
}

Result<Timestamp> consistent_time(const WalPath& path, const std::vector<Obstacle>& obstacles,
                                  const BackupRow& backup) {
  Lsn known_from;
  for (const auto& obstacle : obstacles)
    if (obstacle.from < backup.stop_lsn) known_from = std::max(known_from, obstacle.to);
  const auto end = TRY(path.last_end_before(backup.stop_lsn, /*commits_only=*/false));
  return end && end->lsn >= known_from ? end->time : backup.finished_at;
}

Result<std::vector<Reach>> reaches(const WalPath& path, const std::vector<BackupRow>& backups) {
  const auto newest = path.last_part_with_records();
  if (!newest) return std::vector<Reach>{};
  const auto size = path.identity.segment_size;
  const auto obstacles = path.obstacles(path.parts.size() - 1);
  const Lsn captured = path.parts[*newest].last_record->end;
  auto by_stop = backups;
  std::ranges::sort(by_stop, {}, &BackupRow::stop_lsn);
  std::vector<Reach> found;
  for (const auto& backup : by_stop) {
    const bool captured_whole = skip_page_header(backup.stop_lsn, size) <= captured &&
                                !first_obstacle(obstacles, backup.start_lsn, backup.stop_lsn);
    if (!backup.problem.empty() || !on_path(path, backup) || !captured_whole) continue;
    const auto obstacle = first_obstacle(obstacles, backup.stop_lsn, kMaxLsn);
    const Lsn to = obstacle ? std::min(obstacle->from, captured) : captured;
    if (!found.empty() && found.back().to == to) continue;
    found.push_back({backup, backup.stop_lsn, to, TRY(consistent_time(path, obstacles, backup))});
  }
  return found;
}

Result<Refusal> with_nearest(const Refused& refused, const WalPath& path,
                             const std::vector<BackupRow>& backups) {
  Refusal refusal{refused.error, {}, {}};
  if (!refused.around) return refusal;
  const auto spans = TRY(reaches(path, backups));
  refusal.before = TRY(reachable_before(path, spans, *refused.around));
  refusal.after = TRY(reachable_after(path, spans, *refused.around));
  auto& hint = refusal.error.hint;
  const auto words = in_words(refusal.before, refusal.after);
  if (!hint.empty() && !words.empty()) hint += ' ';
  hint += words;
  return refusal;
}

}  // namespace walback
