#include <algorithm>

#include "catalog/catalog_impl.h"

// SQLite judges 100,000 rows of a covering index in 27 ms and needs several times that to hand each of them
// over as a row. So a stretch of segments is judged by one aggregate, and walked only where it is not one
// run.

namespace walback {
namespace {

using Visit = std::function<bool(const Catalog::Run&)>;

constexpr std::uint64_t kStretch = 4096;

/// Joins what is handed in; `visit` sees whole runs.
class Joiner {
 public:
  explicit Joiner(const Visit& visit) : visit_(visit) {}

  bool add(const Catalog::Run& run) {
    const bool joins = held_ && held_->sound && run.sound && held_->epoch == run.epoch &&
                       held_->last.value + 1 == run.first.value;
    if (joins) {
      held_->last = run.last;
      return true;
    }
    const bool go_on = finish();
    held_ = run;
    return go_on;
  }
  bool finish() {
    const bool go_on = !held_ || visit_(*held_);
    held_.reset();
    return go_on;
  }

 private:
  const Visit& visit_;
  std::optional<Catalog::Run> held_;
};

std::uint64_t number_at(const Statement& row, int column) {
  return static_cast<std::uint64_t>(row.integer(column));
}

/// The stretch as one run, when it is one.
Result<std::optional<Catalog::Run>> as_one_run(Database& database, TimelineId timeline, SegmentNumber from,
                                               SegmentNumber to) {
  Statement statement =
      TRY(database.statement("SELECT min(number), max(number), count(*), min(epoch), max(epoch), "
                             "sum(state = 'finished' AND problem = '') FROM wal_segments "
                             "WHERE timeline = ? AND number BETWEEN ? AND ? AND superseded = 0"));
  statement.bind(timeline, from, to);
  if (!TRY(statement.step()) || statement.null(0)) return std::nullopt;
  const SegmentNumber first{number_at(statement, 0)}, last{number_at(statement, 1)};
  const auto count = number_at(statement, 2);
  const bool one = last.value - first.value + 1 == count && statement.integer(3) == statement.integer(4) &&
                   number_at(statement, 5) == count;
  if (!one) return std::nullopt;
  return Catalog::Run{first, last, static_cast<std::uint32_t>(statement.integer(3)), true};
}

Result<bool> walk(Database& database, TimelineId timeline, SegmentNumber from, SegmentNumber to,
                  Joiner& joiner) {
  Statement statement = TRY(
      database.statement("SELECT number, epoch, state = 'finished' AND problem = '' FROM wal_segments "
                         "WHERE timeline = ? AND number BETWEEN ? AND ? AND superseded = 0 ORDER BY number"));
  statement.bind(timeline, from, to);
  while (TRY(statement.step())) {
    const SegmentNumber number{number_at(statement, 0)};
    const auto epoch = static_cast<std::uint32_t>(statement.integer(1));
    if (!joiner.add({number, number, epoch, statement.integer(2) != 0})) return false;
  }
  return true;
}

}  // namespace

Status Catalog::each_segment_run(TimelineId timeline, SegmentNumber from, SegmentNumber to_inclusive,
                                 const std::function<bool(const Run&)>& visit) const {
  const auto oldest = TRY(oldest_segment(timeline));
  const auto newest = TRY(newest_segment(timeline));
  if (!oldest || !newest) return {};
  Joiner joiner(visit);
  const auto end = std::min(to_inclusive, newest->name.number);
  for (auto at = std::max(from, oldest->name.number); at <= end; at.value += kStretch) {
    const SegmentNumber last{std::min(end.value, at.value + kStretch - 1)};
    const auto one = TRY(as_one_run(*impl_->database, timeline, at, last));
    const bool go_on = one ? joiner.add(*one) : TRY(walk(*impl_->database, timeline, at, last, joiner));
    if (!go_on) return {};
  }
  joiner.finish();
  return {};
}

}  // namespace walback
