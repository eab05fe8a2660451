#pragma once
#include <chrono>
#include <functional>
#include <string>

#include "capture/slot_guard.h"
#include "pg/choose_primary.h"

namespace walback {

/// A look at the primary, bounded in time. Called from one thread.
using LookAtPrimary = std::function<Result<PrimaryView>()>;

/// Asked at each search; the archive's files are the answer.
using KnownClusterNow = std::function<Result<KnownCluster>()>;

/// The real one. Finds the primary among the hosts of `conninfo` (pg/find_primary.h), keeps a connection
/// there, and searches again when it is lost. Besides, all hosts are looked at every kSearchInterval, in the
/// background, so that a promotion under a primary that still runs, or an old primary that comes back, is
/// noticed: the view then leads to another host, or names it in `refused`. A single host may be an address
/// that moves from one server to the next, so it is looked at as well, every kLoneSearchInterval.
[[nodiscard]] LookAtPrimary look_at_primary(const std::string& conninfo, const std::string& slot,
                                            KnownClusterNow known);

inline constexpr std::chrono::seconds kSearchInterval{5};
inline constexpr std::chrono::seconds kLoneSearchInterval{60};

}  // namespace walback
