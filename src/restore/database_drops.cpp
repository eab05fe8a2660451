#include "restore/database_drops.h"

#include <fmt/format.h>

#include <algorithm>

namespace walback {
namespace {

/// Whether a transaction of this xid ends between the removal and the stop.
Result<bool> ended_before_stop(const WalPath& path, const MomentRow& drop, Lsn boundary) {
  const auto found = TRY(path.catalog->find_xid(drop.xid));
  return std::ranges::any_of(found, [&](const Catalog::FoundEnd& one) {
    return path.part_of(one.timeline, one.end.lsn) && one.end.lsn > drop.lsn && one.end.lsn < boundary;
  });
}

bool may_move(const RecoveryTarget& target) {
  return target.kind == TargetKind::time || (target.kind == TargetKind::xid && target.before);
}

}  // namespace

Status mind_database_drops(ResolvedStop& at, const RecoveryTarget& target, const WalPath& path,
                           const BackupRow& backup) {
  const auto drops = TRY(path.moments(backup.start_lsn, at.boundary(), MomentKind::database_dropped));
  for (const auto& drop : drops) {
    if (drop.lsn >= at.boundary() || TRY(ended_before_stop(path, drop, at.boundary()))) continue;
    const auto later_end = TRY(path.first_end_at_or_after(drop.lsn, /*commits_only=*/false));
    const bool nothing_between = !later_end || later_end->lsn >= at.boundary();
    if (may_move(target) && nothing_between && drop.lsn >= backup.stop_lsn) {
      auto moved = stop_at_record(path, path.part_at(drop.lsn), drop.lsn, drop.end_lsn, /*inclusive=*/false);
      moved.warnings = std::move(at.warnings);
      at = std::move(moved);
      at.warnings.push_back(
          {"before_database_drop",
           fmt::format("the stop lies before the DROP DATABASE record at {}: its files would be "
                       "gone before transaction {} commits",
                       to_string(drop.lsn), drop.xid)});
      return {};
    }
    at.warnings.push_back(
        {"database_files_removed",
         fmt::format("transaction {} removed a database's files at {} and has not committed at the "
                     "stop: that database is listed and cannot be opened; --to-lsn {} --before "
                     "keeps it",
                     drop.xid, to_string(drop.lsn), to_string(drop.lsn))});
  }
  return {};
}

}  // namespace walback
