#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "catalog/expired_rows.h"
#include "catalog/rows.h"
#include "catalog/verified_rows.h"
#include "os/file_system.h"

namespace walback {

/// A part of one timeline: [from, to). A restore's history is a few of these, oldest first. A record belongs
/// to the range when its START does. `to` may be Lsn{UINT64_MAX}: to the end.
struct WalRange {
  TimelineId timeline;
  Lsn from, to;
};

/// The SQLite index of one archive. Readers never block the writer (WAL journal mode), and no query costs
/// more with what is there than an index look-up or, for times and xids, a walk over one summary row per 256
/// segments.
///
/// Derived data: a power cut may take the last transactions (never the file), and whoever wrote them writes
/// them again. One Catalog serves one thread; open another for another. A `visit` may read the catalog, and
/// must not write to it.
///
/// Where two epochs hold the same segment, ONE row counts in every query here (the sound one before the
/// damaged, then the one that reaches further, then the newer epoch); the others are kept and marked
/// `superseded`.
///
/// Errors: corrupt for a damaged file, conflict for a schema newer than ours, disk_full, unavailable when
/// another process has been writing for 10 s, not_found from open_read_only.
class Catalog {
 public:
  /// Creates it when absent, migrates an older schema. `:memory:` for tests.
  [[nodiscard]] static Result<Catalog> open(const Path& path);
  [[nodiscard]] static Result<Catalog> open_read_only(const Path& path);
  Catalog(Catalog&&) noexcept;
  Catalog& operator=(Catalog&&) noexcept;
  ~Catalog();

  /// Runs `work` in one transaction: all of it or nothing.
  [[nodiscard]] Status transaction(const std::function<Status()>& work);
  /// From now on this connection's transactions survive a power cut: for what must not count again after it.
  [[nodiscard]] Status write_through();
  /// Every read in `work` sees the catalog as it was at the first of them.
  [[nodiscard]] Status consistent_reads(const std::function<Status()>& work) const;

  // Segments.
  /// Writes the row and its transaction ends, in the place of an older one of the same timeline, number and
  /// epoch. Counts, times and xids are taken from `ends`, which must ascend. A row that says it has ends and
  /// brings others (one that was read without them) is refused: writing it would forget commits.
  [[nodiscard]] Status put_segment(const SegmentRow& segment);
  /// For the `.partial` that grows: `segment` as above but its `ends` hold only what is new, behind all that
  /// are stored; its counts, times and xids are ignored. Costs what is new, not what is there.
  [[nodiscard]] Status extend_segment(const SegmentRow& segment);
  [[nodiscard]] Status set_segment_problem(SegmentName name, std::uint32_t epoch, const std::string& problem);
  /// With its ends, and with the moments of its records where no other epoch has the segment. Another epoch's
  /// row counts from now on. Not there: success.
  [[nodiscard]] Status remove_segment(SegmentName name, std::uint32_t epoch);
  [[nodiscard]] Result<std::optional<SegmentRow>> segment(SegmentName name) const;  ///< the one that counts
  [[nodiscard]] Result<std::optional<SegmentRow>> segment(SegmentName name, std::uint32_t epoch) const;
  [[nodiscard]] Result<std::optional<SegmentRow>> segment_with_ends(SegmentName name,
                                                                    std::uint32_t epoch) const;
  [[nodiscard]] Result<std::optional<SegmentRow>> newest_segment(TimelineId timeline) const;
  [[nodiscard]] Result<std::optional<SegmentRow>> oldest_segment(TimelineId timeline) const;
  [[nodiscard]] Result<std::optional<SegmentRow>> newest_segment_before(
      SegmentName name) const;  ///< same timeline
  /// In (timeline, number) order, without their ends; `visit` returns false to stop.
  [[nodiscard]] Status each_segment(const std::function<bool(const SegmentRow&)>& visit) const;
  [[nodiscard]] Status each_segment(TimelineId timeline, SegmentNumber from, SegmentNumber to_inclusive,
                                    const std::function<bool(const SegmentRow&)>& visit) const;
  /// Consecutive finished segments of one epoch without a problem as one run, any other segment as a run of
  /// its own: what a plan over 100,000 segments can afford to ask.
  struct Run {
    SegmentNumber first, last;  ///< both included
    std::uint32_t epoch = 1;
    bool sound = true;  ///< finished, without a problem
  };
  [[nodiscard]] Status each_segment_run(TimelineId timeline, SegmentNumber from, SegmentNumber to_inclusive,
                                        const std::function<bool(const Run&)>& visit) const;
  /// All rows of an epoch, superseded ones too, in (timeline, number) order.
  [[nodiscard]] Status each_segment_of_epoch(std::uint32_t epoch,
                                             const std::function<bool(const SegmentRow&)>& visit) const;
  /// Rows that changed after `version`, superseded ones too, at most `limit`, in the order of change: what
  /// the mirror still has to write. `newest` is what to pass as `version` next time.
  [[nodiscard]] Result<std::vector<SegmentRow>> segments_changed_since(std::int64_t version, int limit,
                                                                       std::int64_t& newest) const;

