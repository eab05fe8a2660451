#include <fmt/format.h>

#include "base/text.h"
#include "command/checklist.h"
#include "pg/standby_names.h"

namespace walback {
namespace {

bool lists_receiver(const std::string& names) {
  const auto parsed = parse_standby_names(names);
  return parsed && (lists(*parsed, kReceiverName) || lists(*parsed, "*"));
}

void check_mode(Checklist& list, const SyncReport& report) {
  const auto problems = sync_problems(report);
  for (const SyncProblem& problem : problems)
    list.add(problem.serious ? Severity::wrong : Severity::note, "synchronous mode", problem.text,
             problem.mend);
  if (problems.empty() && report.state == SynchronousState::waiting)
    list.good("synchronous mode", "commits wait for the capturer, with a bound");
}

/// A standby that was copied while the mode was on waits for the capturer as soon as it is promoted.
void check_copies(Checklist& list) {
  for (const StandbyView& standby : list.in.standbys) {
    if (!lists_receiver(standby.synchronous_names)) continue;
    list.add(
        Severity::note, "standby " + standby.name,
        fmt::format("its own synchronous_standby_names is '{}': promoted, its commits wait for the "
                    "capturer until a watcher lets them go",
                    standby.synchronous_names),
        Checklist::psql_on(standby.conninfo,
                           {"alter system reset synchronous_standby_names", "set walback.synchronous = ''",
                            "alter system reset walback.synchronous", "select pg_reload_conf()"}));
  }
}

}  // namespace

void check_synchronous_mode(Checklist& list) {
  if (list.in.synchronous) check_mode(list, *list.in.synchronous);
  check_copies(list);
  if (!lists_receiver(list.setting("synchronous_standby_names"))) return;
  if (list.setting("synchronous_commit") == "remote_apply") {
    list.add(Severity::wrong, "synchronous_commit",
             "remote_apply: a receiver never applies, so every commit that waits for it waits for ever",
             list.psql({"alter system set synchronous_commit = on", "select pg_reload_conf()"}));
  }
  if (!list.in.config.capture.synchronous) {
    list.add(Severity::wrong, "capture.synchronous",
             "false, and the primary waits for the receiver: commits wait for whole segments",
             "set `capture: {synchronous: true}` in walback.yaml, then restart " + list.walback("run"));
  }
}

}  // namespace walback
