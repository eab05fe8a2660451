#pragma once
#include <chrono>
#include <stop_token>

#include "archive/archive_context.h"
#include "base/result.h"

namespace walback {

inline constexpr std::chrono::milliseconds kFreshnessPatience{30'000};

/// After this, the catalog knows every record that was on disk when it was called: for commands that judge
/// (plan, restore, commits, status, backup). Needs no primary and no manager.
///
/// Where no manager runs it does one intake itself, under the intake's lock. Where one runs, it looks how
/// far the WAL on disk reaches and waits until the manager's index has come that far: `unavailable` after
/// `patience`, because an answer from an old index would be a wrong answer.
[[nodiscard]] Status bring_index_up_to_date(const ArchiveContext& archive, const ListBackups& backups,
                                            std::stop_token stop = {},
                                            std::chrono::milliseconds patience = kFreshnessPatience);

}  // namespace walback
