#include <fmt/format.h>

#include <algorithm>

#include "catalog/catalog_impl.h"
#include "catalog/ends_codec.h"

namespace walback {
namespace {

using namespace catalog_read;

constexpr std::size_t kXidsShown = 8;

/// A row that may hold ends of a range; its blob is not read yet.
struct Candidate {
  std::int64_t id = 0;
  Lsn first, last;  ///< START of the first and last end in it
  std::uint64_t commits = 0;
  std::optional<Timestamp> max_time;
};
#define CANDIDATE_COLUMNS "id, first_xact_lsn, last_xact_lsn, commits, max_time_us"

Candidate read_candidate(const Statement& row) {
  return {row.integer(0), lsn(row, 1), lsn(row, 2), static_cast<std::uint64_t>(row.integer(3)),
          maybe(row, 4, time(row, 4))};
}

/// For every loop below: go on, or the answer is found.
enum class Next : std::uint8_t { more, enough };

/// The ends of one row that belong to the range, in WAL order, until `visit` has enough.
Result<Next> visit_row(Database& database, const Candidate& row, const WalRange& range,
                       const std::function<Next(TransactionEnd&&)>& visit) {
  Next next = Next::more;
  TRY(visit_stored_ends(database, row.id, [&](TransactionEnd&& end) {
    if (end.lsn < range.from) return true;
    if (end.lsn >= range.to) return false;
    next = visit(std::move(end));
    return next == Next::more;
  }));
  return next;
}

/// Rows that hold ends at or after range.from, until one begins at or after range.to.
Status each_candidate(Database& database, const WalRange& range, bool commits_only,
                      const std::function<Result<Next>(const Candidate&)>& visit) {
  Statement rows = TRY(database.statement(
      "SELECT " CANDIDATE_COLUMNS
      " FROM wal_segments WHERE superseded = 0 AND timeline = ? AND last_xact_lsn >= ? AND commits >= ? "
      "ORDER BY last_xact_lsn"));
  rows.bind(range.timeline, range.from, commits_only ? 1 : 0);
  while (TRY(rows.step())) {
    const Candidate row = read_candidate(rows);
    if (row.first >= range.to || TRY(visit(row)) == Next::enough) break;
  }
  return {};
}

// --- By time: blocks of 256 segments are asked first, then the rows of those that can hold an answer.

struct TimeQuery {
  std::string_view blocks, rows;
};
#define ROWS_OF_BLOCK                                                                                      \
  "SELECT " CANDIDATE_COLUMNS                                                                              \
  " FROM wal_segments WHERE superseded = 0 AND timeline = ? AND number BETWEEN ? AND ? AND last_xact_lsn " \
  ">= ?"
constexpr TimeQuery kStampedAfter{
    "SELECT block FROM segment_blocks WHERE timeline = ? AND block >= ? AND max_time_us > ? ORDER BY block",
    ROWS_OF_BLOCK " AND max_time_us > ? ORDER BY number"};
constexpr TimeQuery kStampedAtOrBefore{
    "SELECT block FROM segment_blocks WHERE timeline = ? AND block >= ? AND min_time_us <= ? ORDER BY block",
    ROWS_OF_BLOCK " AND min_time_us <= ? ORDER BY number"};

Result<Next> each_in_block(Database& database, const WalRange& range, std::uint64_t block,
                           const TimeQuery& query, Timestamp time,
                           const std::function<Result<Next>(const Candidate&)>& visit) {
  Statement rows = TRY(database.statement(query.rows));
  const std::uint64_t number = block * kSegmentsPerBlock;
  rows.bind(range.timeline, number, number + kSegmentsPerBlock - 1, range.from, time);
  while (TRY(rows.step())) {
    const Candidate row = read_candidate(rows);
    if (row.first >= range.to || TRY(visit(row)) == Next::enough) return Next::enough;
  }
  return Next::more;
}

Status each_candidate_by_time(Database& database, const WalRange& range, const TimeQuery& query,
                              Timestamp time, const std::function<Result<Next>(const Candidate&)>& visit) {
  Statement start = TRY(database.statement(
      "SELECT number FROM wal_segments WHERE superseded = 0 AND timeline = ? AND last_xact_lsn >= ? "
      "ORDER BY last_xact_lsn LIMIT 1"));
  if (!TRY(start.bind(range.timeline, range.from).step())) return {};
  const std::uint64_t first_block = static_cast<std::uint64_t>(start.integer(0)) / kSegmentsPerBlock;
  Statement blocks = TRY(database.statement(query.blocks));
  blocks.bind(range.timeline, first_block, time);
  while (TRY(blocks.step())) {
    const auto block = static_cast<std::uint64_t>(blocks.integer(0));
    if (TRY(each_in_block(database, range, block, query, time, visit)) == Next::enough) break;
  }
  return {};
}

bool belongs_to(const TransactionEnd& end, std::uint32_t xid) {
  return end.xid == xid || std::ranges::find(end.subxids, xid) != end.subxids.end();
}

Error in_segment(Database& database, std::int64_t id, Error error) {
  auto statement = database.statement("SELECT segment FROM wal_segments WHERE id = ?");
  std::string segment = "?";
  if (statement && statement->bind(id).step().value_or(false)) segment = statement->text(0);
  error.message = fmt::format("the catalog {} is damaged at segment {}: {}", database.path().string(),
                              segment, error.message);
  error.hint = rebuild_hint();
  return error;
}

}  // namespace

Status visit_stored_ends(Database& database, std::int64_t segment_id,
                         const std::function<bool(TransactionEnd&&)>& visit) {
  Statement parts =
      TRY(database.statement("SELECT ends FROM segment_ends WHERE segment_id = ? ORDER BY part"));
  parts.bind(segment_id);
  bool more = true;
  while (more && TRY(parts.step())) {
    const Status status =
        decode_ends(parts.blob(0), [&](TransactionEnd&& end) { return more = visit(std::move(end)); });
    if (!status) return tl::unexpected(in_segment(database, segment_id, status.error()));
  }
  return {};
}

Result<std::optional<TransactionEnd>> Catalog::first_end_stamped_after(const WalRange& range,
                                                                       Timestamp time) const {
  Database& database = *impl_->database;
  std::optional<TransactionEnd> found;
  const Status done = database.consistently([&] {
    return each_candidate_by_time(database, range, kStampedAfter, time, [&](const Candidate& row) {
      return visit_row(database, row, range, [&](TransactionEnd&& end) {
        if (end.time <= time) return Next::more;
        found = std::move(end);
        return Next::enough;
      });
    });
  });
  return filled(done, found);
}

Result<std::optional<TransactionEnd>> Catalog::first_end_at_or_after(const WalRange& range,
                                                                     bool commits_only) const {
  Database& database = *impl_->database;
  std::optional<TransactionEnd> found;
  const Status done = database.consistently([&] {
    return each_candidate(database, range, commits_only, [&](const Candidate& row) {
      return visit_row(database, row, range, [&](TransactionEnd&& end) {
        if (commits_only && !is_commit(end.kind)) return Next::more;
        found = std::move(end);
        return Next::enough;
      });
    });
  });
  return filled(done, found);
}

Result<std::optional<TransactionEnd>> Catalog::last_end_before(const WalRange& range,
                                                               bool commits_only) const {
  Database& database = *impl_->database;
  std::optional<TransactionEnd> found;
  const auto last_of = [&](const Candidate& row) -> Status {
    TRY(visit_row(database, row, range, [&](TransactionEnd&& end) {
      if (!commits_only || is_commit(end.kind)) found = std::move(end);
      return Next::more;
    }));
    return {};
  };
  const Status done = database.consistently([&]() -> Status {
    // The one row that reaches over the range's end; then backwards from there.
    Statement across = TRY(
        database.statement("SELECT " CANDIDATE_COLUMNS
                           " FROM wal_segments WHERE superseded = 0 AND timeline = ? AND last_xact_lsn >= ? "
                           "ORDER BY last_xact_lsn LIMIT 1"));
    across.bind(range.timeline, range.to);
    if (TRY(across.step()) && lsn(across, 1) < range.to) TRY(last_of(read_candidate(across)));
    Statement rows = TRY(database.statement("SELECT " CANDIDATE_COLUMNS
                                            " FROM wal_segments WHERE superseded = 0 AND timeline = ? AND "
                                            "last_xact_lsn >= ? AND last_xact_lsn < ? "
                                            "AND commits >= ? ORDER BY last_xact_lsn DESC"));
    rows.bind(range.timeline, range.from, range.to, commits_only ? 1 : 0);
    while (!found && TRY(rows.step())) TRY(last_of(read_candidate(rows)));
    return {};
  });
  return filled(done, found);
}

Result<Catalog::Stragglers> Catalog::commits_stamped_at_or_before(const WalRange& range,
                                                                  Timestamp time) const {
  Database& database = *impl_->database;
  Stragglers stragglers;
  const Status done = database.consistently([&] {
    return each_candidate_by_time(
        database, range, kStampedAtOrBefore, time, [&](const Candidate& row) -> Result<Next> {
          // After a clock was set back there may be millions: whole rows are counted without being read.
          const bool all = row.max_time <= time && row.first >= range.from && row.last < range.to;
          if (all && stragglers.first.size() == kStragglersShown) {
            stragglers.count += row.commits;
            return Next::more;
          }
          return visit_row(database, row, range, [&](TransactionEnd&& end) {
            if (end.time > time || !is_commit(end.kind)) return Next::more;
            ++stragglers.count;
            if (stragglers.first.size() < kStragglersShown) stragglers.first.push_back(std::move(end));
            return Next::more;
          });
        });
  });
  return filled(done, stragglers);
}

Result<std::vector<Catalog::FoundEnd>> Catalog::find_xid(std::uint32_t xid) const {
  Database& database = *impl_->database;
  std::vector<FoundEnd> found;
  const auto search_row = [&](TimelineId timeline, std::int64_t id) -> Status {
    std::vector<FoundEnd> here;
    TRY(visit_stored_ends(database, id, [&](TransactionEnd&& end) {
      if (belongs_to(end, xid)) here.push_back({timeline, std::move(end)});
      return true;
    }));
    for (auto end = here.rbegin(); end != here.rend() && found.size() < kXidsShown; ++end) {
      found.push_back(std::move(*end));
    }
    return {};
  };
  const Status done = database.consistently([&]() -> Status {
    Statement blocks = TRY(
        database.statement("SELECT timeline, block FROM segment_blocks WHERE min_xid <= ? AND max_xid >= ? "
                           "ORDER BY timeline DESC, block DESC"));
    blocks.bind(xid, xid);
    while (found.size() < kXidsShown && TRY(blocks.step())) {
      const std::uint64_t number = static_cast<std::uint64_t>(blocks.integer(1)) * kSegmentsPerBlock;
      Statement rows = TRY(database.statement(
          "SELECT id FROM wal_segments WHERE superseded = 0 AND timeline = ? AND number BETWEEN ? AND ? "
          "AND min_xid <= ? AND max_xid >= ? ORDER BY number DESC"));
      rows.bind(timeline(blocks, 0), number, number + kSegmentsPerBlock - 1, xid, xid);
      while (found.size() < kXidsShown && TRY(rows.step())) {
        TRY(search_row(timeline(blocks, 0), rows.integer(0)));
      }
    }
    return {};
  });
  return filled(done, found);
}

Status Catalog::each_end(const WalRange& range,
                         const std::function<bool(const TransactionEnd&)>& visit) const {
  Database& database = *impl_->database;
  return database.consistently([&] {
    return each_candidate(database, range, false, [&](const Candidate& row) {
      return visit_row(database, row, range,
                       [&](TransactionEnd&& end) { return visit(end) ? Next::more : Next::enough; });
    });
  });
}

}  // namespace walback
