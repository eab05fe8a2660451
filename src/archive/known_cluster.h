#pragma once
#include "archive/archive_context.h"
#include "pg/choose_primary.h"

namespace walback {

/// What a primary is held against before it is believed: whose archive this is, and its newest timeline.
[[nodiscard]] Result<KnownCluster> known_cluster(const ArchiveContext& archive);

}  // namespace walback
