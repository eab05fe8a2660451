#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "catalog/archive_layout.h"
#include "catalog/catalog.h"
#include "restore/recovery_target.h"

/// Decides how to reach a recovery target, without touching a disk.
///
/// A plan is one base backup plus the unbroken run of WAL from its start onwards plus an exact stop. It is a
/// pure function of catalog rows, so every refusal is a fast unit test and `walback plan` can show it. Every
/// target becomes an LSN here: the index knows which commit is the last before 14:03, and where none follows,
/// whether a watermark covers the silence. Refuses, never repairs: a target before the first consistent
/// point; a missing or damaged segment (the first is named); a timeline whose history is not captured. A gap
/// is never an end. Boundary: a base backup's stop_lsn is exclusive (on a segment border the segment that
/// ends there suffices). An LSN stop is reached only by a record that STARTS at or after it (border: the
/// segment that begins there), and PostgreSQL must read that record whole even where it stops before it.
namespace walback {

/// recovery_target_lsn and recovery_target_inclusive.
struct StopPoint {
  Lsn lsn;
  bool inclusive = true;
  bool operator==(const StopPoint&) const = default;
};

/// Segments [first, last] of one timeline, all in one epoch and state. 100,000 segments are one of these.
struct SegmentRun {
  TimelineId timeline;
  SegmentNumber first, last;  ///< both included
  std::uint32_t epoch = 1;
  SegmentState state = SegmentState::finished;
  bool operator==(const SegmentRun&) const = default;
};
struct PlannedSegment {
  SegmentName name;
  std::uint32_t epoch = 1;
  SegmentState state = SegmentState::finished;  ///< not finished: the file is the `.partial`
};

struct PlannedTablespace {
  Lsn lsn;
  std::string path;
  std::uint32_t oid = 0;
  std::optional<Timestamp> time = {};  ///< of the commit that follows
  /// A directory pg_tblspc/<oid>, wherever the data directory is.
  [[nodiscard]] bool in_place() const { return path.empty(); }
};

/// Something a person should know before going on; `code` is stable: "commits_beyond_stop", "xid_reused", …
struct PlanWarning {
  std::string code, message;
  bool operator==(const PlanWarning&) const = default;
};

/// What recovery must be started with at least; the maximum over every PARAMETER_CHANGE record that is
/// replayed (pg_control's own values are the runner's to add). Zero where there is none.
struct SettingsFloor {
  std::int32_t max_connections = 0, max_worker_processes = 0, max_wal_senders = 0,
               max_prepared_transactions = 0, max_locks_per_transaction = 0;
  bool operator==(const SettingsFloor&) const = default;
};

struct RestorePlan {
  explicit RestorePlan(const ArchiveIdentity& whose) : identity(whose) {}

  ArchiveIdentity identity;
  RecoveryTarget target;
  BackupRow backup;
  TimelineId timeline;  ///< recovery_target_timeline: the one that owns the stop
  /// The path to it, oldest timeline first. The last one's `to` is where the path that was asked for leaves
  /// it, or the maximum.
  std::vector<WalRange> history;
  StopPoint stop;

  /// Where replay ends: the first position from which nothing is replayed, page headers skipped (the START of
  /// the next record). Compare with `ended_as_planned`, which skips them on the other side too. Absent where
  /// the stop lies between indexed records: then read the WAL from `read_from` to the first record that
  /// starts at or after stop.lsn, and call `settle_stop`.
  std::optional<Lsn> expected_end;
  Lsn read_from;  ///< START of a record at or before the one that decides the stop

  std::optional<TransactionEnd> last_commit;     ///< in
  std::optional<TransactionEnd> next_commit;     ///< out; none where none is captured
  std::optional<TransactionEnd> commit_at_stop;  ///< the commit whose record starts exactly at stop.lsn

  /// The last commit or abort that starts below stop.lsn and is replayed; what PostgreSQL remembers as the
  /// last transaction's time at an LSN stop.
  std::optional<TransactionEnd> last_end_before_stop;

  std::vector<SegmentRun> segments;
  std::uint64_t segment_count = 0;
  std::uint64_t wal_bytes = 0;  ///< to replay: from the backup's start to the stop
  SettingsFloor settings;
  std::vector<PlannedTablespace> tablespaces_created;  ///< by WAL that is replayed: see check_tablespaces
  std::vector<PlanWarning> warnings;
};

/// A moment that can be reached instead.
struct ReachableMoment {
  Lsn lsn;
  std::optional<Timestamp> time;
  std::string options;  ///< "--to-lsn 0/5000028 --before": what to type
  bool operator==(const ReachableMoment&) const = default;
};

/// Why there is no plan, and what can be reached instead on both sides of the target. The error's hint says
/// it in words already.
struct Refusal {
  Error error;
  std::optional<ReachableMoment> before, after;
};

[[nodiscard]] tl::expected<RestorePlan, Refusal> plan_or_refuse(const RecoveryTarget& target,
                                                                const Catalog& catalog,
                                                                const ArchiveIdentity& identity);

/// The record that decides the stop was read: [start, end) is the first one that starts at or after stop.lsn.
/// Fills expected_end and corrects last_commit, next_commit and commit_at_stop (that record may be a commit).
/// Does nothing to a plan whose expected_end is known.
[[nodiscard]] Status settle_stop(RestorePlan& plan, Lsn start, Lsn end, const Catalog& catalog);

/// Whether `replayed` (pg_last_wal_replay_lsn(), or the switch point in the new .history) is where the plan
/// ends. False while expected_end is unknown.
[[nodiscard]] bool ended_as_planned(const RestorePlan& plan, Lsn replayed);

/// In the order of replay; `visit` returns false to stop.
void each_planned_segment(const RestorePlan& plan, const std::function<bool(const PlannedSegment&)>& visit);
/// The run's entry for a name that PostgreSQL asks for; none: it is not part of the plan.
[[nodiscard]] std::optional<PlannedSegment> find_planned_segment(const RestorePlan& plan, SegmentName name);
/// The file that holds it: the bare name, or the `.partial` of an open or ended segment.
[[nodiscard]] std::filesystem::path file_of(const PlannedSegment& segment, const ArchiveLayout& layout,
                                            SegmentSize size);

/// Refuses (conflict) where replay would create a tablespace in a path that somebody may own on this host: it
/// may be the live primary's.
[[nodiscard]] Status check_tablespaces(const RestorePlan& plan,
                                       const std::function<bool(const std::string& path)>& may_be_owned);

[[nodiscard]] Json to_json(const RestorePlan& plan);
/// {"error":{kind,message,hint},"nearest":{"before":…,"after":…}}
[[nodiscard]] Json to_json(const Refusal& refusal);
/// A few lines for people; times in UTC and in `zone`.
[[nodiscard]] std::string render_text(const RestorePlan& plan, std::string_view zone);

}  // namespace walback
