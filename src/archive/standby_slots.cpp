#include "archive/standby_slots.h"

#include <fmt/format.h>

#include <algorithm>

#include "os/system.h"
#include "pg/find_primary.h"
#include "pg/server.h"
#include "pg/slots.h"

namespace walback {
namespace {

constexpr std::chrono::milliseconds kTimeout{5'000};

}  // namespace

Result<std::vector<StandbySlot>> standby_slots_of(const Config& config) {
  std::vector<StandbySlot> slots;
  const auto add = [&](const StandbySlot& slot) {
    if (std::ranges::find(slots, slot.conninfo, &StandbySlot::conninfo) == slots.end()) slots.push_back(slot);
  };
  for (const Config::Standby& standby : config.standbys)
    for (const HostConninfo& host : TRY(hosts_of(standby.conninfo)))
      add({standby.name, host.conninfo, standby.slot, true});
  const auto hosts = TRY(hosts_of(config.primary.conninfo));
  for (const HostConninfo& host : hosts)
    if (hosts.size() > 1) add({host.name, host.conninfo, config.primary.slot, false});
  return slots;
}

Status keep_standby_slot(const StandbySlot& standby, std::uint64_t system_identifier,
                         const ResumePoint& resume) {
  Connection connection = TRY(Connection::open(standby.conninfo, {.application_name = "walback standby slot",
                                                                  .connect_timeout = kTimeout,
                                                                  .statement_timeout = kTimeout}));
  const ServerIdentity server = TRY(server_identity(connection));
  if (server.system_identifier != system_identifier)
    return fail(ErrorKind::foreign_system,
                fmt::format("standby '{}' carries system identifier {}, the archive expects {}", standby.name,
                            server.system_identifier, system_identifier),
                "Correct standbys in walback.yaml.");
  if (!server.in_recovery) return {};
  const auto slot = TRY(find_slot(connection, standby.slot));
  if (!slot)
    return fail(ErrorKind::not_found,
                fmt::format("standby '{}' has no slot '{}': promoted now, it would not keep the WAL that the "
                            "archive needs",
                            standby.name, standby.slot),
                "Run walback init, which creates it.");
  if (slot->restart_lsn && *slot->restart_lsn >= resume.lsn) return {};
  return advance_slot(connection, standby.slot, resume.lsn);
}

StandbySlots::StandbySlots(const ArchiveContext& archive, const Config& config)
    : archive_(archive), config_(config), thread_([this](const std::stop_token& stop) { run(stop); }) {}

void StandbySlots::run(const std::stop_token& stop) {
  const auto standbys = standby_slots_of(config_);
  if (!standbys) {
    archive_.log.warn("archive", "standby_slots_not_kept",
                      {{key::error, standbys.error().message}, {key::hint, standbys.error().hint}});
    return;
  }
  if (standbys->empty()) return;
  do round(*standbys);
  while (sleep_for(stop, kStandbySlotInterval));
}

void StandbySlots::goes_on_at(const ResumePoint& resume) {
  const std::lock_guard lock(mutex_);
  resume_ = resume;
}

void StandbySlots::round(const std::vector<StandbySlot>& standbys) {
  std::optional<ResumePoint> resume;
  {
    const std::lock_guard lock(mutex_);
    resume = resume_;
  }
  if (!resume) return;
  for (const StandbySlot& standby : standbys)
    say(standby, keep_standby_slot(standby, archive_.identity.system_identifier, *resume));
}

/// A host of primary.conninfo that has no slot or does not answer may be the one that died.
void StandbySlots::say(const StandbySlot& standby, const Status& kept) {
  const bool silent =
      !kept && !standby.expected &&
      (kept.error().kind == ErrorKind::not_found || kept.error().kind == ErrorKind::unreachable);
  std::string& last = failures_[standby.conninfo];
  const std::string now = kept || silent ? "" : kept.error().message;
  if (now == last) return;
  last = now;
  if (now.empty()) {
    archive_.log.info("archive", "standby_slot_kept", {{"standby", standby.name}});
    return;
  }
  archive_.log.warn("archive", "standby_slot_not_kept",
                    {{"standby", standby.name}, {key::error, now}, {key::hint, kept.error().hint}});
}

}  // namespace walback
