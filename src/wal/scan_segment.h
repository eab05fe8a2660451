#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "wal/record_reader.h"

namespace walback {

/// What one segment adds to the index: the records that END in it. A record that only begins there belongs to
/// a later segment's scan. So every record is in exactly one scan, whether segments are scanned one behind
/// the other or each by itself.
struct SegmentScan {
  Lsn valid_end_lsn;  ///< end of the last valid record known; the next scan goes on here
  std::optional<Lsn> first_record_lsn,
      last_record_lsn;  ///< STARTs of the first and last record that end here
  std::uint64_t records = 0, commits = 0, aborts = 0;
  std::optional<Timestamp> first_time, last_time;  ///< of the first and last transaction end, in WAL order
  std::optional<Timestamp> min_time, max_time;
  std::optional<std::uint32_t> min_xid, max_xid;  ///< of commits and aborts, subtransactions too
  std::vector<TransactionEnd> ends;
  std::vector<Event> events;
  /// A record that a crash cut off, and where the one that took its place begins: [first, second) holds no
  /// record, and is no gap.
  struct GivenUp {
    Lsn lsn, next_lsn;
    bool operator==(const GivenUp&) const = default;
  };
  std::vector<GivenUp> given_up;
  unsigned server_major = 0;  ///< 0: no page was read

  /// Of a segment scanned by itself: a record ends at this position whose beginning the source does not hold,
  /// so it is not counted here. Nothing: no such record.
  std::optional<Lsn> headless_end;

  ReadStop stop;
  /// The segment was read to its end: nothing invalid in it.
  [[nodiscard]] bool complete() const { return stop.kind == StopKind::end_of_range; }
  /// WAL of this very place further on in this segment, behind what could not be read. Then the stop is
  /// damage and not the end, unless the segment grew during the scan: scan again from valid_end_lsn to tell.
  /// Nothing proves nothing: damage in the last page looks like a record that is still being written.
  std::optional<Lsn> wal_behind_stop;

  bool operator==(const SegmentScan&) const = default;
};

struct SegmentScanRequest {
  std::uint64_t system_identifier = 0;
  SegmentSize segment_size;
  std::vector<TimelineId> timelines;  ///< the segment's timeline and its ancestors
  SegmentNumber segment;
  /// valid_end_lsn (and last_record_lsn) of the scan before: of this segment when it was shorter, or of the
  /// one before it. Nothing: the segment is scanned by itself; then the record that crosses into it is found
  /// by the back pointer of its successor, or else by reading the segments before.
  std::optional<Lsn> resume_at;
  std::optional<Lsn> previous_record;
};

/// Reads the segment once. An error only where the source fails; everything that is wrong with the bytes is
/// in `stop`.
[[nodiscard]] Result<SegmentScan> scan_segment(WalSource& source, const SegmentScanRequest& request);

/// Adds what a later scan of the same segment, resumed at `scan.valid_end_lsn`, found.
void append(SegmentScan& scan, SegmentScan&& more);

}  // namespace walback
