#include <fmt/format.h>

#include "base/text.h"
#include "command/checklist.h"

namespace walback {
void check_standbys(Checklist& list) {
  for (const StandbyView& standby : list.in.standbys) {
    const std::string subject = "standby " + standby.name;
    if (!standby.problem.empty()) {
      list.add(Severity::note, subject, "cannot be asked: " + standby.problem,
               Checklist::psql_on(standby.conninfo, {"select pg_is_in_recovery()"}) + " (says why)");
    } else if (standby.server.system_identifier != list.in.archive_system_identifier) {
      list.add(Severity::wrong, subject,
               fmt::format("is system {}, the archive's cluster is {}", standby.server.system_identifier,
                           list.in.archive_system_identifier),
               "correct standbys in walback.yaml");
    } else if (!standby.server.in_recovery) {
      list.add(Severity::wrong, subject, "is not a standby: it takes writes of its own",
               "correct primary and standbys in walback.yaml");
    } else if (standby.found_slot && standby.found_slot->wal_status == SlotWalStatus::lost) {
      list.add(Severity::note, subject, fmt::format("its slot '{}' is lost", standby.slot),
               Checklist::psql_on(standby.conninfo,
                                  {fmt::format("select pg_drop_replication_slot('{}')", standby.slot)}));
    } else if (standby.found_slot) {
      list.good(subject, fmt::format("answers; its slot '{}' is {}, holds back {}", standby.slot,
                                     standby.found_slot->active ? "active" : "not active",
                                     render_bytes(standby.found_slot->held_back_bytes)));
    } else {
      list.good(subject,
                fmt::format("answers; it has no slot '{}' yet, which a failover needs", standby.slot));
    }
  }
}

}  // namespace walback
