#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "catalog/rows.h"
#include "os/file_system.h"

namespace walback {

/// A part of one timeline: [from, to). A restore's history is a few of these, oldest first.
struct WalRange {
  TimelineId timeline;
  Lsn from, to;
};

/// The SQLite index of one archive. Readers never block the writer (WAL journal mode), and each query costs
/// the logarithm of what is there. Errors: corrupt for a damaged file, conflict for a schema newer than ours,
/// disk_full.
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

  // Segments. Writing one writes its transaction ends as a blob and keeps the running maximum of time.
  [[nodiscard]] Status put_segment(const SegmentRow& segment);
  [[nodiscard]] Status set_segment_problem(SegmentName name, std::uint32_t epoch, const std::string& problem);
  [[nodiscard]] Result<std::optional<SegmentRow>> segment(SegmentName name) const;  ///< the newest epoch's
  [[nodiscard]] Result<std::optional<SegmentRow>> newest_segment(TimelineId timeline) const;
  [[nodiscard]] Result<std::optional<SegmentRow>> oldest_segment(TimelineId timeline) const;
  [[nodiscard]] Result<std::optional<SegmentRow>> newest_segment_before(
      SegmentName name) const;  ///< same timeline
  /// In (timeline, number) order, without their ends; `visit` returns false to stop.
  [[nodiscard]] Status each_segment(const std::function<bool(const SegmentRow&)>& visit) const;
  [[nodiscard]] Status each_segment(TimelineId timeline, SegmentNumber from, SegmentNumber to_inclusive,
                                    const std::function<bool(const SegmentRow&)>& visit) const;
  /// Rows that changed after `version`, and the version now: what the mirror still has to write.
  [[nodiscard]] Result<std::vector<SegmentRow>> segments_changed_since(std::int64_t version, int limit,
                                                                       std::int64_t& newest) const;

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
  [[nodiscard]] Result<std::vector<MomentRow>> moments(const WalRange& range,
                                                       std::optional<MomentKind> kind) const;
  [[nodiscard]] Result<std::vector<MomentRow>> restore_points(const std::string& name) const;

  // Gaps, timelines, watermarks.
  [[nodiscard]] Status put_gap(const GapRow& gap);
  [[nodiscard]] Status remove_gap(TimelineId timeline, Lsn from);
  [[nodiscard]] Result<std::vector<GapRow>> gaps() const;
  [[nodiscard]] Status put_timeline(const TimelineRow& timeline);
  [[nodiscard]] Result<std::vector<TimelineRow>> timelines() const;
  [[nodiscard]] Status put_watermark(
      const WatermarkRow& watermark);  ///< replaces an older one at the same LSN
  /// The earliest watermark of the timeline with time >= `time`.
  [[nodiscard]] Result<std::optional<WatermarkRow>> watermark_at_or_after(TimelineId timeline,
                                                                          Timestamp time) const;
  [[nodiscard]] Result<std::optional<WatermarkRow>> newest_watermark(TimelineId timeline) const;

  // Base backups and restores.
  [[nodiscard]] Status put_backup(const BackupRow& backup);
  [[nodiscard]] Status remove_backup(const std::string& id);
  [[nodiscard]] Result<std::vector<BackupRow>> backups() const;    ///< oldest first
  [[nodiscard]] Status put_restore(const RestoreRow& restore);     ///< by name
  [[nodiscard]] Result<std::vector<RestoreRow>> restores() const;  ///< newest first
  [[nodiscard]] Result<std::optional<RestoreRow>> restore(const std::string& name) const;

  // Small facts of ours: "mirror_version", …
  [[nodiscard]] Result<std::optional<std::string>> fact(const std::string& key) const;
  [[nodiscard]] Status put_fact(const std::string& key, const std::string& value);

 private:
  struct Impl;
  explicit Catalog(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace walback
