#include "command/status_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "command/row_json.h"
#include "restore/target_time.h"

namespace walback {
namespace {

std::string loss_text(const std::optional<std::uint64_t>& bytes) {
  if (!bytes) return "cannot tell";
  return *bytes == 0 ? "nothing" : render_bytes(*bytes) + " of WAL";
}

template <class T>
Json number_or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

std::string window_text(const RecoverableWindow& window, const std::string& zone) {
  if (window.spans.empty()) return "  window     none: " + window.problem + "\n";
  std::string text;
  for (const RecoverableSpan& span : window.spans) {
    text += fmt::format("  window     from {} ({})\n", describe_time(span.from_time, zone),
                        to_string(span.from_lsn));
    text += fmt::format("             to   {} ({}) on timeline {}\n",
                        span.last_commit_time ? describe_time(*span.last_commit_time, zone) : "no commit yet",
                        to_string(span.to_lsn), window.timeline.value);
  }
  const RecoverableSpan& newest = window.spans.back();
  const Timestamp shown_to = std::max(newest.from_time, newest.last_commit_time.value_or(newest.from_time));
  if (window.watermark && window.watermark->time > shown_to) {
    text +=
        fmt::format("             and the silence up to {}\n", describe_time(window.watermark->time, zone));
  }
  for (const std::string& obstacle : window.obstacles) text += "             except " + obstacle + "\n";
  return text;
}

}  // namespace

Json to_json(const StatusReport& report) {
  Json slots = Json::array(), clients = Json::array(), gaps = Json::array(), backups = Json::array();
  for (const ReplicationSlot& slot : report.slots) {
    slots.push_back({{"name", slot.name},
                     {"active", slot.active},
                     {"restart_lsn", lsn_or_null(slot.restart_lsn)},
                     {"wal_status", name_of(slot.wal_status)},
                     {"held_back_bytes", slot.held_back_bytes},
                     {"safe_wal_size_bytes", number_or_null(slot.safe_wal_size_bytes)}});
  }
  for (const ReplicationClient& client : report.clients) {
    clients.push_back({{"application_name", client.application_name},
                       {"slot", client.slot},
                       {"state", client.state},
                       {"sync_state", client.sync_state},
                       {"write_lsn", lsn_or_null(client.write_lsn)},
                       {"flush_lsn", lsn_or_null(client.flush_lsn)},
                       {"replay_lsn", lsn_or_null(client.replay_lsn)}});
  }
  for (const GapRow& gap : report.gaps) gaps.push_back(to_json(gap));
  for (const BackupRow& backup : report.backups) backups.push_back(to_json(backup));
  Json proof = nullptr;
  if (report.proof) {
    proof = {{"name", report.proof->name},
             {"target", report.proof->target},
             {"verdict", report.proof->holds ? "proven" : "mismatch"},
             {"at", to_rfc3339(report.proof->at)}};
  }
  Json last_restore = nullptr;
  if (report.last_restore) {
    last_restore = to_json(*report.last_restore);
    last_restore.erase("plan");
  }
  return {
      {"taken_at", to_rfc3339(report.taken_at)},
      {"archive", report.archive},
      {"system_identifier", std::to_string(report.identity.system_identifier)},
      {"ok", report.problems.empty()},
      {"problems", report.problems},
      {"recoverable_window", to_json(report.window)},
      {"loss_if_primary_dies_bytes", number_or_null(report.held_loss_bytes)},
      {"loss_if_both_die_bytes", number_or_null(report.durable_loss_bytes)},
      {"primary_answers", report.primary_answers},
      {"primary_lsn", lsn_or_null(report.primary_lsn)},
      {"primary_host", report.primary_host.empty() ? Json(nullptr) : Json(report.primary_host)},
      {"timeline", report.primary_timeline.value == 0 ? Json(nullptr) : Json(report.primary_timeline.value)},
      {"captured_host",
       !report.capture || report.capture->host.empty() ? Json(nullptr) : Json(report.capture->host)},
      {"captured_timeline",
       !report.capture || report.capture->timeline == 0 ? Json(nullptr) : Json(report.capture->timeline)},
      {"epoch", report.capture ? Json(report.capture->epoch) : Json(nullptr)},
      {"capturer_runs", report.capturer_runs},
      {"manager_runs", report.manager_runs},
      {"capture_state", report.capture ? Json(name_of(report.capture->state)) : Json(nullptr)},
      {"synchronous", report.synchronous ? to_json(*report.synchronous) : Json(nullptr)},
      {"slots", slots},
      {"replication", clients},
      {"gaps", gaps},
      {"backups", backups},
      {"latest_usable_backup",
       report.latest_usable_backup.empty() ? Json(nullptr) : Json(report.latest_usable_backup)},
      {"last_restore", last_restore},
      {"last_proof", proof},
      {"assurance", to_json(report.assurance)},
      {"disk_available_bytes", report.disk ? Json(report.disk->available_bytes) : Json(nullptr)},
      {"disk_reserve_bytes", report.disk ? Json(report.disk->reserve_bytes) : Json(nullptr)},
      {"wal_bytes_per_second", number_or_null(report.disk ? report.disk->wal_per_second : std::nullopt)},
      {"disk_full_in_seconds", number_or_null(report.disk ? seconds_to_reserve(*report.disk) : std::nullopt)},
      {"slot_full_in_seconds",
       number_or_null(report.slot_forecast ? report.slot_forecast->seconds_left : std::nullopt)}};
}

std::string render_text(const StatusReport& report, const std::string& zone, bool verbose) {
  std::string text =
      fmt::format("archive '{}' of system {}: {}\n", report.archive, report.identity.system_identifier,
                  report.problems.empty() ? "all is well" : "needs a look");
  for (const std::string& problem : report.problems) text += "  !          " + problem + "\n";
  text += window_text(report.window, zone);
  text +=
      fmt::format("  lost now   {} if the primary dies, {} if this machine dies with it{}\n",
                  loss_text(report.held_loss_bytes), loss_text(report.durable_loss_bytes),
                  report.primary_answers || !report.held_loss_bytes ? "" : " (as the capturer last saw it)");
  text += fmt::format(
      "  services   capturer {}, WAL manager {}, primary {}\n",
      report.capturer_runs ? (report.capture ? name_of(report.capture->state) : "running") : "NOT running",
      report.manager_runs ? (report.manage ? name_of(report.manage->state) : "running") : "NOT running",
      report.primary_answers ? "answers" : "does NOT answer");
  if (report.primary_answers)
    text +=
        fmt::format("  primary    {} on timeline {}{}\n", report.primary_host, report.primary_timeline.value,
                    report.capture ? fmt::format(", captured into epoch {}", report.capture->epoch) : "");
  if (report.synchronous && report.synchronous->state != SynchronousState::off)
    text += "  " + headline(*report.synchronous) + "\n";
  for (const ReplicationSlot& slot : report.slots) {
    text += fmt::format("  slot       {}: {}, {}, holds back {}\n", slot.name,
                        slot.active ? "active" : "NOT active", name_of(slot.wal_status),
                        render_bytes(slot.held_back_bytes));
  }
  for (const ReplicationClient& client : report.clients) {
    const auto lag = [&](const std::optional<Lsn>& lsn) {
      if (!report.primary_lsn || !lsn) return std::string("-");
      return render_bytes(*report.primary_lsn > *lsn ? *report.primary_lsn - *lsn : 0);
    };
    text += fmt::format("  receiver   {}: {}, {}, behind: write {}, flush {}, replay {}\n",
                        client.application_name, client.state, client.sync_state, lag(client.write_lsn),
                        lag(client.flush_lsn), lag(client.replay_lsn));
  }
  text += fmt::format("  backups    {}", report.backups.size());
  if (!report.backups.empty()) {
    const BackupRow& newest = report.backups.back();
    text += fmt::format(", the newest {} of {} ({})", newest.id, to_rfc3339(newest.finished_at),
                        render_bytes(newest.size_bytes));
    if (report.latest_usable_backup.empty()) {
      text += ", NONE usable";
    } else if (report.latest_usable_backup != newest.id) {
      text += ", the latest usable " + report.latest_usable_backup;
    }
  }
  text +=
      fmt::format("\n  gaps       {}\n", report.gaps.empty() ? "none" : std::to_string(report.gaps.size()));
  if (report.last_restore) {
    text += fmt::format("  restored   {} ({}): {}\n", report.last_restore->name, report.last_restore->target,
                        name_of(report.last_restore->state));
  }
  if (report.proof) {
    text += fmt::format("  proof      {}: {}, {} ago\n", report.proof->name,
                        report.proof->holds ? "proven" : "NOT what was planned",
                        render_duration_us(report.taken_at.unix_us - report.proof->at.unix_us));
  } else {
    text += "  proof      none: nothing was restored yet\n";
  }
  text += render_text(report.assurance, report.taken_at);
  if (report.disk) text += fmt::format("  disk       {}\n", describe(*report.disk));
  if (verbose && report.capture) {
    text += fmt::format(
        "  capturer   pid {}, held {}, durable {}, {} restarts{}\n", report.capture->pid,
        report.capture->held_lsn ? to_string(*report.capture->held_lsn) : "-",
        report.capture->durable_lsn ? to_string(*report.capture->durable_lsn) : "-", report.capture->restarts,
        report.capture->last_error.empty() ? "" : ", last error: " + report.capture->last_error);
  }
  return text;
}

}  // namespace walback
