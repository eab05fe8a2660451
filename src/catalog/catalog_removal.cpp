#include "catalog/segment_summary.h"

// Rows that go: segments that were replaced or expired, moments whose bytes are no longer there, base
// backups.

namespace walback {
namespace {

using namespace catalog_read;

/// For the mirror: rows that are gone have no version of their own.
Status count_removal(Database& database) {
  Statement statement =
      TRY(database.statement("INSERT INTO catalog_counters VALUES ('segment_removals', 1) "
                             "ON CONFLICT (name) DO UPDATE SET value = value + 1"));
  return statement.run();
}

Lsn end_of(const SegmentRow& row) {
  const std::uint64_t number = row.name.number.value;
  return row.start_lsn + (number == 0 ? row.size_bytes : row.start_lsn.value / number);
}

Status remove_row(Database& database, const StoredSegment& stored) {
  Statement ends = TRY(database.statement("DELETE FROM segment_ends WHERE segment_id = ?"));
  TRY(ends.bind(stored.id).run());
  Statement row = TRY(database.statement("DELETE FROM wal_segments WHERE id = ?"));
  return row.bind(stored.id).run();
}

/// Of everything that names a position of the timeline below `below`.
Status remove_below(Database& database, const ExpiredWal& expired) {
  Statement ends =
      TRY(database.statement("DELETE FROM segment_ends WHERE segment_id IN "
                             "(SELECT id FROM wal_segments WHERE timeline = ? AND number < ?)"));
  TRY(ends.bind(expired.timeline, expired.below).run());
  Statement rows = TRY(database.statement("DELETE FROM wal_segments WHERE timeline = ? AND number < ?"));
  TRY(rows.bind(expired.timeline, expired.below).run());
  Statement blocks = TRY(database.statement("DELETE FROM segment_blocks WHERE timeline = ? AND block < ?"));
  TRY(blocks.bind(expired.timeline, expired.below.value / kSegmentsPerBlock).run());
  TRY(rebuild_block(database, expired.timeline, expired.below.value / kSegmentsPerBlock));
  Statement moments =
      TRY(database.statement("DELETE FROM moments WHERE timeline = ? AND lsn < ? AND end_lsn <= ?"));
  TRY(moments.bind(expired.timeline, expired.below_lsn, expired.below_lsn).run());
  Statement watermarks = TRY(database.statement("DELETE FROM watermarks WHERE timeline = ? AND lsn < ?"));
  TRY(watermarks.bind(expired.timeline, expired.below_lsn).run());
  Statement gaps = TRY(database.statement("DELETE FROM gaps WHERE timeline = ? AND from_lsn < ?"));
  TRY(gaps.bind(expired.timeline, expired.below_lsn).run());
  Statement verified = TRY(database.statement("DELETE FROM verified_runs WHERE timeline = ? AND last < ?"));
  return verified.bind(expired.timeline, expired.below).run();
}

}  // namespace

Status Catalog::remove_segment(SegmentName name, std::uint32_t epoch) {
  Database& database = *impl_->database;
  return database.atomically([&]() -> Status {
    const auto stored = TRY(find_stored(database, name, epoch));
    if (!stored) return {};
    TRY(remove_row(database, *stored));
    TRY(count_removal(database));
    TRY(judge_epochs(database, name));
    if (TRY(segment(name))) return {};
    return remove_moments(name.timeline, stored->row.start_lsn, end_of(stored->row));
  });
}

Result<bool> Catalog::held_once(SegmentName name) const {
  return TRY(segment(name)) && !TRY(has_other_epochs(*impl_->database, name));
}

Status Catalog::remove_moments(TimelineId timeline, Lsn from, Lsn to) {
  Database& database = *impl_->database;
  return database.atomically([&]() -> Status {
    // At most one record reaches in from before.
    Statement before = TRY(database.statement(
        "DELETE FROM moments WHERE timeline = ? AND end_lsn > ? AND end_lsn <= ? AND lsn = "
        "(SELECT max(lsn) FROM moments WHERE timeline = ? AND lsn < ?)"));
    TRY(before.bind(timeline, from, to, timeline, from).run());
    Statement inside = TRY(database.statement(
        "DELETE FROM moments WHERE timeline = ? AND lsn >= ? AND lsn < ? AND end_lsn <= ?"));
    return inside.bind(timeline, from, to, to).run();
  });
}

Result<std::int64_t> Catalog::segment_removals() const {
  Statement statement =
      TRY(impl_->database->statement("SELECT value FROM catalog_counters WHERE name = 'segment_removals'"));
  return TRY(statement.step()) ? statement.integer(0) : 0;
}

Result<std::vector<Catalog::FileSpan>> Catalog::segment_spans() const {
  Statement statement = TRY(impl_->database->statement(
      "SELECT timeline, min(segment), max(segment) FROM (SELECT timeline, segment, number - row_number() "
      "OVER "
      "(PARTITION BY timeline ORDER BY number) AS span FROM wal_segments WHERE superseded = 0) "
      "GROUP BY timeline, span ORDER BY timeline, span"));
  return all<FileSpan>(statement, [](const Statement& row) {
    return FileSpan{timeline(row, 0), row.text(1), row.text(2)};
  });
}

Status Catalog::expire_wal(const ExpiredWal& expired) {
  TRY(storable({expired.below_lsn}));
  Database& database = *impl_->database;
  return database.atomically([&]() -> Status {
    Statement known = TRY(database.statement("SELECT below FROM expired_wal WHERE timeline = ?"));
    known.bind(expired.timeline);
    const bool was_there = TRY(known.step());
    const auto floor = was_there ? static_cast<std::uint64_t>(known.integer(0)) : 0;
    known.rewind();
    if (was_there && floor > expired.below.value) return {};
    Statement statement = TRY(database.statement(
        "INSERT OR REPLACE INTO expired_wal (timeline, below, below_lsn) VALUES (?, ?, ?)"));
    TRY(statement.bind(expired.timeline, expired.below, expired.below_lsn).run());
    // As far as before, too: a journal that is read again brings old watermarks and gaps, and this line
    // behind them.
    TRY(remove_below(database, expired));
    if (was_there && floor == expired.below.value) return {};
    return count_removal(database);
  });
}

Result<std::vector<ExpiredWal>> Catalog::expired_wal() const {
  Statement statement =
      TRY(impl_->database->statement("SELECT timeline, below, below_lsn FROM expired_wal ORDER BY timeline"));
  return all<ExpiredWal>(statement, [](const Statement& row) {
    return ExpiredWal{timeline(row, 0), {static_cast<std::uint64_t>(row.integer(1))}, lsn(row, 2)};
  });
}

Status Catalog::expire_backup(const ExpiredBackup& expired) {
  TRY(storable({expired.start_lsn}));
  Database& database = *impl_->database;
  return database.atomically([&]() -> Status {
    Statement row = TRY(database.statement("DELETE FROM backups WHERE id = ? AND start_lsn = ?"));
    TRY(row.bind(expired.id, expired.start_lsn).run());
    Statement verified = TRY(database.statement("DELETE FROM verified_backups WHERE id = ?"));
    TRY(verified.bind(expired.id).run());
    Statement statement =
        TRY(database.statement("INSERT OR REPLACE INTO expired_backups (id, start_lsn) VALUES (?, ?)"));
    return statement.bind(expired.id, expired.start_lsn).run();
  });
}

Result<std::vector<ExpiredBackup>> Catalog::expired_backups() const {
  Statement statement =
      TRY(impl_->database->statement("SELECT id, start_lsn FROM expired_backups ORDER BY id"));
  return all<ExpiredBackup>(statement, [](const Statement& row) {
    return ExpiredBackup{row.text(0), lsn(row, 1)};
  });
}

Status Catalog::forget_expired_backup(const std::string& id) {
  Statement statement = TRY(impl_->database->statement("DELETE FROM expired_backups WHERE id = ?"));
  return statement.bind(id).run();
}

}  // namespace walback
