#include "restore/choose_backup.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "wal/page.h"

namespace walback {
namespace {

constexpr std::string_view kListBackups =
    "`walback list backups` shows them; `walback backup` takes a new one.";

tl::unexpected<Refused> none_usable(const std::vector<BackupRow>& backups) {
  if (backups.empty())
    return refuse(ErrorKind::not_found, "the archive holds no base backup",
                  "Take one with `walback backup`: only moments after it can be restored.");
  std::vector<std::string> why;
  for (const auto& backup : backups) why.push_back(fmt::format("'{}' ({})", backup.id, backup.problem));
  return refuse(ErrorKind::not_found, fmt::format("no base backup is usable: {}", join(why, ", ")),
                std::string(kListBackups));
}

tl::unexpected<Refused> none_on_path(const std::vector<BackupRow>& sound, const WalPath& path) {
  const auto& newest = sound.back();
  return refuse(
      ErrorKind::not_found,
      fmt::format("no base backup lies on the path of timeline {}: the newest, '{}', is on timeline {} at {}",
                  path.timeline.value, newest.id, newest.timeline.value, to_string(newest.stop_lsn)),
      fmt::format("Add --timeline {} to restore on that path, or take a base backup with `walback backup`.",
                  newest.timeline.value));
}

Result<Refused> before_the_first(const RecoveryTarget& target, const ResolvedStop& at, const WalPath& path,
                                 const BackupRow& first) {
  const auto when = TRY(consistent_time(path, path.obstacles(path.parts.size() - 1), first));
  const auto where = target.kind == TargetKind::lsn
                         ? to_string(target)
                         : fmt::format("{} (at {})", to_string(target), to_string(at.stop.lsn));
  return Refused{Error{ErrorKind::not_found,
                       fmt::format("{} lies before the first consistent point, {} of base backup '{}'", where,
                                   moment_text(first.stop_lsn, when), first.id),
                       {}},
                 at.boundary()};
}

/// Where the WAL before `lsn` was last interrupted.
Obstacle last_interruption(const std::vector<Obstacle>& obstacles, Lsn lsn) {
  Obstacle last;
  for (const auto& obstacle : obstacles)
    if (obstacle.from < lsn && obstacle.to >= last.to) last = obstacle;
  return last;
}

}  // namespace

tl::unexpected<Refused> in_the_way(const RecoveryTarget& target, const Obstacle& obstacle) {
  const bool damaged = obstacle.kind == ErrorKind::corrupt;
  return refuse(obstacle.kind,
                fmt::format("{} needs WAL that is {}: {} ({} to {})", to_string(target),
                            damaged ? "damaged" : "not in the archive", obstacle.what,
                            to_string(obstacle.from), to_string(obstacle.to)),
                {}, obstacle.from);
}

OrRefused<BackupRow> choose_backup(const RecoveryTarget& target, const ResolvedStop& at, const WalPath& path,
                                   const std::vector<BackupRow>& backups) {
  std::vector<BackupRow> sound, here;
  std::ranges::copy_if(backups, std::back_inserter(sound),
                       [](const auto& row) { return row.problem.empty(); });
  if (sound.empty()) return none_usable(backups);
  std::ranges::copy_if(sound, std::back_inserter(here), [&](const auto& row) { return on_path(path, row); });
  if (here.empty()) return none_on_path(sound, path);
  std::ranges::sort(here, {}, &BackupRow::stop_lsn);

  const auto size = path.identity.segment_size;
  const auto obstacles = path.obstacles(at.part);
  std::optional<Obstacle> first;
  for (auto backup = here.rbegin(); backup != here.rend(); ++backup) {
    if (skip_page_header(backup->stop_lsn, size) > skip_page_header(at.boundary(), size)) continue;
    const auto obstacle = first_obstacle(obstacles, backup->start_lsn, at.needs_wal_to);
    if (!obstacle) return *backup;
    if (!first) first = obstacle;
  }
  if (first) return in_the_way(target, *first);
  return tl::unexpected(TRY(before_the_first(target, at, path, here.front())));
}

tl::expected<void, Refused> check_time_is_known(const RecoveryTarget& target, const ResolvedStop& at,
                                                const WalPath& path, const std::vector<BackupRow>& backups) {
  if (target.kind != TargetKind::time) return {};
  const auto obstacles = path.obstacles(at.part);
  const auto interruption = last_interruption(obstacles, at.boundary());
  const auto end = TRY(path.last_end_before(at.boundary(), /*commits_only=*/false));
  if (end && end->lsn >= interruption.to) return {};
  const BackupRow* earliest = nullptr;
  for (const auto& backup : backups) {
    const bool counts = backup.problem.empty() && on_path(path, backup) &&
                        backup.start_lsn >= interruption.to && backup.stop_lsn <= at.boundary();
    if (counts && (earliest == nullptr || backup.finished_at < earliest->finished_at)) earliest = &backup;
  }
  if (earliest != nullptr && earliest->finished_at <= target.time) return {};
  const auto known = earliest == nullptr ? std::string("nothing behind it")
                                         : fmt::format("base backup '{}', finished at {},", earliest->id,
                                                       to_rfc3339(earliest->finished_at));
  return refuse(ErrorKind::not_found,
                fmt::format("what was committed at {} is not known: {}, and {} is the first that is",
                            to_string(target), interruption.what, known),
                {}, interruption.from);
}

}  // namespace walback
