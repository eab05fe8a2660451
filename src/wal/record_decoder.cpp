#include "wal/record_decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "wal/page.h"

namespace walback {
namespace {

/// Reads little-endian values one behind the other. Past the end it yields zeroes and remembers it.
class Cursor {
 public:
  explicit Cursor(std::span<const char> bytes) : rest_(bytes) {}

  template <class T>
  T take() {
    if (rest_.size() < sizeof(T)) {
      short_ = true;
      rest_ = {};
      return T{};
    }
    const T value = load<T>(rest_.data());
    rest_ = rest_.subspan(sizeof(T));
    return value;
  }
  void skip(std::size_t bytes) {
    short_ = short_ || bytes > rest_.size();
    rest_ = rest_.subspan(std::min(bytes, rest_.size()));
  }
  /// A count of items of `item_bytes` each that must all be there.
  std::size_t take_count(std::size_t item_bytes) {
    const auto count = take<std::int32_t>();
    if (count < 0 || static_cast<std::size_t>(count) > rest_.size() / item_bytes) {
      short_ = true;
      return 0;
    }
    return static_cast<std::size_t>(count);
  }
  /// Up to a zero byte, which must be there.
  std::string take_text() {
    const auto zero = std::ranges::find(rest_, '\0');
    short_ = short_ || zero == rest_.end();
    std::string text(rest_.begin(), zero);
    skip(text.size() + 1);
    return text;
  }
  [[nodiscard]] std::size_t left() const { return rest_.size(); }
  [[nodiscard]] bool is_short() const { return short_; }

