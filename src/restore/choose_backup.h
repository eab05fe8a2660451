#pragma once
#include "restore/resolve_stop.h"

namespace walback {

/// The refusal of a target that needs WAL which recovery cannot read.
[[nodiscard]] tl::unexpected<Refused> in_the_way(const RecoveryTarget& target, const Obstacle& obstacle);

/// The newest base backup that leads to the stop, with every segment in between at hand. An older one needs
/// more WAL, so where a newer one fails by a gap behind it, all do, and the first obstacle is named.
[[nodiscard]] OrRefused<BackupRow> choose_backup(const RecoveryTarget& target, const ResolvedStop& at,
                                                 const WalPath& path, const std::vector<BackupRow>& backups);

/// Whether the state before the stop is the state at the time asked for. It is where the commit before the
/// stop is known, or a base backup was finished by then; it is not where WAL that nobody captured lies right
/// before it: commits stamped later may be in there.
[[nodiscard]] tl::expected<void, Refused> check_time_is_known(const RecoveryTarget& target,
                                                              const ResolvedStop& at, const WalPath& path,
                                                              const std::vector<BackupRow>& backups);

}  // namespace walback
