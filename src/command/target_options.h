#pragma once
#include <CLI/CLI.hpp>
#include <memory>

#include "command/session.h"
#include "restore/plan.h"
#include "restore/recovery_target.h"

namespace walback {

/// --to-time, --to-lsn, … with --before and --timeline: the same for `plan` and `restore`.
[[nodiscard]] std::shared_ptr<TargetOptions> add_target_options(CLI::App& app);

/// Reads the target, plans, settles the stop from the WAL itself and holds the plan against the files: all
/// that can be known before a disk is touched. A refusal's JSON form (with the nearest reachable moments)
/// goes to the context.
[[nodiscard]] Result<RestorePlan> make_plan(Context& context, const ArchiveSession& session,
                                            const TargetOptions& options);

}  // namespace walback
