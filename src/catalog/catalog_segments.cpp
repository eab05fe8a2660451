#include "catalog/stored_segment.h"

// Reading wal_segments; segment_writer.cpp writes it.

namespace walback {
namespace {

using namespace catalog_read;

std::uint64_t count_at(const Statement& row, int column) {
  return static_cast<std::uint64_t>(row.integer(column));
}

Result<std::optional<SegmentRow>> first_row(Database& database, Statement& statement) {
  auto stored =
      TRY(first<StoredSegment>(statement, [&](const Statement& row) { return read_stored(database, row); }));
  if (!stored) return std::nullopt;
  return std::move(stored->row);
}

Status each_row(Database& database, Statement& statement,
                const std::function<bool(const SegmentRow&)>& visit) {
  while (TRY(statement.step())) {
    if (!visit(TRY(read_stored(database, statement)).row)) break;
  }
  return {};
}

}  // namespace

Result<StoredSegment> read_stored(Database& database, const Statement& row) {
  const auto number32 = [&](int column) { return static_cast<std::uint32_t>(row.integer(column)); };
  const auto state = segment_state_named(row.text(4));
  if (!state) return unknown_word(database, "segment state", row.text(4));
  StoredSegment stored{
      row.integer(0), row.integer(23), maybe(row, 24, lsn(row, 24)), maybe(row, 25, lsn(row, 25)), {}};
  SegmentRow& segment = stored.row;
  segment.name = {timeline(row, 1), {count_at(row, 2)}};
  segment.epoch = number32(3);
  segment.state = *state;
  segment.start_lsn = lsn(row, 5);
  segment.valid_end_lsn = lsn(row, 6);
  segment.first_record_lsn = maybe(row, 7, lsn(row, 7));
  segment.last_record_lsn = maybe(row, 8, lsn(row, 8));
  segment.size_bytes = count_at(row, 9);
  segment.mtime_ns = row.integer(10);
  segment.file_crc32c = maybe(row, 11, number32(11));
  segment.records = count_at(row, 12);
  segment.commits = count_at(row, 13);
  segment.aborts = count_at(row, 14);
  segment.first_time = maybe(row, 15, time(row, 15));
  segment.last_time = maybe(row, 16, time(row, 16));
  segment.min_time = maybe(row, 17, time(row, 17));
  segment.max_time = maybe(row, 18, time(row, 18));
  segment.min_xid = maybe(row, 19, number32(19));
  segment.max_xid = maybe(row, 20, number32(20));
  segment.problem = row.text(21);
  segment.superseded = row.integer(22) != 0;
  return stored;
}

Result<std::optional<StoredSegment>> find_stored(Database& database, SegmentName name, std::uint32_t epoch) {
  Statement statement = TRY(database.statement(
      "SELECT " SEGMENT_COLUMNS " FROM wal_segments WHERE timeline = ? AND number = ? AND epoch = ?"));
  statement.bind(name.timeline, name.number, epoch);
  return first<StoredSegment>(statement, [&](const Statement& row) { return read_stored(database, row); });
}

Result<std::optional<SegmentRow>> Catalog::segment(SegmentName name) const {
  Statement statement = TRY(impl_->database->statement(
      "SELECT " SEGMENT_COLUMNS " FROM wal_segments WHERE timeline = ? AND number = ? AND superseded = 0"));
  statement.bind(name.timeline, name.number);
  return first_row(*impl_->database, statement);
}

Result<std::optional<SegmentRow>> Catalog::segment(SegmentName name, std::uint32_t epoch) const {
  auto stored = TRY(find_stored(*impl_->database, name, epoch));
  if (!stored) return std::nullopt;
  return std::move(stored->row);
}

Result<std::optional<SegmentRow>> Catalog::segment_with_ends(SegmentName name, std::uint32_t epoch) const {
  std::optional<SegmentRow> found;
  const Status done = impl_->database->consistently([&]() -> Status {
    auto stored = TRY(find_stored(*impl_->database, name, epoch));
    if (!stored) return {};
    found = std::move(stored->row);
    return visit_stored_ends(*impl_->database, stored->id, [&](TransactionEnd&& end) {
      found->ends.push_back(std::move(end));
      return true;
    });
  });
  return filled(done, found);
}

Result<std::optional<SegmentRow>> Catalog::newest_segment(TimelineId timeline) const {
  Statement statement = TRY(impl_->database->statement(
      "SELECT " SEGMENT_COLUMNS
      " FROM wal_segments WHERE timeline = ? AND superseded = 0 ORDER BY number DESC LIMIT 1"));
  statement.bind(timeline);
  return first_row(*impl_->database, statement);
}

Result<std::optional<SegmentRow>> Catalog::oldest_segment(TimelineId timeline) const {
  Statement statement = TRY(impl_->database->statement(
      "SELECT " SEGMENT_COLUMNS
      " FROM wal_segments WHERE timeline = ? AND superseded = 0 ORDER BY number LIMIT 1"));
  statement.bind(timeline);
  return first_row(*impl_->database, statement);
}

Result<std::optional<SegmentRow>> Catalog::newest_segment_before(SegmentName name) const {
  Statement statement = TRY(impl_->database->statement("SELECT " SEGMENT_COLUMNS
                                                       " FROM wal_segments WHERE timeline = ? AND number < ? "
                                                       "AND superseded = 0 ORDER BY number DESC LIMIT 1"));
  statement.bind(name.timeline, name.number);
  return first_row(*impl_->database, statement);
}

Status Catalog::each_segment(const std::function<bool(const SegmentRow&)>& visit) const {
  Statement statement = TRY(impl_->database->statement(
      "SELECT " SEGMENT_COLUMNS " FROM wal_segments WHERE superseded = 0 ORDER BY timeline, number"));
  return each_row(*impl_->database, statement, visit);
}

Status Catalog::each_segment(TimelineId timeline, SegmentNumber from, SegmentNumber to_inclusive,
                             const std::function<bool(const SegmentRow&)>& visit) const {
  Statement statement = TRY(impl_->database->statement(
      "SELECT " SEGMENT_COLUMNS
      " FROM wal_segments WHERE timeline = ? AND number BETWEEN ? AND ? AND superseded = 0 ORDER BY number"));
  statement.bind(timeline, from, to_inclusive);
  return each_row(*impl_->database, statement, visit);
}

Status Catalog::each_segment_of_epoch(std::uint32_t epoch,
                                      const std::function<bool(const SegmentRow&)>& visit) const {
  Statement statement = TRY(impl_->database->statement(
      "SELECT " SEGMENT_COLUMNS " FROM wal_segments WHERE epoch = ? ORDER BY timeline, number"));
  statement.bind(epoch);
  return each_row(*impl_->database, statement, visit);
}

Result<std::vector<SegmentRow>> Catalog::segments_changed_since(std::int64_t version, int limit,
                                                                std::int64_t& newest) const {
  Statement statement = TRY(impl_->database->statement(
      "SELECT " SEGMENT_COLUMNS " FROM wal_segments WHERE version > ? ORDER BY version LIMIT ?"));
  statement.bind(version, limit);
  std::vector<SegmentRow> rows;
  newest = version;
  while (TRY(statement.step())) {
    StoredSegment stored = TRY(read_stored(*impl_->database, statement));
    newest = stored.version;
    rows.push_back(std::move(stored.row));
  }
  return rows;
}

}  // namespace walback
