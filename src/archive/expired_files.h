#pragma once
#include <cstdint>
#include <stop_token>

#include "archive/archive_context.h"
#include "base/progress.h"
#include "catalog/catalog.h"

namespace walback {

struct ExpiredFiles {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
};

/// Removes the files of segments that have expired, in every epoch, oldest first: those of this expiry, and
/// those that an interrupted one left. History files stay, and so does whatever lies furthest in the current
/// epoch: pg_receivewal goes on behind it, and would fetch anew what it does not find.
[[nodiscard]] Result<ExpiredFiles> remove_expired_segments(const ArchiveContext& archive,
                                                           const Catalog& catalog, Progress& progress,
                                                           std::stop_token stop);

}  // namespace walback
