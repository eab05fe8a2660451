#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/timestamp.h"
#include "wal/events.h"
#include "wal/lsn.h"
#include "wal/segment_name.h"

/// The catalog's rows as values: what features hand to each other. Everything but restores and watermarks is
/// derived from WAL and backups, and can be built again.
namespace walback {

/// open: a `.partial` that grows. finished: renamed by pg_receivewal. ended: the `.partial` that a timeline
/// switch left behind for ever; neither open nor a gap.
enum class SegmentState : std::uint8_t { open, finished, ended };
[[nodiscard]] std::string_view name_of(SegmentState state);
[[nodiscard]] std::optional<SegmentState> segment_state_named(std::string_view name);

/// One segment of one timeline in one epoch. A record belongs to the segment in which it ENDS: so a finished
/// segment's row is final when it is written, and reading goes on at `valid_end_lsn` after any stop.
struct SegmentRow {
  SegmentName name;
  std::uint32_t epoch = 1;
  SegmentState state = SegmentState::open;
  Lsn start_lsn;      ///< the segment's first byte
  Lsn valid_end_lsn;  ///< end of the last valid record known when this segment was read; the next record
                      ///< begins here
  std::optional<Lsn> first_record_lsn;       ///< START of the first record that ends here
  std::optional<Lsn> last_record_lsn;        ///< START of the last record that ends here
  std::uint64_t size_bytes = 0;              ///< of the file
  std::int64_t mtime_ns = 0;                 ///< of the file when it was read: a change means "read it again"
  std::optional<std::uint32_t> file_crc32c;  ///< of a finished file's bytes
  std::uint64_t records = 0, commits = 0, aborts = 0;
  std::optional<Timestamp> first_time, last_time;  ///< of the first and last transaction end, in WAL order
  std::optional<Timestamp> min_time, max_time;     ///< timestamps are not monotonic
  std::optional<std::uint32_t> min_xid, max_xid;   ///< subtransactions too
  std::string problem;      ///< empty, or why this segment must not be used ("damaged at 0/3000148: …")
  bool superseded = false;  ///< another epoch's row of this segment counts instead; set by the catalog alone
  std::vector<TransactionEnd> ends;  ///< filled only where asked for; stored as one delta-coded blob
};

/// An event that is a row of its own, transaction ends that remove relation files among them.
enum class MomentKind : std::uint8_t {
  removal,  ///< a commit that removes relation files: DROP, TRUNCATE, rewrite
  restore_point,
  checkpoint,
  parameters_changed,
  tablespace_created,
  tablespace_dropped,
  database_dropped,
  timeline_switched,
  backup_ended
};
struct MomentRow {
  TimelineId timeline;
  Lsn lsn, end_lsn;
  MomentKind kind = MomentKind::removal;
  std::uint32_t xid = 0;
  std::optional<Timestamp> time;
  std::string name;    ///< a restore point's name, a tablespace's path; else empty
  std::string detail;  ///< JSON; what the kind carries (see moment_codec.h)
};

/// WAL that is not there between two parts that are: [from, to) on one timeline.
struct GapRow {
  TimelineId timeline;
  Lsn from, to;
  std::string reason;
  Timestamp detected_at;
  bool accepted = false;
};

struct TimelineRow {
  TimelineId timeline;
  std::string history;  ///< the .history file's text; empty for a timeline that has none (1, or not captured)
  bool history_captured = false;
};

/// "Every commit stamped at or before `time` lies below `lsn`."
struct WatermarkRow {
  TimelineId timeline;
  Lsn lsn;
  Timestamp time;
  bool operator==(const WatermarkRow&) const = default;
};

/// A finished base backup. Usable when the archive holds [start_lsn, stop_lsn) of its timeline.
struct BackupRow {
  std::string id;  ///< its directory: "20261120T104207Z"
  TimelineId timeline;
  Lsn start_lsn;  ///< REDO of its checkpoint: replay begins here
  Lsn checkpoint_lsn;
  Lsn stop_lsn;  ///< exclusive; consistency is reached here
  Timestamp started_at, finished_at;
  std::uint64_t size_bytes = 0;
  std::uint32_t server_version_num = 0;  ///< 150020
  std::vector<std::string> tablespaces;  ///< "<oid> <path on the primary>"
  std::string problem;                   ///< empty, or why it must not be used
};

/// A restored cluster, or an attempt at one.
enum class RestoreState : std::uint8_t { running, paused, complete, failed, removed };
[[nodiscard]] std::string_view name_of(RestoreState state);
[[nodiscard]] std::optional<RestoreState> restore_state_named(std::string_view name);
struct RestoreRow {
  std::string name;       ///< unique; what `clusters` commands take
  std::string directory;  ///< its data directory
  std::uint16_t port = 0;
  RestoreState state = RestoreState::running;
  Timestamp started_at;
  std::optional<Timestamp> finished_at;
  std::string target;  ///< as the person asked for it
  std::string plan;    ///< JSON
  std::string proof;   ///< JSON; empty until there is one
  std::string error;   ///< of a failed one
};

}  // namespace walback
