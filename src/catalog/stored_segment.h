#pragma once
#include <string>

#include "catalog/catalog_impl.h"

// A row of wal_segments as it is stored. Private to catalog/.

// A macro, because SQL texts are the keys of the statement cache and must be literals.
#define SEGMENT_COLUMNS                                                                                     \
  "id, timeline, number, epoch, state, start_lsn, valid_end_lsn, first_record_lsn, last_record_lsn, "       \
  "size_bytes, mtime_ns, file_crc32c, records, commits, aborts, first_time_us, last_time_us, min_time_us, " \
  "max_time_us, min_xid, max_xid, problem, superseded, version, first_xact_lsn, last_xact_lsn"

namespace walback {

struct StoredSegment {
  std::int64_t id = 0, version = 0;
  std::optional<Lsn> first_xact_lsn, last_xact_lsn;
  SegmentRow row;
};

[[nodiscard]] Result<StoredSegment> read_stored(Database& database, const Statement& row);
[[nodiscard]] Result<std::optional<StoredSegment>> find_stored(Database& database, SegmentName name,
                                                               std::uint32_t epoch);

}  // namespace walback
