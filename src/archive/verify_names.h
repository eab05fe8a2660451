#pragma once
#include <vector>

#include "archive/archive_context.h"
#include "archive/verify_wal.h"

namespace walback {

/// What the directories under wal/ tell by names alone: those that are none of ours, and leftovers.
[[nodiscard]] std::vector<WalFinding> look_at_names(const ArchiveLayout& layout,
                                                    const std::vector<std::string>& unknown_epochs,
                                                    const std::vector<EpochFiles>& epochs);

/// Every captured `.history` file, in every epoch that has it, against what was captured; a restore needs the
/// file.
[[nodiscard]] std::vector<WalFinding> look_at_histories(const ArchiveContext& archive,
                                                        const std::vector<TimelineRow>& timelines,
                                                        const std::vector<EpochFiles>& epochs);

}  // namespace walback
