#include "restore/resolve_stop.h"

#include <fmt/format.h>

#include <algorithm>

#include "restore/choose_backup.h"
#include "wal/page.h"

namespace walback {
namespace {

/// The segment in which the first record that starts at or after `lsn` ends. Every segment before it holds
/// only records that start earlier, so this is exact without reading any WAL.
Result<std::optional<SegmentRow>> deciding_segment(const WalPath& path, std::size_t part, Lsn lsn) {
  const auto& range = path.parts[part].range;
  const auto size = path.identity.segment_size;
  const auto newest = TRY(path.catalog->newest_segment(range.timeline));
  std::optional<SegmentRow> found;
  if (!newest) return found;
  TRY(path.catalog->each_segment(range.timeline, segment_of(lsn, size), newest->name.number,
                                 [&](const SegmentRow& row) {
                                   if (!row.last_record_lsn || *row.last_record_lsn < lsn) return true;
                                   found = row;
                                   return false;
                                 }));
  return found;
}

/// [start, end) of the first record at or after `lsn`, as far as the index knows it.
struct DecidingRecord {
  std::optional<Lsn> start, end;
  Lsn read_from;
  SegmentNumber segment;
};

/// The end of a record that starts in [from, to), where it is a transaction's end or a moment.
Result<std::optional<std::pair<Lsn, Lsn>>> known_record(const Catalog& catalog, const WalRange& range) {
  using Record = std::optional<std::pair<Lsn, Lsn>>;
  if (const auto end = TRY(catalog.first_end_at_or_after(range, false)))
    return Record{{end->lsn, end->end_lsn}};
  const auto moments = TRY(catalog.moments(range, std::nullopt));
  return moments.empty() ? Record{} : Record{{moments.front().lsn, moments.front().end_lsn}};
}

/// Transaction ends and moments are known whole; of a segment's other records only the first and last start.
Result<DecidingRecord> deciding_record(const WalPath& path, std::size_t part, const SegmentRow& segment,
                                       Lsn lsn) {
  const auto size = path.identity.segment_size;
  const auto timeline = path.parts[part].range.timeline;
  const Lsn here = skip_page_header(lsn, size);
  DecidingRecord record{{}, {}, *segment.first_record_lsn, segment.name.number};
  const auto before = TRY(path.last_end_before(lsn, false));
  if (before && before->lsn > record.read_from) record.read_from = before->lsn;
  if (lsn <= *segment.first_record_lsn) {
    record.start = segment.first_record_lsn;
  } else if (here == *segment.last_record_lsn ||
             (before && skip_page_header(before->end_lsn, size) == here)) {
    record.start = here;
  }
  const Lsn from = record.start.value_or(lsn);
  if (const auto known = TRY(known_record(*path.catalog, {timeline, from, std::max(from, here) + 1}))) {
    record.start = known->first;
    record.end = known->second;
  } else if (record.start && record.start == segment.last_record_lsn) {
    record.end = segment.valid_end_lsn;
  }
  return record;
}

ResolvedStop stop_at_deciding(const WalPath& path, std::size_t part, Lsn lsn, bool inclusive,
                              const DecidingRecord& record) {
  const auto size = path.identity.segment_size;
  const Lsn in_segment = start_of(record.segment, size) + 1;
  ResolvedStop at{part, {record.start.value_or(lsn), inclusive}, {}, record.read_from, {}, record.segment,
                  {}};
  const auto& edge = inclusive ? record.end : record.start;
  if (edge) at.expected_end = skip_page_header(*edge, size);
  at.needs_wal_to = record.end.value_or(std::max(record.start.value_or(lsn) + 1, in_segment));
  return at;
}

Result<Refused> beyond_the_end(const RecoveryTarget& target, const WalPath& path, Lsn captured) {
  // Damage is never the end: the record may well have been captured.
  const auto obstacle = first_obstacle(path.obstacles(path.parts.size() - 1), captured, target.lsn + 1);
  if (obstacle) return in_the_way(target, *obstacle).value();
  std::string hint =
      "If the primary is alive, wait until the capturer has received it, or take everything there is with "
      "--to-latest.";
  for (const auto& other : TRY(path.catalog->timelines())) {
    const auto newest =
        other.timeline == path.timeline ? std::nullopt : TRY(path.catalog->newest_segment(other.timeline));
    if (newest && newest->last_record_lsn && *newest->last_record_lsn >= target.lsn)
      hint = fmt::format("Timeline {} reaches {}: add --timeline {} to restore on that path.",
                         other.timeline.value, to_string(newest->valid_end_lsn), other.timeline.value);
  }
  return Refused{Error{ErrorKind::not_found,
                       fmt::format("no record that starts at or after {} is captured: timeline {} ends at {}",
                                   to_string(target.lsn), path.timeline.value, to_string(captured)),
                       hint},
                 kMaxLsn};
}

}  // namespace

ResolvedStop stop_at_record(const WalPath& path, std::size_t part, Lsn start, Lsn end, bool inclusive) {
  const auto size = path.identity.segment_size;
  return {part,
          {start, inclusive},
          skip_page_header(inclusive ? end : start, size),
          start,
          end,
          segment_ending_at(end, size),
          {}};
}

OrRefused<ResolvedStop> stop_at_last_record(const WalPath& path, std::size_t part) {
  const auto size = path.identity.segment_size;
  const auto& last = *path.parts[part].last_record;
  if (last.stop.inclusive) return stop_at_record(path, part, last.stop.lsn, last.end, true);
  const auto segment = TRY(deciding_segment(path, part, last.stop.lsn));
  if (!segment)
    return refuse(
        ErrorKind::internal,
        fmt::format("the catalog knows a record behind {} on timeline {} and no segment that holds it",
                    to_string(last.stop.lsn), path.parts[part].range.timeline.value),
        "`walback reindex` builds the catalog again from WAL, base backups and journal.");
  ResolvedStop at{part, last.stop, last.end, *segment->first_record_lsn, {}, segment->name.number, {}};
  at.needs_wal_to = std::max(last.end, start_of(segment->name.number, size)) + 1;
  return at;
}

OrRefused<ResolvedStop> resolve_lsn(const RecoveryTarget& target, const WalPath& path) {
  const auto newest = path.last_part_with_records();
  if (!newest) return tl::unexpected(TRY(beyond_the_end(target, path, path.begin())));
  const auto size = path.identity.segment_size;
  const Lsn lsn = target.lsn;
  std::size_t part = std::min(path.part_at(lsn), *newest);
  // "Only records that start before X": where X lies in or right behind the last record there is nothing that
  // recovery could stop before, and that record is the stop.
  const auto& last = path.parts[part].last_record;
  const bool behind_last = last && last->stop.inclusive && lsn > last->stop.lsn;
  if (target.before && behind_last && skip_page_header(lsn, size) <= last->end)
    return stop_at_last_record(path, part);
  for (; part <= *newest; ++part) {
    const Lsn from = std::max(lsn, path.parts[part].range.from);
    const auto segment = TRY(deciding_segment(path, part, from));
    if (!segment || *segment->last_record_lsn < from) continue;
    const auto record = TRY(deciding_record(path, part, *segment, from));
    if (record.start.value_or(from) >= path.parts[part].range.to) continue;
    return stop_at_deciding(path, part, from, !target.before, record);
  }
  return tl::unexpected(TRY(beyond_the_end(target, path, path.parts[*newest].last_record->end)));
}

OrRefused<ResolvedStop> resolve_latest(const RecoveryTarget&, const WalPath& path) {
  const auto newest = path.last_part_with_records();
  if (!newest)
    return refuse(ErrorKind::not_found,
                  fmt::format("the archive holds no whole record of timeline {}", path.timeline.value),
                  "Is the capturer running? `walback check` says what is missing.");
  auto at = stop_at_last_record(path, *newest);
  if (!at) return at;
  // Damage at the very end hides an unknown number of commits: it is no end.
  const auto& runs = path.parts[*newest].runs;
  const auto size = path.identity.segment_size;
  if (!runs.empty())
    at->needs_wal_to = std::max(at->needs_wal_to, start_of({runs.back().last.value + 1}, size));
  if (*newest + 1 < path.parts.size())
    at->warnings.push_back(
        {"nothing_on_newest_timeline",
         fmt::format("no record of timeline {} is captured yet: this is the end of timeline {}, at {}",
                     path.timeline.value, path.parts[*newest].range.timeline.value,
                     to_string(at->boundary()))});
  return at;
}

OrRefused<ResolvedStop> resolve_consistent(const RecoveryTarget&, const WalPath& path,
                                           const std::vector<BackupRow>& backups) {
  const auto newest = path.last_part_with_records();
  const auto obstacles = path.obstacles(path.parts.size() - 1);
  const BackupRow* latest = nullptr;
  for (const auto& backup : backups) {
    const bool sound = backup.problem.empty() && on_path(path, backup) &&
                       !first_obstacle(obstacles, backup.start_lsn, backup.stop_lsn);
    const bool captured = newest && skip_page_header(backup.stop_lsn, path.identity.segment_size) <=
                                        path.parts[*newest].last_record->end;
    if (sound && captured && (latest == nullptr || latest->stop_lsn < backup.stop_lsn)) latest = &backup;
  }
  if (latest == nullptr)
    return refuse(ErrorKind::not_found,
                  fmt::format("no base backup on timeline {} is usable", path.timeline.value),
                  "`walback list backups` says why; take one with `walback backup`.");
  RecoveryTarget there;
  there.kind = TargetKind::lsn;
  there.lsn = latest->stop_lsn;
  there.before = true;
  auto at = resolve_lsn(there, path);
  // A backup's stop is the end of a record, so the next one starts there.
  if (at && !at->expected_end)
    at->expected_end = skip_page_header(latest->stop_lsn, path.identity.segment_size);
  return at;
}

OrRefused<ResolvedStop> resolve_stop(const RecoveryTarget& target, const WalPath& path,
                                     const std::vector<BackupRow>& backups) {
  switch (target.kind) {
    case TargetKind::time:
      return resolve_time(target, path);
    case TargetKind::lsn:
      return resolve_lsn(target, path);
    case TargetKind::xid:
      return resolve_xid(target, path);
    case TargetKind::name:
      return resolve_name(target, path);
    case TargetKind::latest:
      return resolve_latest(target, path);
    case TargetKind::consistent:
      return resolve_consistent(target, path, backups);
  }
  return refuse(ErrorKind::internal, "a recovery target of no known kind", {});
}

}  // namespace walback
