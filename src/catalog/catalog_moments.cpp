#include <fmt/format.h>

#include "catalog/catalog_impl.h"
#include "catalog/moment_codec.h"

// Moments, gaps, timelines and watermarks: the rows beside the segments.

#define MOMENT_COLUMNS "timeline, lsn, end_lsn, kind, xid, time_us, name, detail"

namespace walback {
namespace {

using namespace catalog_read;

auto moment_reader(const Database& database) {
  return [&database](const Statement& row) -> Result<MomentRow> {
    const auto kind = moment_kind_named(row.text(3));
    if (!kind) return unknown_word(database, "kind of moment", row.text(3));
    return MomentRow{timeline(row, 0),
                     lsn(row, 1),
                     lsn(row, 2),
                     *kind,
                     static_cast<std::uint32_t>(row.integer(4)),
                     maybe(row, 5, time(row, 5)),
                     row.text(6),
                     row.text(7)};
  };
}

WatermarkRow read_watermark(const Statement& row) {
  return {timeline(row, 0), lsn(row, 1), time(row, 2)};
}

}  // namespace

Status Catalog::put_moment(const MomentRow& moment) {
  TRY(storable({moment.lsn, moment.end_lsn}));
  Statement statement = TRY(impl_->database->statement("INSERT OR REPLACE INTO moments (" MOMENT_COLUMNS
                                                       ") VALUES (?, ?, ?, ?, ?, ?, ?, ?)"));
  return statement
      .bind(moment.timeline, moment.lsn, moment.end_lsn, name_of(moment.kind), moment.xid, moment.time,
            moment.name, moment.detail)
      .run();
}

Result<std::vector<MomentRow>> Catalog::moments(const WalRange& range, std::optional<MomentKind> kind) const {
  Database& database = *impl_->database;
  if (kind) {
    Statement statement = TRY(database.statement(
        "SELECT " MOMENT_COLUMNS
        " FROM moments WHERE timeline = ? AND kind = ? AND lsn >= ? AND lsn < ? ORDER BY lsn"));
    statement.bind(range.timeline, name_of(*kind), range.from, range.to);
    return all<MomentRow>(statement, moment_reader(database));
  }
  Statement statement = TRY(database.statement(
      "SELECT " MOMENT_COLUMNS " FROM moments WHERE timeline = ? AND lsn >= ? AND lsn < ? ORDER BY lsn"));
  statement.bind(range.timeline, range.from, range.to);
  return all<MomentRow>(statement, moment_reader(database));
}

Result<std::vector<MomentRow>> Catalog::restore_points(const std::string& name) const {
  Statement statement = TRY(impl_->database->statement(
      "SELECT " MOMENT_COLUMNS
      " FROM moments WHERE name = ? AND kind = 'restore_point' ORDER BY timeline, lsn"));
  statement.bind(name);
  return all<MomentRow>(statement, moment_reader(*impl_->database));
}

Status Catalog::put_gap(const GapRow& gap) {
  TRY(storable({gap.from, gap.to}));
  Statement statement = TRY(impl_->database->statement(
      "INSERT INTO gaps (timeline, from_lsn, to_lsn, reason, detected_at_us, accepted) VALUES (?, ?, ?, ?, "
      "?, ?) "
      "ON CONFLICT (timeline, from_lsn) DO UPDATE SET reason = excluded.reason, "
      "detected_at_us = min(detected_at_us, excluded.detected_at_us), "
      "accepted = excluded.accepted OR (accepted AND to_lsn = excluded.to_lsn), to_lsn = excluded.to_lsn"));
  return statement.bind(gap.timeline, gap.from, gap.to, gap.reason, gap.detected_at, gap.accepted).run();
}

Status Catalog::remove_gap(TimelineId timeline, Lsn from) {
  Statement statement =
      TRY(impl_->database->statement("DELETE FROM gaps WHERE timeline = ? AND from_lsn = ?"));
  return statement.bind(timeline, from).run();
}

Result<std::vector<GapRow>> Catalog::gaps() const {
  Statement statement =
      TRY(impl_->database->statement("SELECT timeline, from_lsn, to_lsn, reason, detected_at_us, accepted "
                                     "FROM gaps ORDER BY timeline, from_lsn"));
  return all<GapRow>(statement, [](const Statement& row) {
    return GapRow{timeline(row, 0), lsn(row, 1), lsn(row, 2), row.text(3), time(row, 4), row.integer(5) != 0};
  });
}

Status Catalog::put_timeline(const TimelineRow& timeline) {
  Statement statement = TRY(impl_->database->statement(
      "INSERT INTO timelines (timeline, history, history_captured) VALUES (?, ?, ?) ON CONFLICT (timeline) "
      "DO UPDATE "
      "SET history = excluded.history, history_captured = excluded.history_captured "
      "WHERE excluded.history_captured OR NOT history_captured"));
  return statement.bind(timeline.timeline, timeline.history, timeline.history_captured).run();
}

Result<std::vector<TimelineRow>> Catalog::timelines() const {
  Statement statement = TRY(impl_->database->statement(
      "SELECT timeline, history, history_captured FROM timelines ORDER BY timeline"));
  return all<TimelineRow>(statement, [](const Statement& row) {
    return TimelineRow{timeline(row, 0), row.text(1), row.integer(2) != 0};
  });
}

Status Catalog::put_watermark(const WatermarkRow& watermark) {
  TRY(storable({watermark.lsn}));
  Statement statement = TRY(impl_->database->statement(
      "INSERT OR REPLACE INTO watermarks (timeline, lsn, time_us) VALUES (?, ?, ?)"));
  return statement.bind(watermark.timeline, watermark.lsn, watermark.time).run();
}

Result<std::optional<WatermarkRow>> Catalog::newest_watermark(TimelineId timeline, Lsn up_to) const {
  Statement statement = TRY(impl_->database->statement(
      "SELECT timeline, lsn, time_us FROM watermarks WHERE timeline = ? AND lsn <= ? ORDER BY lsn DESC "
      "LIMIT 1"));
  statement.bind(timeline, up_to);
  return first<WatermarkRow>(statement, read_watermark);
}

}  // namespace walback
