#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "archive/wal_directory.h"
#include "catalog/archive_layout.h"
#include "catalog/rows.h"
#include "os/segment_source.h"
#include "wal/record_reader.h"
#include "wal/timeline_history.h"

namespace walback {

/// How to read one segment: everything that depends on its neighbours is decided here, so that the reading
/// itself knows only bytes.
struct ReadingPlan {
  ReadFrom from;
  /// Records that start before it belong to an older timeline: a switch segment repeats them.
  Lsn own_begin;
  TimelineHistory history;
  /// Where the bytes of earlier segments lie, for a record that began there.
  SegmentSource::Locate locate;
};

/// What reading added: a batch of transaction ends and moments, and how far it came.
struct ReadingBatch {
  std::vector<TransactionEnd> ends;
  std::vector<MomentRow> moments;
  std::uint64_t records = 0;
  std::optional<Lsn> first_record_lsn, last_record_lsn;
  Lsn valid_end_lsn;
};

/// Ends are handed on in batches of this many, so that a 1 GB segment of dense commits needs no memory of its
/// size.
inline constexpr std::size_t kEndsPerBatch = 65'536;

/// Reads from the plan's place to the end of `file`. Each batch but the last goes to `hand_on`; the last,
/// with why reading stopped, is returned.
struct Reading {
  ReadingBatch rest;
  ReadStop stop;
  Error source_error;  ///< behind StopKind::unreadable
};
[[nodiscard]] Result<Reading> read_segment(FileSystem& files, const ArchiveIdentity& identity,
                                           const SegmentFile& file, const ReadingPlan& plan,
                                           const std::function<Status(ReadingBatch&&)>& hand_on);

/// Why this segment must not be used, or empty. Zeroes and half a record are how a `.partial` ends, and
/// damage in a finished segment; half a record at a finished one's very end goes on in the next.
[[nodiscard]] std::string problem_of(const ReadStop& stop, bool partial);

}  // namespace walback
