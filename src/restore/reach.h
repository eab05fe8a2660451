#pragma once
#include <optional>
#include <string>
#include <vector>

#include "restore/wal_path.h"

namespace walback {

/// A refusal in the making: `around` is where on the path the target lies (or would lie), so that the nearest
/// reachable moments can be looked up; none where no position makes sense.
struct Refused {
  Error error;
  std::optional<Lsn> around;
  Refused(Error what, std::optional<Lsn> where = {}) : error(std::move(what)), around(where) {}
};
template <class T>
using OrRefused = tl::expected<T, Refused>;
[[nodiscard]] inline tl::unexpected<Refused> refuse(ErrorKind kind, std::string message, std::string hint,
                                                    std::optional<Lsn> around = {}) {
  return tl::unexpected(Refused{Error{kind, std::move(message), std::move(hint)}, around});
}

/// A stretch of a path in which every LSN can be reached.
struct Reach {
  BackupRow backup;  ///< with which it begins
  Lsn from, to;      ///< its consistency; the end of the last record before the next obstacle
  Timestamp from_time;
};

/// Whether the backup lies on the path at all: on one of its timelines, before the path leaves it.
[[nodiscard]] bool on_path(const WalPath& path, const BackupRow& backup);
/// The first obstacle that touches [from, to).
[[nodiscard]] std::optional<Obstacle> first_obstacle(const std::vector<Obstacle>& obstacles, Lsn from,
                                                     Lsn to);

/// Oldest first; backups that open no new stretch are passed over.
[[nodiscard]] Result<std::vector<Reach>> reaches(const WalPath& path, const std::vector<BackupRow>& backups);

/// The earliest time whose state is known to be the one at the backup's consistency: that of the last commit
/// or abort before it, or, where none was captured, when the backup was finished.
[[nodiscard]] Result<Timestamp> consistent_time(const WalPath& path, const std::vector<Obstacle>& obstacles,
                                                const BackupRow& backup);

/// The refusal with what can be reached on both sides of `around`, in the members and in the hint.
[[nodiscard]] Result<Refusal> with_nearest(const Refused& refused, const WalPath& path,
                                           const std::vector<BackupRow>& backups);

/// "0/5000028 (2026-11-20T10:42:07.000000Z)"
[[nodiscard]] std::string moment_text(Lsn lsn, std::optional<Timestamp> time);

}  // namespace walback
