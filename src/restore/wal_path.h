#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "catalog/archive_layout.h"
#include "catalog/catalog.h"
#include "restore/plan.h"

namespace walback {

/// WAL that recovery cannot read: [from, to). `what` names it for people: "segment 00000001… is missing".
struct Obstacle {
  Lsn from, to;
  ErrorKind kind = ErrorKind::not_found;  ///< corrupt: it is there, and damaged
  std::string what;
};

/// The last record that the index knows of a part of a path, as a stop.
struct LastRecord {
  StopPoint stop;  ///< exclusive at the end of the part where the timeline itself went on behind it
  Lsn end;         ///< where replay ends, page headers skipped
};

/// One timeline's part of a path. Its records are those that start in `range`.
struct PathPart {
  WalRange range;
  std::optional<Lsn> switch_lsn;  ///< where the path leaves the timeline; none for the newest
  /// What the archive holds from the part's first segment on. A segment that holds a switch exists on both
  /// timelines; recovery reads the newer one's.
  std::vector<SegmentRun> runs;
  std::vector<Obstacle> obstacles;
  std::optional<LastRecord> last_record;
};

/// One timeline's way through the archive, from the oldest WAL captured on.
///
/// Recovery takes each segment from the newest timeline of the path that has begun in it. So a part whose own
/// tail was not captured up to the switch (a lagging receiver) loses nothing: the next timeline's segment
/// repeats these records, and `range` gives them to that timeline.
struct WalPath {
  const Catalog* catalog = nullptr;
  ArchiveIdentity identity;
  TimelineId timeline;
  std::vector<PathPart> parts;  ///< oldest first; none without any WAL

  /// Everything in the way of recovery that ends on `parts[owner]`, in WAL order. The first one is what
  /// precedes the archive's oldest WAL.
  [[nodiscard]] std::vector<Obstacle> obstacles(std::size_t owner) const;
  /// The part that a record which starts at `lsn` belongs to.
  [[nodiscard]] std::size_t part_at(Lsn lsn) const;
  [[nodiscard]] std::optional<std::size_t> part_of(TimelineId id, Lsn lsn) const;
  /// The newest part in which a record is known.
  [[nodiscard]] std::optional<std::size_t> last_part_with_records() const;
  [[nodiscard]] Lsn begin() const;

  struct FoundOnPath {
    std::size_t part = 0;
    TransactionEnd end;
  };
  [[nodiscard]] Result<std::optional<FoundOnPath>> first_end_stamped_after(Timestamp time) const;
  [[nodiscard]] Result<std::optional<TransactionEnd>> first_end_at_or_after(Lsn lsn, bool commits_only) const;
  [[nodiscard]] Result<std::optional<TransactionEnd>> last_end_before(Lsn lsn, bool commits_only) const;
  /// The path's part of [from, to), timeline by timeline.
  [[nodiscard]] std::vector<WalRange> ranges(Lsn from, Lsn to) const;
  [[nodiscard]] Result<std::vector<MomentRow>> moments(Lsn from, Lsn to, MomentKind kind) const;
};

inline constexpr Lsn kMaxLsn{UINT64_MAX};

/// The path of `timeline`, or of the newest. Refuses (not_found) an unknown timeline, one whose history is
/// not captured, and an archive without WAL.
[[nodiscard]] Result<WalPath> wal_path(const Catalog& catalog, const ArchiveIdentity& identity,
                                       std::optional<TimelineId> timeline);

/// The first query results over ranges; what WalPath and settle_stop share.
[[nodiscard]] Result<std::optional<TransactionEnd>> first_end_in(const Catalog& catalog,
                                                                 const std::vector<WalRange>& ranges,
                                                                 bool commits_only);
[[nodiscard]] Result<std::optional<TransactionEnd>> last_end_in(const Catalog& catalog,
                                                                const std::vector<WalRange>& ranges,
                                                                bool commits_only);

}  // namespace walback
