#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "archive/capture_end.h"
#include "archive/freshness.h"
#include "archive/gap_impact.h"
#include "archive/known_cluster.h"
#include "backup/usable.h"
#include "base/text.h"
#include "command/status_report.h"
#include "command/wal_room.h"
#include "os/system.h"
#include "pg/find_primary.h"

namespace walback {
namespace {

/// Status is asked by people who wait and by monitors that do not: better an answer that says what it could
/// not learn. A primary that is gone refuses at once; these bound one that hangs, and an index that is far
/// behind.
constexpr std::chrono::milliseconds kConnectPatience{800}, kStatementPatience{2'000}, kIndexPatience{600};

/// Bytes between what the primary has flushed and what is here; 0 when we are ahead of an older look.
std::optional<std::uint64_t> loss(const std::optional<Lsn>& primary, const std::optional<Lsn>& here) {
  if (!primary || !here) return std::nullopt;
  return *primary > *here ? *primary - *here : 0;
}

void look_at_primary_now(const Config& config, const ArchiveContext& archive, StatusReport& report) {
  const auto ask = [&]() -> Status {
    const ConnectionOptions options{.connect_timeout = kConnectPatience,
                                    .statement_timeout = kStatementPatience};
    const PrimaryChoice primary =
        TRY(find_primary(config.primary.conninfo, TRY(known_cluster(archive)), options));
    for (const Error& refused : primary.refused) report.problems.push_back("primary: " + refused.message);
    Connection connection = TRY(Connection::open(primary.host.conninfo, options));
    report.primary_host = primary.host.name;
    report.primary_timeline = primary.server.history.timeline;
    // The clients first: what they hold is then compared with a newer position, never with an older one.
    report.clients = TRY(replication_clients(connection));
    report.slots = TRY(list_slots(connection));
    report.primary_lsn = TRY(wal_positions(connection)).flush;
    report.primary_answers = true;
    report.slot_forecast =
        forecast_of(config.primary.slot, report.slots, wal_rate(report.capture, report.taken_at),
                    wal_disk_of(archive.files, connection));
    if (auto synchronous = take_sync_report(connection, nullptr)) {
      report.synchronous = std::move(*synchronous);
      for (const SyncProblem& problem : sync_problems(*report.synchronous))
        if (problem.serious) report.problems.push_back("synchronous mode: " + problem.text);
    }
    return {};
  };
  if (const Status asked = ask(); !asked) report.problems.push_back("primary: " + asked.error().message);
}

void look_at_services(const Context& context, const ArchiveContext& archive, StatusReport& report) {
  report.capturer_runs = service_runs(archive.layout, "capture");
  report.manager_runs = service_runs(archive.layout, "manage");
  if (!report.capturer_runs) report.problems.emplace_back("no capturer is running: new WAL is not captured");
  if (!report.manager_runs) report.problems.emplace_back("no WAL manager is running: new WAL is not indexed");
  if (const auto text = context.files->read(archive.layout.manage_status())) {
    if (auto manage = parse_manage_status(*text, "manage.status")) report.manage = *manage;
  }
  if (!report.capturer_runs && report.capture && !report.capture->last_error.empty())
    report.problems.push_back("the capturer's last words: " + report.capture->last_error);
  if (report.manager_runs && report.manage && !report.manage->last_error.empty()) {
    report.problems.push_back("WAL manager: " + report.manage->last_error);
  }
  if (report.capturer_runs && report.capture && is_silent(*report.capture, *context.clock))
    report.problems.emplace_back("the capturer has not reported for 30 seconds");
}

/// The slot says that somebody is attached, and who it is is kept from us.
bool receiver_is_hidden(const Config& config, const StatusReport& report) {
  return std::any_of(report.slots.begin(), report.slots.end(), [&](const ReplicationSlot& slot) {
    return slot.name == config.primary.slot && slot.active;
  });
}

/// From the primary's own view of our receiver; where it does not answer, from the capturer's last report.
void work_out_loss(const Config& config, StatusReport& report) {
  std::optional<Lsn> held, durable;
  for (const ReplicationClient& client : report.clients) {
    if (client.slot != config.primary.slot) continue;
    held = client.write_lsn;
    durable = client.flush_lsn;
  }
  if (!report.primary_answers && report.capture) {
    report.primary_lsn = report.capture->primary_flush_lsn;
    held = report.capture->held_lsn;
    durable = report.capture->durable_lsn;
  }
  report.held_loss_bytes = loss(report.primary_lsn, held);
  report.durable_loss_bytes = loss(report.primary_lsn, durable);
  if (report.primary_answers && !held) {
    report.problems.push_back(
        receiver_is_hidden(config, report)
            ? "the role of primary.conninfo may not see the receiver: grant pg_monitor to it"
            : fmt::format("no receiver is attached to slot '{}'", config.primary.slot));
  }
}

void judge_room(const Config& config, const ArchiveContext& archive, StatusReport& report) {
  report.disk = archive_disk_now(archive, config, wal_rate(report.capture, report.taken_at));
  const bool paused = report.capture && report.capture->state == CaptureState::disk_full;
  const DiskState state = report.disk ? judge_disk(*report.disk, paused) : DiskState::fine;
  if (state != DiskState::fine)
    report.problems.push_back(fmt::format("{}: {}",
                                          state == DiskState::full
                                              ? "the archive's disk is full and capturing pauses"
                                              : "the archive's disk will soon be full",
                                          describe(*report.disk)));
  if (report.slot_forecast && report.slot_forecast->urgent)
    report.problems.push_back(fmt::format("slot '{}' {}", config.primary.slot, report.slot_forecast->text));
}

void judge_slot(const Config& config, const std::optional<CaptureEnd>& end, StatusReport& report) {
  if (!report.primary_answers) return;
  for (const ReplicationSlot& slot : report.slots) {
    if (slot.name != config.primary.slot) continue;
    if (slot.wal_status == SlotWalStatus::lost || slot.wal_status == SlotWalStatus::unreserved) {
      const bool lost = slot.wal_status == SlotWalStatus::lost;
      report.problems.push_back(fmt::format("slot '{}' is {}{}", slot.name, name_of(slot.wal_status),
                                            lost ? ": " + nothing_after(end) : ""));
    }
    return;
  }
  report.problems.push_back(
      fmt::format("slot '{}' is missing on the primary: {}", config.primary.slot, nothing_after(end)));
}

/// What cannot be indexed in a moment is indexed by the next look; until then the answer says so.
Status freshen(const Context& context, const ArchiveContext& archive) {
  std::stop_source enough;
  const std::stop_callback asked(context.stop, [&] { enough.request_stop(); });
  const std::jthread timer([&](std::stop_token done) {
    if (sleep_for(done, kIndexPatience)) enough.request_stop();
  });
  const Status fresh =
      bring_index_up_to_date(archive, backups_on_disk(archive), enough.get_token(), kIndexPatience);
  if (fresh || fresh.error().kind != ErrorKind::interrupted) return fresh;
  return fail(ErrorKind::unavailable, "not all WAL on disk is indexed yet; what follows may be older");
}

}  // namespace

std::optional<LastProof> last_proof(const std::vector<RestoreRow>& restores) {
  for (const RestoreRow& row : restores) {
    if (row.proof.empty()) continue;
    const auto proof = parse_json(row.proof, "a stored proof");
    if (!proof) continue;
    return LastProof{row.name, row.target, member<std::string>(*proof, "verdict") == "proven",
                     row.finished_at.value_or(row.started_at)};
  }
  return std::nullopt;
}

bool service_runs(const ArchiveLayout& layout, const std::string& role) {
  return FileLock::is_held(layout.lock(role));
}

Result<StatusReport> take_status(const Context& context) {
  const Config config = TRY(context.config());
  const ArchiveContext archive = TRY(open_configured_archive(context, config));
  StatusReport report(archive.identity);
  report.taken_at = context.clock->now();
  report.archive = config.archive.string();
  if (auto capture = read_capture_status(*context.files, archive.layout)) report.capture = *capture;
  look_at_primary_now(config, archive, report);
  look_at_services(context, archive, report);
  work_out_loss(config, report);

  if (const Status fresh = freshen(context, archive); !fresh)
    report.problems.push_back("index: " + fresh.error().message);
  const Catalog catalog = TRY(Catalog::open(archive.catalog_path));
  judge_slot(config, TRY(capture_end(catalog)), report);
  report.window = TRY(recoverable_window(catalog, archive.identity));
  report.gaps = TRY(catalog.gaps());
  report.backups = TRY(catalog.backups());
  for (const BackupRow& backup : report.backups) {
    if (TRY(is_usable(catalog, backup, archive.identity.segment_size)))
      report.latest_usable_backup = backup.id;
  }
  auto restores = TRY(catalog.restores());
  // Drills are told by themselves.
  std::erase_if(restores, [](const RestoreRow& row) { return row.name.starts_with(kDrillPrefix); });
  if (!restores.empty()) report.last_restore = restores.front();
  report.proof = last_proof(restores);
  if (report.proof && !report.proof->holds) {
    report.problems.push_back(
        fmt::format("the last restore, '{}', was not what was planned", report.proof->name));
  }
  report.assurance = TRY(take_assurance(catalog));
  for (std::string& problem : problems_of(report.assurance)) report.problems.push_back(std::move(problem));
  for (const GapImpact& impact : TRY(gap_impacts(catalog))) {
    if (impact.gap.accepted && impact.renewed_by) continue;
    report.problems.push_back(fmt::format("{}gap on timeline {}: {}; {}",
                                          impact.gap.accepted ? "accepted " : "", impact.gap.timeline.value,
                                          impact.gap.reason, describe(impact)));
  }
  if (!report.window.problem.empty())
    report.problems.push_back("nothing can be restored: " + report.window.problem);
  if (const auto& clock = report.window.clock_set_back) {
    report.problems.push_back(fmt::format(
        "the primary's clock was set back: at {} it showed {}, later at {} only {}; times between the two "
        "come twice, restore to LSNs or transactions there",
        to_string(clock->before_lsn), to_rfc3339(clock->before), to_string(clock->now_lsn),
        to_rfc3339(clock->now)));
  }
  judge_room(config, archive, report);
  return report;
}

}  // namespace walback
