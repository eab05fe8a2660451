#include <fmt/format.h>

#include "command/status_report.h"

namespace walback {
namespace {

/// Label values may hold anything but these three bare.
std::string escaped(const std::string& value) {
  std::string text;
  for (const char c : value) {
    if (c == '\\' || c == '"') text += '\\';
    if (c == '\n') {
      text += "\\n";
    } else {
      text += c;
    }
  }
  return text;
}

class Metrics {
 public:
  /// One family: its name, its help, then its samples.
  void family(std::string_view name, std::string_view help) {
    name_ = name;
    text_ += fmt::format("# HELP walback_{0} {1}\n# TYPE walback_{0} gauge\n", name, help);
  }
  void sample(std::uint64_t value, const std::string& labels = {}) {
    text_ += fmt::format("walback_{}{} {}\n", name_, labels, value);
  }
  /// Seconds since 1970, to the microsecond: a double would round it.
  void sample(Timestamp time) {
    text_ += fmt::format("walback_{} {}.{:06}\n", name_, time.unix_us / 1'000'000, time.unix_us % 1'000'000);
  }
  void gauge(std::string_view name, std::string_view help, std::uint64_t value) {
    family(name, help);
    sample(value);
  }
  void gauge(std::string_view name, std::string_view help, const std::optional<std::uint64_t>& value) {
    if (value) gauge(name, help, *value);
  }
  void gauge(std::string_view name, std::string_view help, Timestamp time) {
    family(name, help);
    sample(time);
  }
  [[nodiscard]] std::string text() && { return std::move(text_); }

 private:
  std::string text_;
  std::string_view name_;
};

void add_window(Metrics& metrics, const RecoverableWindow& window) {
  if (window.spans.empty()) return;
  metrics.gauge("window_start_seconds", "Earliest recoverable moment, Unix time.",
                window.spans.front().from_time);
  if (const auto& end = window.spans.back().last_commit_time)
    metrics.gauge("window_last_commit_seconds", "Last captured commit, Unix time.", *end);
  if (window.watermark)
    metrics.gauge("watermark_seconds", "All commits up to this moment are captured, Unix time.",
                  window.watermark->time);
}

void add_slots(Metrics& metrics, const StatusReport& report) {
  if (report.slots.empty()) return;
  metrics.family("slot_active", "1 when a receiver is attached to the slot.");
  for (const ReplicationSlot& slot : report.slots)
    metrics.sample(slot.active ? 1U : 0U, fmt::format("{{slot=\"{}\"}}", escaped(slot.name)));
  metrics.family("slot_held_back_bytes", "WAL that a slot keeps on the primary.");
  for (const ReplicationSlot& slot : report.slots)
    metrics.sample(slot.held_back_bytes, fmt::format("{{slot=\"{}\"}}", escaped(slot.name)));
}

/// A name and a slot may be borne by several: the sample must be unique, so that the pid tells them apart.
void add_lags(Metrics& metrics, const StatusReport& report) {
  const auto lags = [&](std::string_view name, std::string_view help,
                        std::optional<Lsn> ReplicationClient::*position) {
    bool begun = false;
    for (const ReplicationClient& client : report.clients) {
      const auto& lsn = client.*position;
      if (!lsn || !report.primary_lsn) continue;
      if (!begun) metrics.family(name, help);
      begun = true;
      metrics.sample(*report.primary_lsn > *lsn ? *report.primary_lsn - *lsn : 0,
                     fmt::format("{{application_name=\"{}\",slot=\"{}\",pid=\"{}\"}}",
                                 escaped(client.application_name), escaped(client.slot), client.pid));
    }
  };
  lags("receiver_write_lag_bytes", "WAL that a receiver has not written yet.", &ReplicationClient::write_lsn);
  lags("receiver_flush_lag_bytes", "WAL that a receiver has not flushed yet.", &ReplicationClient::flush_lsn);
  lags("receiver_replay_lag_bytes", "WAL that a standby has not replayed yet.",
       &ReplicationClient::replay_lsn);
}

void add_assurance(Metrics& metrics, const Assurance& assurance) {
  if (const auto& verification = assurance.verification) {
    metrics.gauge("last_verification_seconds", "When the archive was last verified, Unix time.",
                  verification->finished_at);
    metrics.gauge("last_verification_findings", "What that found wrong.", verification->findings);
  }
  if (const auto& drill = assurance.drill) {
    metrics.gauge("last_drill_ok", "1 when the last drill passed.",
                  drill->state == DrillState::passed ? 1U : 0U);
    metrics.gauge("last_drill_seconds", "When the last drill ended, Unix time.",
                  drill->finished_at.value_or(drill->started_at));
  }
  if (const auto& passed = assurance.passed_drill) {
    metrics.gauge("drill_restore_milliseconds",
                  "How long the last drill that passed took to get everything back.",
                  static_cast<std::uint64_t>(passed->rto_us / 1000));
  }
}

}  // namespace

std::string render_metrics(const StatusReport& report) {
  Metrics metrics;
  metrics.gauge("ok", "1 when status finds nothing to look at.", report.problems.empty() ? 1U : 0U);
  metrics.gauge("problems", "What status found that somebody should look at.", report.problems.size());
  metrics.gauge("taken_seconds", "When this was written, Unix time.", report.taken_at);
  metrics.gauge("primary_up", "1 when the primary answers.", report.primary_answers ? 1U : 0U);
  metrics.gauge("capturer_up", "1 when a capturer runs.", report.capturer_runs ? 1U : 0U);
  metrics.gauge("manager_up", "1 when a WAL manager runs.", report.manager_runs ? 1U : 0U);
  metrics.gauge("loss_if_primary_dies_bytes", "WAL that would be lost with the primary.",
                report.held_loss_bytes);
  metrics.gauge("loss_if_both_die_bytes", "WAL that would be lost with the primary and this machine.",
                report.durable_loss_bytes);
  add_window(metrics, report.window);
  add_slots(metrics, report);
  add_lags(metrics, report);
  metrics.gauge("gaps", "Gaps in the captured WAL.", report.gaps.size());
  metrics.gauge("backups", "Base backups in the archive.", report.backups.size());
  for (const BackupRow& backup : report.backups) {
    if (backup.id == report.latest_usable_backup)
      metrics.gauge("last_usable_backup_seconds", "End of the latest usable base backup, Unix time.",
                    backup.finished_at);
  }
  if (report.proof) {
    metrics.gauge("last_proof_ok", "1 when the last restore was what its plan promised.",
                  report.proof->holds ? 1U : 0U);
    metrics.gauge("last_proof_seconds", "When the last restore was proven or refuted, Unix time.",
                  report.proof->at);
  }
  add_assurance(metrics, report.assurance);
  if (report.disk)
    metrics.gauge("disk_available_bytes", "Room left on the archive's disk.", report.disk->available_bytes);
  if (const auto left = report.disk ? seconds_to_reserve(*report.disk) : std::nullopt)
    metrics.gauge("disk_full_in_seconds", "Until the archive's disk is full, at the present rate of WAL.",
                  *left);
  if (const auto left = report.slot_forecast ? report.slot_forecast->seconds_left : std::nullopt)
    metrics.gauge("slot_full_in_seconds",
                  "Until the slot loses WAL or the primary's disk is full, at the present rate of WAL.",
                  *left);
  return std::move(metrics).text();
}

}  // namespace walback
