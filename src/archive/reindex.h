#pragma once
#include <cstdint>
#include <stop_token>

#include "archive/archive_context.h"
#include "base/progress.h"

namespace walback {

struct Reindexed {
  std::uint64_t segments = 0, records = 0;
  std::size_t backups = 0, gaps = 0;
};

/// Builds the catalog anew from WAL, base backups and journal, beside the old one ("<catalog>.reindex"), and
/// then puts it in the old one's place. Until that moment the old one serves; killed before it, the next
/// start begins anew, killed within it, whoever opens the catalog next builds one. A reader that has the old
/// one open goes on with it. Needs the intake's lock, and with it that no manager runs.
[[nodiscard]] Result<Reindexed> reindex(const ArchiveContext& archive, const ListBackups& backups,
                                        Progress& progress, std::stop_token stop);

}  // namespace walback