 private:
  std::span<const char> rest_;
  bool short_ = false;
};

/// Any number may stand where a time should: it is kept within what a Timestamp can hold.
Timestamp take_time(Cursor& cursor) {
  constexpr std::int64_t kLatest = std::numeric_limits<std::int64_t>::max() - 1'000'000'000'000'000;
  return from_postgres(std::min(cursor.take<std::int64_t>(), kLatest));
}
/// A pg_time_t: seconds since 1970.
Timestamp take_unix_time(Cursor& cursor) {
  constexpr std::int64_t kSecond = 1'000'000;
  constexpr std::int64_t kLatest = std::numeric_limits<std::int64_t>::max() / kSecond;
  return {std::clamp(cursor.take<std::int64_t>(), -kLatest, kLatest) * kSecond};
}

constexpr std::size_t kInvalidationMessage = 16;
constexpr std::uint32_t kStatsOfRelation = 2;  // PGSTAT_KIND_RELATION

/// The header of a block reference: passes over it and yields how many bytes of data it announces.
std::uint64_t skip_block_header(Cursor& cursor) {
  constexpr std::uint8_t kHasImage = 0x10, kSameRelation = 0x80, kHasHole = 0x01, kCompressed = 0x1C;
  const auto flags = cursor.take<std::uint8_t>();
  std::uint64_t announced = cursor.take<std::uint16_t>();
  if ((flags & kHasImage) != 0) {
    announced += cursor.take<std::uint16_t>();
    cursor.skip(2);  // where the hole begins
    const auto image = cursor.take<std::uint8_t>();
    if ((image & kHasHole) != 0 && (image & kCompressed) != 0) cursor.skip(2);
  }
  if ((flags & kSameRelation) == 0) cursor.skip(12);
  cursor.skip(4);  // block number
  return announced;
}

/// The record's main data: announced last, and lying last.
std::optional<std::span<const char>> main_data(std::span<const char> body) {
  Cursor cursor(body);
  std::uint64_t announced = 0;
  std::uint64_t main_bytes = 0;
  while (cursor.left() > announced && !cursor.is_short()) {
    const auto tag = cursor.take<std::uint8_t>();
    if (tag == body_tag::data_short || tag == body_tag::data_long) {
      main_bytes = tag == body_tag::data_short ? cursor.take<std::uint8_t>() : cursor.take<std::uint32_t>();
      announced += main_bytes;
      break;
    }
    if (tag == body_tag::origin) {
      cursor.skip(2);
    } else if (tag == body_tag::toplevel_xid) {
      cursor.skip(4);
    } else if (tag <= body_tag::last_block) {
      announced += skip_block_header(cursor);
    } else {
      return std::nullopt;
    }
  }
  if (cursor.is_short() || cursor.left() != announced) return std::nullopt;
  return body.subspan(body.size() - main_bytes);
}

void take_xids(Cursor& cursor, std::vector<std::uint32_t>& xids) {
  const auto count = cursor.take_count(sizeof(std::uint32_t));
  xids.reserve(count);
  for (std::size_t i = 0; i < count; ++i) xids.push_back(cursor.take<std::uint32_t>());
}

void take_files(Cursor& cursor, std::vector<RelationFiles>& files) {
  const auto count = cursor.take_count(sizeof(RelationFiles));
  files.reserve(count);
  for (std::size_t i = 0; i < count; ++i) files.push_back(cursor.take<RelationFiles>());
}

/// The object's number grew to 64 bits in 18; a relation's is an OID all the same.
void take_dropped_stats(Cursor& cursor, unsigned server_major, std::vector<DroppedRelation>& relations) {
  const bool wide = server_major >= 18;
  const auto count = cursor.take_count(wide ? 16 : 12);
  for (std::size_t i = 0; i < count; ++i) {
    const auto kind = cursor.take<std::uint32_t>();
    const auto database = cursor.take<std::uint32_t>();
    const auto object = cursor.take<std::uint32_t>();
    if (wide) cursor.skip(4);
    if (kind == kStatsOfRelation) relations.push_back({database, object});
  }
}

TransactionEndKind kind_of(std::uint8_t operation) {
  switch (operation) {
    case transaction_op::commit:
      return TransactionEndKind::commit;
    case transaction_op::abort:
      return TransactionEndKind::abort;
    case transaction_op::commit_prepared:
      return TransactionEndKind::commit_prepared;
    default:
      return TransactionEndKind::abort_prepared;
  }
}

void decode_transaction_end(const RawRecord& record, unsigned server_major, Cursor& cursor,
                            Decoded& decoded) {
  auto& end = decoded.transaction_end;
  decoded.ends_transaction = true;
  end.lsn = record.lsn;
  end.end_lsn = record.end_lsn;
  end.kind = kind_of(record.info & transaction_op::mask);
  end.xid = record.xid;
  end.time = take_time(cursor);
  end.subxids.clear();
  end.removed_files.clear();
  end.dropped_relations.clear();

  const bool has_info = (record.info & transaction_op::has_info) != 0;
  const auto flags = has_info ? cursor.take<std::uint32_t>() : 0;
  if ((flags & xinfo::has_dbinfo) != 0) cursor.skip(8);
  if ((flags & xinfo::has_subxacts) != 0) take_xids(cursor, end.subxids);
  if ((flags & xinfo::has_relfilenodes) != 0) take_files(cursor, end.removed_files);
  if ((flags & xinfo::has_dropped_stats) != 0) {
    take_dropped_stats(cursor, server_major, end.dropped_relations);
  }
  // An abort has no invalidation messages, and PostgreSQL would not look for them there.
  if ((flags & xinfo::has_invals) != 0 && is_commit(end.kind)) {
    cursor.skip(cursor.take_count(kInvalidationMessage) * kInvalidationMessage);
  }
  if ((flags & xinfo::has_twophase) != 0) {
    end.xid = cursor.take<std::uint32_t>();
    if ((flags & xinfo::has_gid) != 0) (void)cursor.take_text();
  }
  if ((flags & xinfo::has_origin) != 0) cursor.skip(16);
}

void decode_checkpoint(bool shutdown, Cursor& cursor, auto&& add) {
  const Lsn redo{cursor.take<std::uint64_t>()};
  const TimelineId timeline{cursor.take<std::uint32_t>()};
  const TimelineId previous{cursor.take<std::uint32_t>()};
  cursor.skip(48);  // full_page_writes to the oldest multixact's database
  const auto time = take_unix_time(cursor);
  cursor.skip(12);  // commit timestamps' range, oldest active xid
  if (shutdown && timeline != previous) add(TimelineSwitched{timeline, previous, time});
  add(CheckpointDone{redo, timeline, previous, shutdown});
}

ParametersChanged take_parameters(Cursor& cursor) {
  ParametersChanged parameters;
  parameters.max_connections = cursor.take<std::int32_t>();
  parameters.max_worker_processes = cursor.take<std::int32_t>();
  parameters.max_wal_senders = cursor.take<std::int32_t>();
  parameters.max_prepared_transactions = cursor.take<std::int32_t>();
  parameters.max_locks_per_transaction = cursor.take<std::int32_t>();
  parameters.wal_level = cursor.take<std::int32_t>();
  parameters.wal_log_hints = cursor.take<std::uint8_t>() != 0;
  parameters.track_commit_timestamp = cursor.take<std::uint8_t>() != 0;
  return parameters;
}

void decode_xlog(const RawRecord& record, Cursor& cursor, Decoded& decoded, auto&& add) {
  switch (record.info & 0xF0) {
    case xlog_op::checkpoint_shutdown:
      return decode_checkpoint(true, cursor, add);
    case xlog_op::checkpoint_online:
      return decode_checkpoint(false, cursor, add);
    case xlog_op::backup_end:
      return add(BackupEnded{{cursor.take<std::uint64_t>()}});
    case xlog_op::parameter_change:
      return add(take_parameters(cursor));
    case xlog_op::restore_point: {
      const auto time = take_time(cursor);
      return add(RestorePointSet{time, cursor.take_text()});
    }
    case xlog_op::end_of_recovery: {
      const auto time = take_time(cursor);
      const TimelineId timeline{cursor.take<std::uint32_t>()};
      const TimelineId previous{cursor.take<std::uint32_t>()};
      if (timeline != previous) add(TimelineSwitched{timeline, previous, time});
      return;
    }
    default:
      decoded.overwritten = Lsn{cursor.take<std::uint64_t>()};
  }
}

void decode_tablespace(const RawRecord& record, Cursor& cursor, auto&& add) {
  const auto oid = cursor.take<std::uint32_t>();
  if ((record.info & 0xF0) == tablespace_op::drop) return add(TablespaceDropped{oid});
  add(TablespaceCreated{oid, cursor.take_text()});
}

}  // namespace

bool is_of_interest(std::uint8_t rmid, std::uint8_t info) {
  const std::uint8_t operation = info & 0xF0;
  switch (rmid) {
    case rmgr::transaction: {
      const std::uint8_t end = info & transaction_op::mask;
      return end == transaction_op::commit || end == transaction_op::abort ||
             end == transaction_op::commit_prepared || end == transaction_op::abort_prepared;
    }
    case rmgr::xlog:
      return operation == xlog_op::checkpoint_shutdown || operation == xlog_op::checkpoint_online ||
             operation == xlog_op::backup_end || operation == xlog_op::parameter_change ||
             operation == xlog_op::restore_point || operation == xlog_op::end_of_recovery ||
             operation == xlog_op::overwrite_contrecord;
    case rmgr::tablespace:
      return operation == tablespace_op::create || operation == tablespace_op::drop;
    case rmgr::database:
      return operation == database_op::drop;
    default:
      return false;
  }
}

std::optional<std::string> decode_record(const RawRecord& record, unsigned server_major, Decoded& decoded) {
  const auto data = main_data(record.body);
  if (!data) return "its parts do not add up to its length";
  Cursor cursor(*data);
  const auto add = [&](auto&& what) {
    decoded.events.push_back({record.lsn, record.end_lsn, record.xid, std::forward<decltype(what)>(what)});
  };
  if (record.rmid == rmgr::transaction) {
    decode_transaction_end(record, server_major, cursor, decoded);
  } else if (record.rmid == rmgr::xlog) {
    decode_xlog(record, cursor, decoded, add);
  } else if (record.rmid == rmgr::tablespace) {
    decode_tablespace(record, cursor, add);
  } else {
    add(DatabaseDropped{cursor.take<std::uint32_t>()});
  }
  if (cursor.is_short()) {
    return fmt::format(
        "its {} bytes of data (resource manager {}, info {:02X}) are too short for what they announce",
        data->size(), record.rmid, record.info);
  }
  return std::nullopt;
}

}  // namespace walback
