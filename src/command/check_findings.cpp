#include "command/check_findings.h"

#include <fmt/format.h>

#include <cstdlib>

#include "base/text.h"
#include "base/timestamp.h"
#include "capture/receivewal.h"

namespace walback {
namespace {

constexpr std::int64_t kClockToleranceUs = 2'000'000;
constexpr std::uint64_t kLeastRoom = 2ULL << 30;

class Check {
 public:
  explicit Check(const CheckInput& input) : in_(input) {}

  std::vector<Finding> run() {
    identity();
    settings();
    privileges();
    slots();
    synchronous_mode();
    tablespaces();
    services();
    machine();
    return std::move(found_);
  }

 private:
  void add(Severity severity, std::string subject, std::string text, std::string mend = {}) {
    found_.push_back({severity, std::move(subject), std::move(text), std::move(mend)});
  }
  void good(std::string subject, std::string text) {
    add(Severity::good, std::move(subject), std::move(text));
  }

  [[nodiscard]] std::string setting(const std::string& name) const {
    const auto found = in_.settings.find(name);
    return found == in_.settings.end() ? "" : found->second.value;
  }

  void identity() {
    if (in_.server.system_identifier != in_.archive_system_identifier) {
      add(Severity::wrong, "system identifier",
          fmt::format("the primary is {}, the archive's cluster is {}", in_.server.system_identifier,
                      in_.archive_system_identifier),
          "make a new archive: walback -c other.yaml init --conninfo … --archive …");
    } else {
      good("system identifier",
           fmt::format("{}, on timeline {}", in_.server.system_identifier, in_.server.timeline.value));
    }
    if (in_.server.in_recovery) {
      add(Severity::wrong, "primary", "the server behind primary.conninfo is a standby",
          "name the primary in walback.yaml");
    }
  }

  void settings() {
    const std::string level = setting("wal_level");
    if (level == "minimal") {
      add(Severity::wrong, "wal_level", "minimal, expected replica or logical",
          "alter system set wal_level = 'replica'; and restart the primary");
    } else {
      good("wal_level", level);
    }
    expect_on("fsync", "a crash of the primary can corrupt it");
    expect_on("full_page_writes", "a base backup can hold torn pages that WAL does not mend");
    if (setting("track_commit_timestamp") != "on") {
      add(Severity::note, "track_commit_timestamp", "off: rows do not tell when they were committed",
          "alter system set track_commit_timestamp = on; and restart the primary");
    }
    const std::string kept = setting("max_slot_wal_keep_size");
    if (kept != "-1" && !kept.empty()) {
      add(Severity::note, "max_slot_wal_keep_size",
          fmt::format("{} MB: a receiver that is away for longer loses WAL, and the archive gets a gap",
                      kept));
    } else {
      add(Severity::note, "max_slot_wal_keep_size",
          "unlimited: nothing is lost while the receiver is away, but pg_wal can fill the primary's disk",
          "watch walback status --exit-code");
    }
    if (setting("archive_mode") == "on" || setting("archive_mode") == "always") {
      add(Severity::note, "archive_mode",
          "on: walback needs no archiver; one that fails makes base backups wait");
    }
  }

  void expect_on(const std::string& name, const std::string& why) {
    if (setting(name) == "on") return good(name, "on");
    add(Severity::wrong, name, fmt::format("off: {}", why),
        fmt::format("alter system set {} = on; select pg_reload_conf();", name));
  }

  void privileges() {
    if (!in_.role.superuser && !in_.role.replication) {
      add(Severity::wrong, "role " + in_.role.role, "may not replicate",
          fmt::format("alter role \"{}\" replication;", in_.role.role));
    } else {
      good("role " + in_.role.role, "may replicate");
    }
    if (!in_.role.superuser && !in_.role.reads_all_stats) {
      add(Severity::wrong, "role " + in_.role.role,
          "does not see other sessions, so that silence cannot be told from a commit under way (no "
          "watermarks)",
          fmt::format("grant pg_monitor to \"{}\";", in_.role.role));
    }
    if (in_.config.manage.mirror && !in_.role.superuser && !in_.role.creates_schemas) {
      add(Severity::note, "role " + in_.role.role, "may not create the schema of the mirror table",
          fmt::format("grant create on database … to \"{}\"; or set manage.mirror: false", in_.role.role));
    }
  }

