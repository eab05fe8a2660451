#include "command/target_options.h"

#include <filesystem>

#include "command/backup_soundness.h"
#include "restore/place.h"
#include "restore/planned_files.h"

namespace walback {

std::shared_ptr<TargetOptions> add_target_options(CLI::App& app) {
  auto options = std::make_shared<TargetOptions>();
  const std::string group = "Target (exactly one)";
  app.add_option("--to-time", options->to_time,
                 "a moment: 2026-11-20T10:42:07Z, '2026-11-20 11:42 Europe/Berlin', 10:42, '5 minutes ago'")
      ->group(group);
  app.add_option("--to-lsn", options->to_lsn, "up to and with the first record that starts at or after X/Y")
      ->group(group);
  app.add_option("--to-xid", options->to_xid, "up to and with this transaction's commit")->group(group);
  app.add_option("--to-name", options->to_name, "up to and with this restore point")->group(group);
  app.add_flag("--to-latest", options->to_latest, "everything that was captured")->group(group);
  app.add_flag("--to-consistent", options->to_consistent,
               "the newest base backup, as early as it is consistent")
      ->group(group);
  app.add_flag("--before", options->before, "stop just before it instead: it is left out");
  app.add_option("--timeline", options->timeline, "the timeline to follow (else the newest)");
  return options;
}

Result<RestorePlan> make_plan(Context& context, const ArchiveSession& session, const TargetOptions& options) {
  const RecoveryTarget target =
      TRY(parse_recovery_target(options, session.config.time_zone, context.clock->now()));
  TRY(readmit_mended_backups(session));
  auto plan = plan_or_refuse(target, session.catalog, session.archive.identity);
  // Each round takes one base backup out of the running.
  while (plan && !TRY(is_sound(session, plan->backup))) {
    plan = plan_or_refuse(target, session.catalog, session.archive.identity);
  }
  if (!plan) {
    context.error_document = to_json(plan.error());
    return tl::unexpected(plan.error().error);
  }
  TRY(check_planned_files(*context.files, *plan, session.catalog, session.archive.layout));
  TRY(settle_stop_from_files(*context.files, *plan, session.catalog, session.archive.layout));
  TRY(check_tablespaces(*plan, [&](const std::string& path) { return may_be_owned(*context.files, path); }));
  return std::move(*plan);
}

}  // namespace walback
