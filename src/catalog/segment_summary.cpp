#include "catalog/segment_summary.h"

#include <utility>
#include <vector>

namespace walback {
namespace {

Status widen_block(Database& database, const SegmentRow& row) {
  if (!row.min_time) return {};
  Statement statement = TRY(database.statement(
      "INSERT INTO segment_blocks VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (timeline, block) DO UPDATE SET "
      "min_time_us = min(min_time_us, excluded.min_time_us), max_time_us = max(max_time_us, "
      "excluded.max_time_us), "
      "min_xid = min(min_xid, excluded.min_xid), max_xid = max(max_xid, excluded.max_xid)"));
  return statement
      .bind(row.name.timeline, row.name.number.value / kSegmentsPerBlock, row.min_time, row.max_time,
            row.min_xid, row.max_xid)
      .run();
}

bool covers(const SegmentRow& now, const SegmentRow& before) {
  if (!before.min_time) return true;
  return now.min_time && *now.min_time <= *before.min_time && *now.max_time >= *before.max_time &&
         *now.min_xid <= *before.min_xid && *now.max_xid >= *before.max_xid;
}

}  // namespace

Result<std::int64_t> next_version(Database& database) {
  Statement statement = TRY(database.statement(
      "UPDATE catalog_counters SET value = value + 1 WHERE name = 'segment_version' RETURNING value"));
  if (!TRY(statement.step())) return catalog_read::unknown_word(database, "counter", "");
  return statement.integer(0);
}

Status rebuild_block(Database& database, TimelineId timeline, std::uint64_t block) {
  Statement summary = TRY(database.statement(
      "SELECT min(min_time_us), max(max_time_us), min(min_xid), max(max_xid) FROM wal_segments "
      "WHERE timeline = ? AND number BETWEEN ? AND ? AND superseded = 0"));
  const std::uint64_t from = block * kSegmentsPerBlock;
  summary.bind(timeline, from, from + kSegmentsPerBlock - 1);
  if (!TRY(summary.step()) || summary.null(0)) {
    Statement statement =
        TRY(database.statement("DELETE FROM segment_blocks WHERE timeline = ? AND block = ?"));
    return statement.bind(timeline, block).run();
  }
  Statement statement =
      TRY(database.statement("INSERT OR REPLACE INTO segment_blocks VALUES (?, ?, ?, ?, ?, ?)"));
  return statement
      .bind(timeline, block, summary.integer(0), summary.integer(1), summary.integer(2), summary.integer(3))
      .run();
}

Status judge_epochs(Database& database, SegmentName name) {
  Statement rows =
      TRY(database.statement("SELECT id, superseded FROM wal_segments WHERE timeline = ? AND number = ? "
                             "ORDER BY problem = '' DESC, valid_end_lsn DESC, epoch DESC"));
  rows.bind(name.timeline, name.number);
  std::vector<std::pair<std::int64_t, bool>> changes;
  for (bool superseded = false; TRY(rows.step()); superseded = true) {
    if (superseded != (rows.integer(1) != 0)) changes.emplace_back(rows.integer(0), superseded);
  }
  for (const auto& [id, superseded] : changes) {
    const std::int64_t version = TRY(next_version(database));
    Statement statement =
        TRY(database.statement("UPDATE wal_segments SET superseded = ?, version = ? WHERE id = ?"));
    TRY(statement.bind(superseded, version, id).run());
  }
  return rebuild_block(database, name.timeline, name.number.value / kSegmentsPerBlock);
}

Result<bool> has_other_epochs(Database& database, SegmentName name) {
  Statement statement =
      TRY(database.statement("SELECT count(*) FROM wal_segments WHERE timeline = ? AND number = ?"));
  statement.bind(name.timeline, name.number);
  TRY(statement.step());
  return statement.integer(0) > 1;
}

Status summarise(Database& database, const SegmentRow& now, const std::optional<StoredSegment>& before) {
  if (TRY(has_other_epochs(database, now.name))) return judge_epochs(database, now.name);
  if (before && !covers(now, before->row)) {
    return rebuild_block(database, now.name.timeline, now.name.number.value / kSegmentsPerBlock);
  }
  return widen_block(database, now);
}

}  // namespace walback
