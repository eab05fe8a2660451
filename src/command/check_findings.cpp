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

std::string count_of(std::uint64_t count, const std::string& thing) {
  return fmt::format("{} {}{}", count, thing, count == 1 ? "" : "s");
}

/// An SQL identifier inside double quotes of a shell: only where it needs quotes at all.
std::string quoted(const std::string& name) {
  const bool bare = !name.empty() &&
                    name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos &&
                    (name[0] < '0' || name[0] > '9');
  if (bare) return name;
  std::string text = "\\\"";
  for (const char c : name) text += c == '"' ? std::string("\\\"\\\"") : std::string(1, c);
  return text + "\\\"";
}

class Check {
 public:
  explicit Check(const CheckInput& input) : in_(input) {}

  std::vector<Finding> run() {
    identity();
    settings();
    privileges();
    slots();
    standbys();
    synchronous_mode();
    tablespaces();
    mirror();
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

  /// Ready for a shell. Each statement in a -c of its own: ALTER SYSTEM cannot be one of several.
  [[nodiscard]] static std::string psql_on(const std::string& conninfo,
                                           const std::vector<std::string>& statements) {
    std::string text = "psql \"" + conninfo + "\"";
    for (const std::string& statement : statements) text += " -c \"" + statement + "\"";
    return text;
  }
  [[nodiscard]] std::string psql(const std::vector<std::string>& statements) const {
    return psql_on(in_.config.primary.conninfo, statements);
  }
  [[nodiscard]] std::string walback(const std::string& command) const {
    return in_.config.file.empty() ? "walback " + command
                                   : fmt::format("walback -c {} {}", in_.config.file.string(), command);
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
          "walback -c other.yaml init --conninfo CONNINFO --archive DIRECTORY (a new archive)");
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
          psql({"alter system set wal_level = 'replica'"}) + ", then restart the primary");
    } else {
      good("wal_level", level);
    }
    expect_on("fsync", "a crash of the primary can corrupt it");
    expect_on("full_page_writes", "a base backup can hold torn pages that WAL does not mend");
    if (setting("track_commit_timestamp") != "on") {
      add(Severity::note, "track_commit_timestamp", "off: rows do not tell when they were committed",
          psql({"alter system set track_commit_timestamp = on"}) + ", then restart the primary");
    }
    const std::string kept = setting("max_slot_wal_keep_size");
    if (kept != "-1" && !kept.empty()) {
      add(Severity::note, "max_slot_wal_keep_size",
          fmt::format("{} MB: a receiver that is away for longer loses WAL, and the archive gets a gap",
                      kept));
    } else {
      add(Severity::note, "max_slot_wal_keep_size",
          "unlimited: nothing is lost while the receiver is away, but pg_wal can fill the primary's disk",
          walback("status --exit-code") + " (from your monitoring)");
    }
    if (setting("archive_mode") == "on" || setting("archive_mode") == "always") {
      add(Severity::note, "archive_mode",
          "on: walback needs no archiver; one that fails makes base backups wait");
    }
  }

  void expect_on(const std::string& name, const std::string& why) {
    if (setting(name) == "on") return good(name, "on");
    add(Severity::wrong, name, fmt::format("off: {}", why),
        psql({fmt::format("alter system set {} = on", name), "select pg_reload_conf()"}));
  }

  void privileges() {
    if (!in_.role.superuser && !in_.role.replication) {
      add(Severity::wrong, "role " + in_.role.role, "may not replicate",
          psql({fmt::format("alter role {} replication", quoted(in_.role.role))}) + " (as a superuser)");
    } else {
      good("role " + in_.role.role, "may replicate");
    }
    if (!in_.role.superuser && !in_.role.reads_all_stats) {
      add(Severity::wrong, "role " + in_.role.role,
          "does not see other sessions, so that silence cannot be told from a commit under way (no "
          "watermarks)",
          psql({fmt::format("grant pg_monitor to {}", quoted(in_.role.role))}) + " (as a superuser)");
    }
  }

  void slots() {
    const std::string& name = in_.config.primary.slot;
    bool found = false;
    for (const ReplicationSlot& slot : in_.slots) {
      found = found || slot.name == name;
      slot.name == name ? capture_slot(slot) : other_slot(slot);
    }
    if (found) return;
    add(Severity::wrong, "slot " + name, "does not exist: WAL is recycled before it is captured",
        walback("init") + ", then " + walback("backup"));
  }

  /// Somebody else's; what it holds back fills the same disk.
  void other_slot(const ReplicationSlot& slot) {
    const std::string subject = "slot " + slot.name;
    if (slot.temporary) return;
    if (slot.wal_status == SlotWalStatus::lost) {
      add(Severity::note, subject, "is lost: whoever used it must begin anew",
          psql({fmt::format("select pg_drop_replication_slot('{}')", slot.name)}));
    } else if (!slot.active && slot.restart_lsn) {
      add(Severity::note, subject,
          fmt::format("is not walback's and nobody uses it; it holds back {} on the primary",
                      render_bytes(slot.held_back_bytes)),
          psql({fmt::format("select pg_drop_replication_slot('{}')", slot.name)}) +
              " (if nobody comes back for it)");
    } else {
      good(subject, fmt::format("not walback's, {}, holds back {}", slot.active ? "active" : "not active",
                                render_bytes(slot.held_back_bytes)));
    }
  }

  void standbys() {
    for (const StandbyView& standby : in_.standbys) {
      const std::string subject = "standby " + standby.name;
      if (!standby.problem.empty()) {
        add(Severity::note, subject, "cannot be asked: " + standby.problem,
            psql_on(standby.conninfo, {"select pg_is_in_recovery()"}) + " (says why)");
      } else if (standby.server.system_identifier != in_.archive_system_identifier) {
        add(Severity::wrong, subject,
            fmt::format("is system {}, the archive's cluster is {}", standby.server.system_identifier,
                        in_.archive_system_identifier),
            "correct standbys in walback.yaml");
      } else if (!standby.server.in_recovery) {
        add(Severity::wrong, subject, "is not a standby: it takes writes of its own",
            "correct primary and standbys in walback.yaml");
      } else if (standby.found_slot && standby.found_slot->wal_status == SlotWalStatus::lost) {
        add(Severity::note, subject, fmt::format("its slot '{}' is lost", standby.slot),
            psql_on(standby.conninfo, {fmt::format("select pg_drop_replication_slot('{}')", standby.slot)}));
      } else if (standby.found_slot) {
        good(subject, fmt::format("answers; its slot '{}' is {}, holds back {}", standby.slot,
                                  standby.found_slot->active ? "active" : "not active",
                                  render_bytes(standby.found_slot->held_back_bytes)));
      } else {
        good(subject, fmt::format("answers; it has no slot '{}' yet, which a failover needs", standby.slot));
      }
    }
  }

  [[nodiscard]] std::string drop_slot(const ReplicationSlot& slot) const {
    return psql({fmt::format("select pg_drop_replication_slot('{}')", slot.name)});
  }

  void capture_slot(const ReplicationSlot& slot) {
    const std::string subject = "slot " + slot.name;
    if (slot.wal_status == SlotWalStatus::lost) {
      add(Severity::wrong, subject, "is lost: the primary removed WAL that it needed",
          fmt::format("{}, then {}, then {}", drop_slot(slot), walback("init"), walback("backup")));
    } else if (!slot.restart_lsn) {
      add(Severity::wrong, subject, "reserves no WAL",
          fmt::format("{}, then {}", drop_slot(slot), walback("init")));
    } else if (!slot.active) {
      add(Severity::wrong, subject,
          fmt::format("is not active: nothing is captured, and it holds back {} on the primary",
                      render_bytes(slot.held_back_bytes)),
          walback("run"));
    } else if (slot.wal_status == SlotWalStatus::unreserved) {
      add(Severity::wrong, subject,
          fmt::format("is active and {} behind: the next checkpoint may remove WAL that it needs",
                      render_bytes(slot.held_back_bytes)),
          psql({"alter system set max_slot_wal_keep_size = -1", "select pg_reload_conf()"}));
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
          psql({"alter system set synchronous_commit = on", "select pg_reload_conf()"}));
    }
    if (!in_.config.capture.synchronous) {
      add(Severity::wrong, "capture.synchronous",
          "false, and the primary waits for the receiver: commits wait for whole segments",
          "set `capture: {synchronous: true}` in walback.yaml, then restart " + walback("run"));
    }
  }

  void tablespaces() {
    for (const Tablespace& tablespace : in_.tablespaces) {
      add(Severity::wrong, "tablespace " + tablespace.name,
          fmt::format("lies in '{}'; base backups of clusters with tablespaces are refused",
                      tablespace.location),
          psql({fmt::format("alter table all in tablespace {} set tablespace pg_default",
                            quoted(tablespace.name)),
                fmt::format("drop tablespace {}", quoted(tablespace.name))}) +
              " (in each database that uses it)");
    }
  }

  void mirror() {
    if (!in_.config.manage.mirror || !in_.mirror) return;
    const std::string subject = "table walback.wal_segments";
    if (!in_.mirror->foreign_owner.empty()) {
      add(Severity::wrong, subject,
          fmt::format(
              "it or its schema belongs to role '{}', expected '{}' or a superuser: it is not written",
              in_.mirror->foreign_owner, in_.role.role),
          psql({fmt::format("alter schema walback owner to {}", quoted(in_.role.role)),
                fmt::format("alter table walback.wal_segments owner to {}", quoted(in_.role.role))}));
    } else if (in_.mirror->present) {
      good(subject, "is there");
    } else if (!in_.role.superuser && !in_.role.creates_schemas) {
      add(Severity::note, subject,
          fmt::format("is not there, and role '{}' may not create its schema", in_.role.role),
          psql({fmt::format("create schema walback authorization {}", quoted(in_.role.role))}) +
              " (as a superuser), or set `manage: {mirror: false}` in walback.yaml");
    } else {
      good(subject, "is not there yet: it is made after the next commit");
    }
  }

  void services() {
    if (!in_.capturer_runs) add(Severity::wrong, "capturer", "is not running", walback("run"));
    if (!in_.manager_runs) add(Severity::wrong, "WAL manager", "is not running", walback("run"));
    if (in_.backups == 0) {
      add(Severity::wrong, "base backups", "none: nothing can be restored", walback("backup"));
    } else if (in_.usable_backups == 0) {
      add(Severity::wrong, "base backups",
          count_of(in_.backups, "base backup") +
              ", none of them usable: the archive lacks WAL that they need",
          walback("backup"));
    } else {
      good("base backups", fmt::format("{}, {} usable", in_.backups, in_.usable_backups));
    }
  }

  void machine() {
    if (!in_.binaries) {
      add(Severity::wrong, "PostgreSQL programs",
          fmt::format("none of major {} on this host", in_.server.major()),
          fmt::format("apt install postgresql-{}", in_.server.major()));
    } else {
      good("PostgreSQL programs", in_.binaries->directory.string());
    }
    for (const ClientProgram& program : in_.programs) client_program(program);
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

  void client_program(const ClientProgram& program) {
    const int major = in_.server.major();
    if (!program.version) {
      add(Severity::wrong, program.name, "was not found on this host",
          fmt::format("apt install postgresql-{0} postgresql-client-{0}", major));
    } else if (program.version->major < major) {
      add(Severity::wrong, program.name,
          fmt::format("'{}' is of {}.{}, older than the primary's {}", program.path.string(),
                      program.version->major, program.version->minor, major),
          fmt::format("apt install postgresql-{0} postgresql-client-{0}", major));
    } else {
      good(program.name,
           fmt::format("{}.{}, '{}'", program.version->major, program.version->minor, program.path.string()));
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