  void slots() {
    const std::string& name = in_.config.primary.slot;
    for (const ReplicationSlot& slot : in_.slots) {
      if (slot.name == name) return capture_slot(slot);
    }
    add(Severity::wrong, "slot " + name, "does not exist: WAL is recycled before it is captured",
        "walback init");
  }

  void capture_slot(const ReplicationSlot& slot) {
    const std::string subject = "slot " + slot.name;
    if (slot.wal_status == SlotWalStatus::lost) {
      add(Severity::wrong, subject, "is lost: the primary removed WAL that it needed",
          fmt::format("select pg_drop_replication_slot('{}'); walback init; then a new walback backup",
                      slot.name));
    } else if (!slot.restart_lsn) {
      add(Severity::wrong, subject, "reserves no WAL",
          fmt::format("select pg_drop_replication_slot('{}'); walback init", slot.name));
    } else if (!slot.active) {
      add(Severity::wrong, subject,
          fmt::format("is not active; it holds back {}", render_bytes(slot.held_back_bytes)), "walback run");
    } else {
      good(subject, fmt::format("active, holds back {}", render_bytes(slot.held_back_bytes)));
    }
  }

  void synchronous_mode() {
    const std::string names = setting("synchronous_standby_names");
    const bool waits_for_us =
        names.find(kCaptureApplicationName) != std::string::npos || names.find('*') != std::string::npos;
    if (!waits_for_us) return;
    if (setting("synchronous_commit") == "remote_apply") {
      add(Severity::wrong, "synchronous_commit",
          "remote_apply: a receiver never applies, so every commit that waits for it waits for ever",
          "alter system set synchronous_commit = on; select pg_reload_conf();");
    }
    if (!in_.config.capture.synchronous) {
      add(Severity::wrong, "capture.synchronous",
          "false, and the primary waits for the receiver: commits wait for whole segments",
          "set capture.synchronous: true in walback.yaml and restart walback capture");
    }
  }

  void tablespaces() {
    for (const Tablespace& tablespace : in_.tablespaces) {
      add(Severity::wrong, "tablespace " + tablespace.name,
          fmt::format("lies in '{}'; base backups of clusters with tablespaces are refused",
                      tablespace.location),
          "move its tables to pg_default and drop it");
    }
  }

  void services() {
    if (!in_.capturer_runs) add(Severity::wrong, "capturer", "is not running", "walback run");
    if (!in_.manager_runs) add(Severity::wrong, "WAL manager", "is not running", "walback run");
    if (in_.backups == 0)
      add(Severity::wrong, "base backups", "none: nothing can be restored", "walback backup");
  }

  void machine() {
    if (!in_.binaries) {
      add(Severity::wrong, "PostgreSQL programs",
          fmt::format("none of major {} on this host", in_.server.major()),
          fmt::format("apt install postgresql-{}", in_.server.major()));
    } else {
      good("PostgreSQL programs", in_.binaries->directory.string());
    }
    if (std::llabs(in_.clock_difference_us) > kClockToleranceUs) {
      add(Severity::note, "clocks",
          fmt::format("the primary's clock is {} {} ours; times of restores are the primary's",
                      render_duration_us(std::llabs(in_.clock_difference_us)),
                      in_.clock_difference_us > 0 ? "ahead of" : "behind"),
          "run NTP on both machines");
    }
    if (!in_.archive_disk) return;
    const std::uint64_t wanted = in_.cluster_bytes + kLeastRoom;
    if (in_.archive_disk->available_bytes < wanted) {
      add(Severity::wrong, "disk of the archive",
          fmt::format("{} free; another base backup and some WAL need {}",
                      render_bytes(in_.archive_disk->available_bytes), render_bytes(wanted)),
          "give the archive a larger disk");
    } else {
      good("disk of the archive", render_bytes(in_.archive_disk->available_bytes) + " free");
    }
  }

  const CheckInput& in_;
  std::vector<Finding> found_;
};

}  // namespace

std::string_view name_of(Severity severity) {
  switch (severity) {
    case Severity::good:
      return "good";
    case Severity::note:
      return "note";
    case Severity::wrong:
      return "wrong";
  }
  return "wrong";
}

std::vector<Finding> check_findings(const CheckInput& input) {
  return Check(input).run();
}

}  // namespace walback
