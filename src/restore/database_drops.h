#pragma once
#include "restore/resolve_stop.h"

namespace walback {

/// DROP DATABASE removes the files when its own record is replayed, before its commit. A stop between the two
/// leaves a database that is listed and cannot be opened. Where no transaction ends in between and the person
/// did not name the position, the stop moves before that record, which changes no commit; elsewhere a warning
/// says it.
[[nodiscard]] Status mind_database_drops(ResolvedStop& at, const RecoveryTarget& target, const WalPath& path,
                                         const BackupRow& backup);

}  // namespace walback
