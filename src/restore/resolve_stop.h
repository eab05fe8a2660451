#pragma once
#include <vector>

#include "restore/reach.h"

namespace walback {

/// A target as a position in the WAL. What base backup leads there is another question.
struct ResolvedStop {
  std::size_t part = 0;  ///< of the path: the timeline that owns the stop
  StopPoint stop;
  std::optional<Lsn> expected_end;  ///< as in RestorePlan
  Lsn read_from;
  Lsn needs_wal_to;            ///< recovery must read up to here: the whole record that decides the stop
  SegmentNumber last_segment;  ///< in which that record ends
  std::vector<PlanWarning> warnings;

  /// Up to here records are replayed (exclusive); of an unsettled stop the position itself.
  [[nodiscard]] Lsn boundary() const { return expected_end.value_or(stop.lsn); }
};

[[nodiscard]] OrRefused<ResolvedStop> resolve_stop(const RecoveryTarget& target, const WalPath& path,
                                                   const std::vector<BackupRow>& backups);

// One for each kind.
[[nodiscard]] OrRefused<ResolvedStop> resolve_time(const RecoveryTarget& target, const WalPath& path);
[[nodiscard]] OrRefused<ResolvedStop> resolve_lsn(const RecoveryTarget& target, const WalPath& path);
[[nodiscard]] OrRefused<ResolvedStop> resolve_xid(const RecoveryTarget& target, const WalPath& path);
[[nodiscard]] OrRefused<ResolvedStop> resolve_name(const RecoveryTarget& target, const WalPath& path);
[[nodiscard]] OrRefused<ResolvedStop> resolve_latest(const RecoveryTarget& target, const WalPath& path);
[[nodiscard]] OrRefused<ResolvedStop> resolve_consistent(const RecoveryTarget& target, const WalPath& path,
                                                         const std::vector<BackupRow>& backups);

/// A stop at a record that the index knows: [start, end).
[[nodiscard]] ResolvedStop stop_at_record(const WalPath& path, std::size_t part, Lsn start, Lsn end,
                                          bool inclusive);
/// Behind the last record that the index knows of the part.
[[nodiscard]] OrRefused<ResolvedStop> stop_at_last_record(const WalPath& path, std::size_t part);

}  // namespace walback
