#include "command/retention_facts.h"

#include <algorithm>

#include "archive/wal_directory.h"
#include "backup/usable.h"
#include "catalog/archive.h"
#include "command/backup_soundness.h"
#include "restore/clusters.h"

namespace walback {
namespace {

constexpr std::int64_t kDayUs = 86'400'000'000;

/// The base backup's id in a running restore's plan, with the restore's name.
Result<std::map<std::string, std::string>> backups_of_running_restores(const ArchiveSession& session) {
  std::map<std::string, std::string> used;
  for (const RestoreRow& recorded : TRY(session.catalog.restores())) {
    const RestoreRow row = as_it_is(session.archive.files, recorded);
    if (row.state != RestoreState::running) continue;
    const auto plan = parse_json(row.plan, "a restore's plan");
    if (!plan || !plan->contains("backup")) continue;
    if (const auto id = member<std::string>((*plan)["backup"], "id")) used[*id] = row.name;
  }
  return used;
}

Result<std::vector<RetentionBackup>> judged_backups(const ArchiveSession& session) {
  const auto used = TRY(backups_of_running_restores(session));
  // What the catalog knows of their files may be long ago: what counts must be there now.
  TRY(readmit_mended_backups(session));
  for (const BackupRow& row : TRY(session.catalog.backups()))
    if (row.problem.empty()) TRY(is_sound(session, row));
  std::vector<RetentionBackup> backups;
  for (const BackupRow& row : TRY(session.catalog.backups())) {
    RetentionBackup backup{row, row.problem, ""};
    if (backup.unusable_because.empty() &&
        !TRY(is_usable(session.catalog, row, session.archive.identity.segment_size)))
      backup.unusable_because = "the archive does not hold all of its WAL";
    if (const auto restore = used.find(row.id); restore != used.end()) backup.restore = restore->second;
    backups.push_back(std::move(backup));
  }
  return backups;
}

Result<std::optional<Timestamp>> newest_known_moment(const Catalog& catalog,
                                                     const std::vector<TimelineRow>& timelines) {
  std::optional<Timestamp> newest;
  for (const TimelineRow& row : timelines) {
    const auto commit = TRY(catalog.last_end_before({row.timeline, {}, {UINT64_MAX}}, true));
    if (commit) newest = std::max(newest, std::optional(commit->time));
    const auto watermark = TRY(catalog.newest_watermark(row.timeline));
    if (watermark) newest = std::max(newest, std::optional(watermark->time));
  }
  return newest;
}

Status add_days(RetentionInput& input, const ArchiveSession& session, std::uint64_t days,
                const std::vector<TimelineRow>& timelines) {
  const Timestamp now = session.archive.clock.now();
  const Timestamp newest = std::min(now, TRY(newest_known_moment(session.catalog, timelines)).value_or(now));
  input.since = Timestamp{newest.unix_us - static_cast<std::int64_t>(days) * kDayUs};
  for (const TimelineRow& row : timelines) {
    const WalRange all{row.timeline, {}, {UINT64_MAX}};
    if (const auto end = TRY(session.catalog.first_end_stamped_after(all, *input.since)))
      input.since_lsn[row.timeline] = end->lsn;
  }
  return {};
}

Result<std::optional<SegmentName>> newest_captured(const ArchiveContext& archive) {
  std::optional<SegmentName> newest;
  const auto epochs = TRY(list_epochs(archive.files, archive.layout)).numbers;
  if (epochs.empty()) return newest;
  const auto listed =
      TRY(list_epoch(archive.files, archive.layout, epochs.back(), archive.identity.segment_size));
  for (const SegmentFile& file : listed.segments)
    if (!newest || file.name.number > newest->number ||
        (file.name.number == newest->number && file.name.timeline > newest->timeline))
      newest = file.name;
  return newest;
}

}  // namespace

Result<RetentionInput> retention_facts(const ArchiveSession& session, std::uint64_t keep,
                                       std::optional<std::uint64_t> days) {
  RetentionInput input{.keep = keep, .size = session.archive.identity.segment_size};
  input.backups = TRY(judged_backups(session));
  input.newest_captured = TRY(newest_captured(session.archive));
  const std::vector<TimelineRow> timelines = TRY(session.catalog.timelines());
  for (const TimelineRow& row : timelines) {
    const auto oldest = TRY(session.catalog.oldest_segment(row.timeline));
    const auto newest = TRY(session.catalog.newest_segment(row.timeline));
    if (oldest && newest) input.wal.push_back({row.timeline, oldest->name.number, newest->name.number});
    if (!row.history_captured) continue;
    if (auto history = parse_timeline_history(row.timeline, row.history))
      input.histories.push_back(std::move(*history));
  }
  if (days) TRY(add_days(input, session, *days, timelines));
  return input;
}

}  // namespace walback
