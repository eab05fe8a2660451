#include <fmt/format.h>

#include "command/checklist.h"

namespace walback {
namespace {

void identity(Checklist& list) {
  if (list.in.server.system_identifier != list.in.archive_system_identifier) {
    list.add(Severity::wrong, "system identifier",
             fmt::format("the primary is {}, the archive's cluster is {}", list.in.server.system_identifier,
                         list.in.archive_system_identifier),
             "walback -c other.yaml init --conninfo CONNINFO --archive DIRECTORY (a new archive)");
  } else {
    list.good("system identifier", fmt::format("{}, on timeline {}", list.in.server.system_identifier,
                                               list.in.server.timeline.value));
  }
  if (list.in.server.in_recovery) {
    list.add(Severity::wrong, "primary", "the server behind primary.conninfo is a standby",
             "name the primary in walback.yaml");
  }
}

void expect_on(Checklist& list, const std::string& name, const std::string& why) {
  if (list.setting(name) == "on") return list.good(name, "on");
  list.add(Severity::wrong, name, fmt::format("off: {}", why),
           list.psql({fmt::format("alter system set {} = on", name), "select pg_reload_conf()"}));
}

void settings(Checklist& list) {
  const std::string level = list.setting("wal_level");
  if (level == "minimal") {
    list.add(Severity::wrong, "wal_level", "minimal, expected replica or logical",
             list.psql({"alter system set wal_level = 'replica'"}) + ", then restart the primary");
  } else {
    list.good("wal_level", level);
  }
  expect_on(list, "fsync", "a crash of the primary can corrupt it");
  expect_on(list, "full_page_writes", "a base backup can hold torn pages that WAL does not mend");
  if (list.setting("track_commit_timestamp") != "on") {
    list.add(Severity::note, "track_commit_timestamp", "off: rows do not tell when they were committed",
             list.psql({"alter system set track_commit_timestamp = on"}) + ", then restart the primary");
  }
  const std::string kept = list.setting("max_slot_wal_keep_size");
  if (kept != "-1" && !kept.empty()) {
    list.add(
        Severity::note, "max_slot_wal_keep_size",
        fmt::format("{} MB: a receiver that is away for longer loses WAL, and the archive gets a gap", kept));
  } else {
    list.add(Severity::note, "max_slot_wal_keep_size",
             "unlimited: nothing is lost while the receiver is away, but pg_wal can fill the primary's disk",
             list.walback("status --exit-code") + " (from your monitoring)");
  }
  if (list.setting("archive_mode") == "on" || list.setting("archive_mode") == "always") {
    list.add(Severity::note, "archive_mode",
             "on: walback needs no archiver; one that fails makes base backups wait");
  }
}

void privileges(Checklist& list) {
  if (!list.in.role.superuser && !list.in.role.replication) {
    list.add(Severity::wrong, "role " + list.in.role.role, "may not replicate",
             list.psql({fmt::format("alter role {} replication", sql_name(list.in.role.role))}) +
                 " (as a superuser)");
  } else {
    list.good("role " + list.in.role.role, "may replicate");
  }
  if (!list.in.role.superuser && !list.in.role.reads_all_stats) {
    list.add(Severity::wrong, "role " + list.in.role.role,
             "does not see other sessions, so that silence cannot be told from a commit under way (no "
             "watermarks)",
             list.psql({fmt::format("grant pg_monitor to {}", sql_name(list.in.role.role))}) +
                 " (as a superuser)");
  }
}

}  // namespace

void check_server(Checklist& list) {
  identity(list);
  settings(list);
  privileges(list);
}

}  // namespace walback
