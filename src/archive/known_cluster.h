#pragma once
#include "archive/archive_context.h"
#include "pg/choose_primary.h"

namespace walback {

/// What a primary is held against before it is believed: whose archive this is, its newest timeline, and how
/// far the index holds it.
[[nodiscard]] Result<KnownCluster> known_cluster(const ArchiveContext& archive);

}  // namespace walback
