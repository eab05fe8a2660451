#include "command/init_slots.h"

#include <fmt/format.h>

#include "pg/find_primary.h"
#include "pg/slots.h"

namespace walback {

Result<InitSlot> make_slot(Connection& connection, const std::string& name) {
  if (const auto slot = TRY(find_slot(connection, name))) {
    if (!slot->restart_lsn) {
      return fail(
          ErrorKind::conflict,
          fmt::format("slot '{}' exists and keeps no WAL ({})", name, name_of(slot->wal_status)),
          fmt::format("Drop it with: select pg_drop_replication_slot('{}'); then run `walback init` again.",
                      name));
    }
    return InitSlot{false, *slot->restart_lsn};
  }
  return InitSlot{true, TRY(create_slot(connection, name))};
}

Status refuse_lost_slot(Connection& connection, const std::string& name,
                        const std::optional<ResumePoint>& held) {
  const auto slot = TRY(find_slot(connection, name));
  if (!held || (slot && slot->restart_lsn)) return {};
  return fail(ErrorKind::conflict,
              fmt::format("slot '{}' {}, and the archive goes on at {}", name,
                          slot ? fmt::format("keeps no WAL ({})", name_of(slot->wal_status))
                               : "vanished from the primary",
                          to_string(held->lsn)),
              "`walback capture --accept-gap` makes it anew, and says first whether WAL is lost.");
}

Status refuse_slot_in_use(Connection& connection, const std::string& name) {
  const auto slot = TRY(find_slot(connection, name));
  if (!slot || !slot->active) return {};
  return fail(ErrorKind::conflict,
              fmt::format("slot '{}' is in use on the primary{}, and this archive is new", name,
                          slot->active_pid ? fmt::format(" by pid {}", *slot->active_pid) : ""),
              "Every archive needs a slot of its own: name another one with --slot.");
}

Status refuse_foreign_standbys(const std::vector<StandbySlot>& standbys, const ServerIdentity& primary) {
  std::vector<HostConninfo> hosts;
  for (const StandbySlot& standby : standbys) hosts.push_back({standby.conninfo, standby.name});
  for (const HostSight& sight : look_at_hosts(hosts, {})) {
    if (!sight.seen || sight.seen->system_identifier == primary.system_identifier) continue;
    return fail(ErrorKind::foreign_system,
                fmt::format("standby '{}' carries system identifier {}, the primary {}", sight.host.name,
                            sight.seen->system_identifier, primary.system_identifier),
                "Name a standby of this primary.");
  }
  return {};
}

Result<StandbyResult> make_standby_slot(const StandbySlot& standby) {
  StandbyResult result{standby, {}, {}};
  auto connection = Connection::open(standby.conninfo);
  if (!connection) {
    result.left_out = connection.error().message;
    return result;
  }
  if (TRY(server_identity(*connection)).in_recovery) {
    result.slot = TRY(make_slot(*connection, standby.slot));
  } else {
    result.left_out = "it is not in recovery";
  }
  return result;
}

std::string text_of(const StandbyResult& result) {
  if (!result.slot)
    return fmt::format("standby '{}' has no slot from here: {}\n", result.standby.name, result.left_out);
  return fmt::format("standby '{}': slot '{}' {}, WAL kept from {}\n", result.standby.name,
                     result.standby.slot, result.slot->created ? "created" : "exists",
                     to_string(result.slot->kept_from));
}

Json json_of(const StandbyResult& result) {
  return {{"name", result.standby.name},
          {"slot", result.standby.slot},
          {"slot_created", result.slot && result.slot->created},
          {"wal_kept_from_lsn", result.slot ? Json(to_string(result.slot->kept_from)) : Json(nullptr)},
          {"problem", result.left_out.empty() ? Json(nullptr) : Json(result.left_out)}};
}

}  // namespace walback
