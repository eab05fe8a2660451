#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <stop_token>
#include <string>

#include "archive/archive_context.h"
#include "archive/segment_reading.h"
#include "archive/timelines.h"
#include "archive/wal_directory.h"
#include "catalog/catalog.h"

/// Takes what the capturer wrote into the catalog (docs/design.md, steps 3 to 6).
///
/// A record belongs to the segment in which it ENDS, so reading goes on at the `valid_end_lsn` of the row
/// before (or of the row itself, while its file grows), and a record across a border is read again from the
/// previous file. A finished segment's row is final when it is written: file first, row second, in one
/// transaction. After a crash at any point the same pass does the same again.
///
/// Reading starts at the first record at or after the segment's start instead where nothing usable precedes:
/// at the archive's first segment and behind a gap. When what precedes turns up later, the segment that does
/// not go on there is read again: a gap heals by itself.
///
/// A switch segment of a newer timeline repeats its parent's records. They stay the parent's, unless the
/// parent was not captured that far.
///
/// Damage is a `problem` on the row, said once as an ERROR when it appears:
///   "damaged at <lsn>: …"   usable up to there         "missing: …"          indexed before, gone now
///   "foreign: …"            another cluster's          "wrong size: …"       not wal_segment_size bytes
///   "unknown version: …"    not PostgreSQL 15 to 18    "unreadable: …"       the disk refused
///   "no history: …"         the timeline's path to here is not known
namespace walback {

/// news: what the newest segment's file says, a few system calls when nothing is new. all: every file and
/// row.
enum class Scan : std::uint8_t { news, all };

struct IntakeReport {
  bool complete = true;  ///< false: a stop was requested before the end
  std::uint64_t segments_read = 0;
  std::uint64_t records = 0;
};

class Intake {
 public:
  Intake(const ArchiveContext& archive, Catalog& catalog);

  /// The first pass is always `all`. What fails for one segment becomes its problem; an error means that the
  /// catalog or the directories could not be used, and the pass is to be repeated.
  [[nodiscard]] Result<IntakeReport> pass(Scan scan, std::stop_token stop = {});
  /// Hears of each segment that a scan has dealt with.
  void on_segment(std::function<void(SegmentName)> hear) { hear_ = std::move(hear); }

 private:
  struct Tail {
    std::uint32_t epoch = 1;
    SegmentName name;
  };
  /// What is known of a segment and of the one before it.
  struct Neighbours {
    std::optional<SegmentRow> known, previous;
    bool previous_was_read = false;
  };

  [[nodiscard]] Status scan_all();
  [[nodiscard]] Status scan_epoch(const EpochFiles& listed);
  [[nodiscard]] Status mark_vanished(const std::map<SegmentName, SegmentRow>& rows, const EpochFiles& listed);
  [[nodiscard]] Status follow_tail();
  void report_names(const EpochFiles& listed);
  void report_missing_histories(const std::vector<EpochFiles>& all);

  [[nodiscard]] Result<std::optional<SegmentRow>> previous_row(SegmentName name, std::uint32_t epoch);
  [[nodiscard]] bool needs_reading(const FoundSegment& found, const Neighbours& rows) const;
  [[nodiscard]] bool turned_up_later(const Neighbours& rows) const;
  [[nodiscard]] bool other_bytes(const FoundSegment& found, const SegmentRow& row) const;
  [[nodiscard]] Result<bool> still_holds(const FoundSegment& found, const Neighbours& rows);
  /// The row as it stands now; nothing: the file went away while it was read.
  [[nodiscard]] Result<std::optional<SegmentRow>> index_segment(const FoundSegment& found,
                                                                const Neighbours& rows);
  [[nodiscard]] Result<std::optional<SegmentRow>> read_into(const FoundSegment& found, const Neighbours& rows,
                                                            SegmentRow row, bool goes_on);
  [[nodiscard]] Result<ReadingPlan> plan_reading(const FoundSegment& found, const Neighbours& rows,
                                                 const TimelineHistory& history, bool goes_on);
  [[nodiscard]] Result<Lsn> own_begin(const TimelineHistory& history, SegmentName name);
  [[nodiscard]] SegmentRow fresh_row(const FoundSegment& found) const;
  [[nodiscard]] SegmentState state_of(const SegmentFile& file) const;
  [[nodiscard]] std::int64_t settled_mtime(const FoundSegment& found) const;
  void say(const std::optional<SegmentRow>& before, const SegmentRow& now, std::int64_t begun_us);

  ArchiveContext archive_;
  Catalog& catalog_;
  SegmentSize size_;
  Timelines timelines_;
  std::optional<Tail> tail_;
  std::set<std::string> reported_;
  IntakeReport report_;
  std::stop_token stop_;
  std::function<void(SegmentName)> hear_ = [](SegmentName) {};
  bool gaps_may_differ_ = true;
  bool loaded_ = false;
};

/// CRC-32C of a whole file.
[[nodiscard]] Result<std::uint32_t> file_crc32c(FileSystem& files, const Path& path);

}  // namespace walback
