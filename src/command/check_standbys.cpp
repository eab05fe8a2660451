#include <fmt/format.h>

#include "base/text.h"
#include "command/checklist.h"

namespace walback {
namespace {

/// By what both say of themselves: walback.yaml may name one server in two ways.
bool is_the_primary(const CheckInput& in, const StandbyView& standby) {
  return standby.started_at && standby.started_at == in.started_at;
}

/// Promoted, it would keep WAL only from behind the place where the archive's capture goes on. A server keeps
/// whole segments.
bool leaves_hole(const CheckInput& in, const ReplicationSlot& slot) {
  if (!in.resume_lsn) return false;
  const SegmentSize size = in.server.segment_size;
  return !slot.restart_lsn || segment_of(*in.resume_lsn, size) < segment_of(*slot.restart_lsn, size);
}

}  // namespace

void check_standbys(Checklist& list) {
  for (const Error& refused : list.in.refused_hosts)
    list.add(Severity::wrong, "primary.conninfo", refused.message, "stop that server, or make it a standby");
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
    } else if (!standby.server.in_recovery && is_the_primary(list.in, standby)) {
      list.good(subject, "is the primary now");
    } else if (!standby.server.in_recovery) {
      list.add(Severity::wrong, subject, "is not a standby: it takes writes of its own",
               "correct primary and standbys in walback.yaml");
    } else if (standby.found_slot && standby.found_slot->wal_status == SlotWalStatus::lost) {
      list.add(Severity::note, subject, fmt::format("its slot '{}' is lost", standby.slot),
               Checklist::psql_on(standby.conninfo,
                                  {fmt::format("select pg_drop_replication_slot('{}')", standby.slot)}));
    } else if (!standby.found_slot) {
      list.add(Severity::wrong, subject,
               fmt::format("has no slot '{}': promoted now, it would not keep the WAL that the archive needs",
                           standby.slot),
               list.walback("init"));
    } else if (leaves_hole(list.in, *standby.found_slot)) {
      list.add(
          Severity::wrong, subject,
          fmt::format("its slot '{}' keeps WAL from {} on, the archive would ask for {}: promoted now, it "
                      "would leave a gap",
                      standby.slot,
                      standby.found_slot->restart_lsn ? to_string(*standby.found_slot->restart_lsn)
                                                      : std::string("nowhere"),
                      to_string(*list.in.resume_lsn)),
          "wait until the archive has come that far");
    } else {
      list.good(subject,
                fmt::format("answers; its slot '{}' keeps WAL from {} on, holds back {}", standby.slot,
                            standby.found_slot->restart_lsn ? to_string(*standby.found_slot->restart_lsn)
                                                            : std::string("nowhere"),
                            render_bytes(standby.found_slot->held_back_bytes)));
    }
  }
}

}  // namespace walback
