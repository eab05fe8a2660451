#pragma once
#include "archive/retention.h"
#include "command/session.h"

namespace walback {

/// What the catalog and the current epoch's directory say, for decide_retention.
///
/// Days are counted back from the newest moment that the archive knows, or from now where that is earlier: a
/// clock that runs ahead must not let go what is needed, and neither must a primary that has been silent.
[[nodiscard]] Result<RetentionInput> retention_facts(const ArchiveSession& session, std::uint64_t keep,
                                                     std::optional<std::uint64_t> days);

}  // namespace walback
