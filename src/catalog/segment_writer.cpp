#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "catalog/ends_codec.h"
#include "catalog/segment_summary.h"

// Writing wal_segments: the row and its transaction ends.

namespace walback {
namespace {

/// A part is at most so many ends (about 20 kB); extending rewrites only a last part that is smaller.
constexpr std::size_t kEndsPerPart = 4096;
constexpr std::size_t kFullPartBytes = 16'384;

/// The file's name. The segment size is not the catalog's business, but a segment's start tells it; segment
/// 0, which PostgreSQL never writes, has the same name for every size.
Result<std::string> name_of_file(const SegmentRow& segment) {
  const std::uint64_t number = segment.name.number.value;
  const std::uint64_t bytes = number == 0 ? 16U << 20 : segment.start_lsn.value / number;
  const auto size = SegmentSize::from_bytes(bytes);
  if (!size || start_of(segment.name.number, *size) != segment.start_lsn) {
    return fail(ErrorKind::internal, fmt::format("segment {} of timeline {} cannot start at {}", number,
                                                 segment.name.timeline.value, to_string(segment.start_lsn)));
  }
  return file_name(segment.name, *size);
}

// --- What a row says of its transaction ends.

void widen(std::optional<std::uint32_t>& least, std::optional<std::uint32_t>& most, std::uint32_t xid) {
  least = std::min(least.value_or(xid), xid);
  most = std::max(most.value_or(xid), xid);
}

void add_end(StoredSegment& stored, const TransactionEnd& end) {
  SegmentRow& row = stored.row;
  ++(is_commit(end.kind) ? row.commits : row.aborts);
  if (!row.first_time) row.first_time = end.time;
  row.last_time = end.time;
  row.min_time = std::min(row.min_time.value_or(end.time), end.time);
  row.max_time = std::max(row.max_time.value_or(end.time), end.time);
  widen(row.min_xid, row.max_xid, end.xid);
  for (const std::uint32_t xid : end.subxids) widen(row.min_xid, row.max_xid, xid);
  if (!stored.first_xact_lsn) stored.first_xact_lsn = end.lsn;
  stored.last_xact_lsn = end.lsn;
}

Status add_ends(StoredSegment& stored, const std::vector<TransactionEnd>& ends, const std::string& file) {
  for (const TransactionEnd& end : ends) {
    TRY(storable({end.lsn, end.end_lsn}));
    if (stored.last_xact_lsn && end.lsn <= *stored.last_xact_lsn) {
      return fail(ErrorKind::internal,
                  fmt::format("the transaction ends of segment {} do not ascend: {} after {}", file,
                              to_string(end.lsn), to_string(*stored.last_xact_lsn)));
    }
    add_end(stored, end);
  }
  return {};
}

/// The row to write: the caller's, with everything about its ends from the ends themselves. `extended` is the
/// stored row whose ends stay, or null.
Result<StoredSegment> compose(const SegmentRow& segment, const StoredSegment* extended,
                              const std::string& file) {
  StoredSegment stored;
  if (extended != nullptr) stored = *extended;
  const SegmentRow before = stored.row;
  stored.row = segment;
  stored.row.ends.clear();
  stored.row.commits = before.commits;
  stored.row.aborts = before.aborts;
  stored.row.first_time = before.first_time;
  stored.row.last_time = before.last_time;
  stored.row.min_time = before.min_time;
  stored.row.max_time = before.max_time;
  stored.row.min_xid = before.min_xid;
  stored.row.max_xid = before.max_xid;
  TRY(add_ends(stored, segment.ends, file));
  return stored;
}

Status refuse_forgotten_ends(const SegmentRow& segment, const std::string& file) {
  const std::uint64_t counted = segment.commits + segment.aborts;
  if (counted == 0 || counted == segment.ends.size()) return {};
  return fail(ErrorKind::internal,
              fmt::format("segment {} counts {} transaction ends and brings {}: it was read without them",
                          file, counted, segment.ends.size()));
}

// --- Writing.

Result<std::int64_t> upsert(Database& database, const StoredSegment& stored, const std::string& file) {
  const std::int64_t version = TRY(next_version(database));
  Statement statement = TRY(database.statement(R"sql(
INSERT INTO wal_segments (timeline, segment, number, epoch, state, start_lsn, valid_end_lsn, first_record_lsn,
  last_record_lsn, size_bytes, mtime_ns, file_crc32c, records, commits, aborts, first_time_us, last_time_us,
  min_time_us, max_time_us, min_xid, max_xid, first_xact_lsn, last_xact_lsn, problem, version)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (timeline, number, epoch) DO UPDATE SET
  segment = excluded.segment, state = excluded.state, start_lsn = excluded.start_lsn,
  valid_end_lsn = excluded.valid_end_lsn, first_record_lsn = excluded.first_record_lsn,
  last_record_lsn = excluded.last_record_lsn, size_bytes = excluded.size_bytes, mtime_ns = excluded.mtime_ns,
  file_crc32c = excluded.file_crc32c, records = excluded.records, commits = excluded.commits,
  aborts = excluded.aborts, first_time_us = excluded.first_time_us, last_time_us = excluded.last_time_us,
  min_time_us = excluded.min_time_us, max_time_us = excluded.max_time_us, min_xid = excluded.min_xid,
  max_xid = excluded.max_xid, first_xact_lsn = excluded.first_xact_lsn, last_xact_lsn = excluded.last_xact_lsn,
  problem = excluded.problem, version = excluded.version
RETURNING id)sql"));
  const SegmentRow& row = stored.row;
  statement.bind(row.name.timeline, file, row.name.number, row.epoch, name_of(row.state), row.start_lsn,
                 row.valid_end_lsn, row.first_record_lsn, row.last_record_lsn, row.size_bytes, row.mtime_ns,
                 row.file_crc32c, row.records, row.commits, row.aborts, row.first_time, row.last_time,
                 row.min_time, row.max_time, row.min_xid, row.max_xid, stored.first_xact_lsn,
                 stored.last_xact_lsn, row.problem, version);
  if (!TRY(statement.step())) return database.failure();
  return statement.integer(0);
}

Status write_parts(Database& database, std::int64_t id, std::int64_t part,
                   std::span<const TransactionEnd> ends) {
  while (!ends.empty()) {
    const auto head = ends.first(std::min(ends.size(), kEndsPerPart));
    const std::string blob = encode_ends(head);
    Statement statement = TRY(
        database.statement("INSERT OR REPLACE INTO segment_ends (segment_id, part, ends) VALUES (?, ?, ?)"));
    statement.bind(id, part);
    statement.bind_blob(3, blob);
    TRY(statement.run());
    ends = ends.subspan(head.size());
    ++part;
  }
  return {};
}

Status replace_ends(Database& database, std::int64_t id, std::span<const TransactionEnd> ends) {
  Statement statement = TRY(database.statement("DELETE FROM segment_ends WHERE segment_id = ?"));
  TRY(statement.bind(id).run());
  return write_parts(database, id, 0, ends);
}

Status append_ends(Database& database, std::int64_t id, std::span<const TransactionEnd> ends) {
  if (ends.empty()) return {};
  std::int64_t part = 0;
  std::string blob;
  {
    Statement statement = TRY(database.statement(
        "SELECT part, ends FROM segment_ends WHERE segment_id = ? ORDER BY part DESC LIMIT 1"));
    if (TRY(statement.bind(id).step())) {
      part = statement.integer(0);
      blob = statement.blob(1);
    }
  }
  if (blob.empty()) return write_parts(database, id, part, ends);
  if (blob.size() >= kFullPartBytes) return write_parts(database, id, part + 1, ends);
  std::vector<TransactionEnd> merged = TRY(decode_ends(blob));
  merged.insert(merged.end(), ends.begin(), ends.end());
  return write_parts(database, id, part, merged);
}

/// Whoever reads a segment while it expires must not bring its row back.
Status refuse_expired(Database& database, const SegmentRow& segment, const std::string& file) {
  Statement statement = TRY(database.statement("SELECT 1 FROM expired_wal WHERE timeline = ? AND below > ?"));
  statement.bind(segment.name.timeline, segment.name.number);
  if (!TRY(statement.step())) return {};
  return fail(ErrorKind::unavailable, fmt::format("segment {} expired while it was read", file),
              "Try again: what retention has let go is no longer looked at.");
}

enum class Ends : std::uint8_t { replace, append };

Status write_segment(Database& database, const SegmentRow& segment, Ends ends) {
  TRY(storable({segment.start_lsn, segment.valid_end_lsn, segment.first_record_lsn.value_or(Lsn{}),
                segment.last_record_lsn.value_or(Lsn{})}));
  const std::string file = TRY(name_of_file(segment));
  if (ends == Ends::replace) TRY(refuse_forgotten_ends(segment, file));
  return database.atomically([&]() -> Status {
    TRY(refuse_expired(database, segment, file));
    const auto before = TRY(find_stored(database, segment.name, segment.epoch));
    const bool append = ends == Ends::append && before;
    const StoredSegment now = TRY(compose(segment, append ? &*before : nullptr, file));
    const std::int64_t id = TRY(upsert(database, now, file));
    if (append) {
      TRY(append_ends(database, id, segment.ends));
    } else if (before) {
      TRY(replace_ends(database, id, segment.ends));
    } else {
      TRY(write_parts(database, id, 0, segment.ends));
    }
    return summarise(database, now.row, before);
  });
}

}  // namespace

Status Catalog::put_segment(const SegmentRow& segment) {
  return write_segment(*impl_->database, segment, Ends::replace);
}

Status Catalog::extend_segment(const SegmentRow& segment) {
  return write_segment(*impl_->database, segment, Ends::append);
}

Status Catalog::set_segment_problem(SegmentName name, std::uint32_t epoch, const std::string& problem) {
  Database& database = *impl_->database;
  return database.atomically([&]() -> Status {
    const auto stored = TRY(find_stored(database, name, epoch));
    if (!stored) {
      return fail(ErrorKind::not_found,
                  fmt::format("segment {} of timeline {} in epoch {} is not in the catalog",
                              name.number.value, name.timeline.value, epoch));
    }
    const std::int64_t version = TRY(next_version(database));
    Statement statement =
        TRY(database.statement("UPDATE wal_segments SET problem = ?, version = ? WHERE id = ?"));
    TRY(statement.bind(problem, version, stored->id).run());
    return TRY(has_other_epochs(database, name)) ? judge_epochs(database, name) : Status{};
  });
}

}  // namespace walback