  /// Does exactly one epoch have it?
  [[nodiscard]] Result<bool> held_once(SegmentName name) const;
  /// How often rows were removed, since the catalog was made. Whoever copies rows compares it, and keeps what
  /// lies in the spans: the files of the rows that count, consecutive ones joined.
  [[nodiscard]] Result<std::int64_t> segment_removals() const;
  struct FileSpan {
    TimelineId timeline;
    std::string first, last;  ///< both included
  };
  [[nodiscard]] Result<std::vector<FileSpan>> segment_spans() const;

  // Transaction ends, by position, time and xid.
  [[nodiscard]] Result<std::optional<TransactionEnd>> first_end_stamped_after(const WalRange& range,
                                                                              Timestamp time) const;
  [[nodiscard]] Result<std::optional<TransactionEnd>> first_end_at_or_after(const WalRange& range,
                                                                            bool commits_only) const;
  [[nodiscard]] Result<std::optional<TransactionEnd>> last_end_before(
      const WalRange& range, bool commits_only) const;  ///< the last whose START < range.to
  /// How many commits of the range are stamped at or before `time`, and the first few of them.
  struct Stragglers {
    std::uint64_t count = 0;
    std::vector<TransactionEnd> first;
  };
  static constexpr std::size_t kStragglersShown = 8;
  [[nodiscard]] Result<Stragglers> commits_stamped_at_or_before(const WalRange& range, Timestamp time) const;
  /// Ends of the transaction with this xid, be it the top-level one or a subtransaction; newest first, at
  /// most 8.
  struct FoundEnd {
    TimelineId timeline;
    TransactionEnd end;
  };
  [[nodiscard]] Result<std::vector<FoundEnd>> find_xid(std::uint32_t xid) const;
  [[nodiscard]] Status each_end(const WalRange& range,
                                const std::function<bool(const TransactionEnd&)>& visit) const;

  // Moments.
  [[nodiscard]] Status put_moment(const MomentRow& moment);
  /// Those whose record ends in (from, to]: what a segment that is read anew has brought.
  [[nodiscard]] Status remove_moments(TimelineId timeline, Lsn from, Lsn to);
  /// In WAL order.
  [[nodiscard]] Result<std::vector<MomentRow>> moments(const WalRange& range,
                                                       std::optional<MomentKind> kind) const;
  [[nodiscard]] Result<std::vector<MomentRow>> restore_points(const std::string& name) const;

  // Gaps, timelines, watermarks.
  /// A gap keeps its first `detected_at`, and stays accepted while its extent is the same.
  [[nodiscard]] Status put_gap(const GapRow& gap);
  [[nodiscard]] Status remove_gap(TimelineId timeline, Lsn from);
  [[nodiscard]] Result<std::vector<GapRow>> gaps() const;
  /// A captured history is never replaced by "not captured".
  [[nodiscard]] Status put_timeline(const TimelineRow& timeline);
  [[nodiscard]] Result<std::vector<TimelineRow>> timelines() const;
  /// One row a (timeline, LSN): the one that was put last, in the order in which they were taken.
  [[nodiscard]] Status put_watermark(const WatermarkRow& watermark);
  /// The one taken last among those with LSN <= `up_to`: the furthest in the WAL, not the one with the latest
  /// time. Where the primary's clock was set back, what an older one says of later times is void.
  [[nodiscard]] Result<std::optional<WatermarkRow>> newest_watermark(TimelineId timeline,
                                                                     Lsn up_to = {UINT64_MAX}) const;

  // Base backups and restores.
  [[nodiscard]] Status put_backup(const BackupRow& backup);
  [[nodiscard]] Status remove_backup(const std::string& id);
  [[nodiscard]] Result<std::vector<BackupRow>> backups() const;    ///< oldest first
  [[nodiscard]] Status put_restore(const RestoreRow& restore);     ///< by name
  [[nodiscard]] Result<std::vector<RestoreRow>> restores() const;  ///< newest first
  [[nodiscard]] Result<std::optional<RestoreRow>> restore(const std::string& name) const;

  // What was verified, and drills.
  /// In the place of every run that it covers.
  [[nodiscard]] Status put_verified(const VerifiedRun& run);
  [[nodiscard]] Result<std::vector<VerifiedRun>> verified_runs() const;  ///< in WAL order
  [[nodiscard]] Status put_verified(const VerifiedBackup& backup);
  [[nodiscard]] Result<std::optional<VerifiedBackup>> verified_backup(const std::string& id) const;
  [[nodiscard]] Status put_drill(const DrillRow& drill);       ///< by the moment at which it began
  [[nodiscard]] Result<std::vector<DrillRow>> drills() const;  ///< newest first

  // What retention has let go.
  /// In one transaction with all rows of the timeline that lie below. A floor that was higher stays: success.
  [[nodiscard]] Status expire_wal(const ExpiredWal& expired);
  [[nodiscard]] Result<std::vector<ExpiredWal>> expired_wal() const;
  /// With the backup's row.
  [[nodiscard]] Status expire_backup(const ExpiredBackup& expired);
  [[nodiscard]] Result<std::vector<ExpiredBackup>> expired_backups() const;
  /// Its files are gone too.
  [[nodiscard]] Status forget_expired_backup(const std::string& id);

  // Small facts of ours: "mirror_version", …
  [[nodiscard]] Result<std::optional<std::string>> fact(const std::string& key) const;
  [[nodiscard]] Status put_fact(const std::string& key, const std::string& value);

 private:
  struct Impl;
  explicit Catalog(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace walback
