#include "restore/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "catalog/moment_codec.h"
#include "restore/choose_backup.h"
#include "restore/database_drops.h"
#include "wal/page.h"

namespace walback {
namespace {

std::vector<WalRange> within(const std::vector<WalRange>& history, Lsn from, Lsn to) {
  std::vector<WalRange> cut;
  for (const auto& range : history) {
    const WalRange part{range.timeline, std::max(range.from, from), std::min(range.to, to)};
    if (part.from < part.to) cut.push_back(part);
  }
  return cut;
}

/// The commits on both sides of `boundary`, the first position that is not replayed.
Status find_commits(RestorePlan& plan, const Catalog& catalog, const std::vector<WalRange>& history,
                    Lsn boundary) {
  plan.last_commit = TRY(last_end_in(catalog, within(history, {}, boundary), true));
  plan.next_commit = TRY(first_end_in(catalog, within(history, boundary, kMaxLsn), true));
  plan.commit_at_stop.reset();
  for (const auto& commit : {plan.last_commit, plan.next_commit})
    if (commit && commit->lsn == plan.stop.lsn) plan.commit_at_stop = commit;
  plan.last_end_before_stop =
      TRY(last_end_in(catalog, within(history, plan.backup.start_lsn, plan.stop.lsn), false));
  return {};
}

void add_segments(RestorePlan& plan, const WalPath& path, const ResolvedStop& at) {
  const auto size = path.identity.segment_size;
  SegmentNumber from = segment_of(plan.backup.start_lsn, size);
  for (std::size_t i = 0; i <= at.part; ++i) {
    // Recovery takes the segment that holds a switch from the newer timeline.
    const auto end =
        i == at.part ? SegmentNumber{at.last_segment.value + 1} : segment_of(*path.parts[i].switch_lsn, size);
    for (auto run : path.parts[i].runs) {
      run.first = std::max(run.first, from);
      if (run.last >= end) run.last = SegmentNumber{end.value - 1};
      if (run.first >= end || run.last < run.first) continue;
      plan.segment_count += run.last.value - run.first.value + 1;
      plan.segments.push_back(run);
    }
    from = std::max(from, end);
  }
}

void raise(SettingsFloor& floor, const ParametersChanged& changed) {
  floor.max_connections = std::max(floor.max_connections, changed.max_connections);
  floor.max_worker_processes = std::max(floor.max_worker_processes, changed.max_worker_processes);
  floor.max_wal_senders = std::max(floor.max_wal_senders, changed.max_wal_senders);
  floor.max_prepared_transactions =
      std::max(floor.max_prepared_transactions, changed.max_prepared_transactions);
  floor.max_locks_per_transaction =
      std::max(floor.max_locks_per_transaction, changed.max_locks_per_transaction);
}

/// The commit that made it known; of another transaction only where that one's is not captured.
Result<std::optional<Timestamp>> time_of(const MomentRow& row, const Catalog& catalog,
                                         const std::vector<WalRange>& history) {
  const auto end = TRY(first_end_in(catalog, within(history, row.lsn, kMaxLsn), true));
  return end ? std::optional(end->time) : std::nullopt;
}

/// Of the records that start in [from, to).
Status add_events(RestorePlan& plan, const Catalog& catalog, Lsn from, Lsn to) {
  for (const auto& range : within(plan.history, from, to)) {
    for (const auto& row : TRY(catalog.moments(range, MomentKind::tablespace_created))) {
      const auto event = TRY(event_of(row));
      const auto* created = std::get_if<TablespaceCreated>(&event.what);
      if (created == nullptr) continue;
      plan.tablespaces_created.push_back(
          {row.lsn, created->path, created->oid, TRY(time_of(row, catalog, plan.history))});
    }
    for (const auto& row : TRY(catalog.moments(range, MomentKind::parameters_changed))) {
      const auto event = TRY(event_of(row));
      if (const auto* changed = std::get_if<ParametersChanged>(&event.what)) raise(plan.settings, *changed);
    }
  }
  return {};
}

OrRefused<RestorePlan> plan_on_path(const RecoveryTarget& target, const WalPath& path,
                                    const std::vector<BackupRow>& backups) {
  auto at = resolve_stop(target, path, backups);
  if (!at) return tl::unexpected(at.error());
  const auto backup = choose_backup(target, *at, path, backups);
  if (!backup) return tl::unexpected(backup.error());
  if (const auto known = check_time_is_known(target, *at, path, backups); !known)
    return tl::unexpected(known.error());
  TRY(mind_database_drops(*at, target, path, *backup));

  RestorePlan plan(path.identity);
  plan.target = target;
  plan.backup = *backup;
  plan.timeline = path.parts[at->part].range.timeline;
  for (std::size_t i = 0; i <= at->part; ++i) plan.history.push_back(path.parts[i].range);
  plan.stop = at->stop;
  plan.expected_end = at->expected_end;
  plan.read_from = at->read_from;
  plan.wal_bytes = at->boundary() - backup->start_lsn;
  plan.warnings = at->warnings;
  TRY(find_commits(plan, *path.catalog, path.ranges({}, kMaxLsn), at->boundary()));
  add_segments(plan, path, *at);
  TRY(add_events(plan, *path.catalog, backup->start_lsn, at->boundary()));
  return plan;
}

/// One view of the catalog: the manager may write to it meanwhile.
tl::expected<RestorePlan, Refusal> plan_now(const RecoveryTarget& target, const Catalog& catalog,
                                            const ArchiveIdentity& identity) {
  const auto refused = [](const Error& error) { return tl::unexpected(Refusal{error, {}, {}}); };
  const auto backups = catalog.backups();
  if (!backups) return refused(backups.error());
  const auto path = wal_path(catalog, identity, target.timeline);
  if (!path) return refused(path.error());
  auto plan = plan_on_path(target, *path, *backups);
  if (plan) return std::move(*plan);
  const auto refusal = with_nearest(plan.error(), *path, *backups);
  return refusal ? tl::unexpected(*refusal) : refused(refusal.error());
}

}  // namespace

tl::expected<RestorePlan, Refusal> plan_or_refuse(const RecoveryTarget& target, const Catalog& catalog,
                                                  const ArchiveIdentity& identity) {
  std::optional<tl::expected<RestorePlan, Refusal>> outcome;
  const auto read = catalog.consistent_reads([&]() -> Status {
    outcome = plan_now(target, catalog, identity);
    return {};
  });
  if (!outcome) return tl::unexpected(Refusal{read.error(), {}, {}});
  return std::move(*outcome);
}

Status settle_stop(RestorePlan& plan, Lsn start, Lsn end, const Catalog& catalog) {
  if (plan.expected_end) return {};
  if (start < plan.stop.lsn || end <= start)
    return fail(ErrorKind::internal, fmt::format("the record {} to {} cannot decide the stop {}",
                                                 to_string(start), to_string(end), to_string(plan.stop.lsn)));
  plan.expected_end = skip_page_header(plan.stop.inclusive ? end : start, plan.identity.segment_size);
  // The record that decides may itself be one that matters.
  TRY(add_events(plan, catalog, plan.stop.lsn, *plan.expected_end));
  plan.stop.lsn = start;
  plan.wal_bytes = *plan.expected_end - plan.backup.start_lsn;
  const auto beyond = plan.next_commit;
  TRY(find_commits(plan, catalog, plan.history, *plan.expected_end));
  // `history` ends where the path goes on with the next timeline; what was found there still holds.
  if (!plan.next_commit && beyond && beyond->lsn >= *plan.expected_end) plan.next_commit = beyond;
  return {};
}

bool ended_as_planned(const RestorePlan& plan, Lsn replayed) {
  return plan.expected_end && skip_page_header(replayed, plan.identity.segment_size) == *plan.expected_end;
}

void each_planned_segment(const RestorePlan& plan, const std::function<bool(const PlannedSegment&)>& visit) {
  for (const auto& run : plan.segments)
    for (auto number = run.first; number <= run.last; ++number.value)
      if (!visit({{run.timeline, number}, run.epoch, run.state})) return;
}

std::optional<PlannedSegment> find_planned_segment(const RestorePlan& plan, SegmentName name) {
  for (const auto& run : plan.segments)
    if (run.timeline == name.timeline && run.first <= name.number && name.number <= run.last)
      return PlannedSegment{name, run.epoch, run.state};
  return std::nullopt;
}

std::filesystem::path file_of(const PlannedSegment& segment, const ArchiveLayout& layout, SegmentSize size) {
  return layout.epoch(segment.epoch) / (segment.state == SegmentState::finished
                                            ? file_name(segment.name, size)
                                            : partial_file_name(segment.name, size));
}

Status check_tablespaces(const RestorePlan& plan,
                         const std::function<bool(const std::string& path)>& may_be_owned) {
  for (const auto& created : plan.tablespaces_created) {
    if (created.in_place() || !may_be_owned(created.path)) continue;
    const std::string when = created.time ? ", " + to_rfc3339(*created.time) : "";
    return fail(ErrorKind::conflict,
                fmt::format("the WAL up to the stop creates tablespace {} in '{}' (at {}{}), and that path "
                            "exists on this host: it may be the live primary's",
                            created.oid, created.path, to_string(created.lsn), when),
                fmt::format("Restore on a host without that path, or stop before it with --to-lsn {} "
                            "--before. What comes after the next `walback backup` can be restored here.",
                            to_string(created.lsn)));
  }
  return {};
}

}  // namespace walback
