#pragma once
#include "command/session.h"
#include "restore/run.h"

namespace walback {

/// What a restore by a command works with; its name, its place and its options are the command's to fill in.
/// The context and the session must outlive it.
[[nodiscard]] Result<RestoreSetup> restore_setup(Context& context, const ArchiveSession& session,
                                                 RestorePlan plan);

/// Its row at its beginning: with it in the catalog, what it works with does not expire.
[[nodiscard]] RestoreRow begun_restore(const RestoreSetup& setup);

}  // namespace walback
