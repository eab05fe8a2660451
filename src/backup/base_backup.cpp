#include "backup/base_backup.h"

#include <fmt/format.h>

#include <memory>

#include "backup/backup_files.h"
#include "backup/basebackup_run.h"
#include "backup/unfinished_backup.h"
#include "base/text.h"
#include "catalog/archive.h"
#include "catalog/backup_tablespaces.h"
#include "os/crash_point.h"
#include "os/system.h"

namespace walback {
namespace {

constexpr std::string_view kArea = "backup";
constexpr std::chrono::milliseconds kTick{100};

/// However it ends, the bar is wiped before anything else is written.
class FinishedProgress {
 public:
  explicit FinishedProgress(Progress& progress) : progress_(progress) {}
  FinishedProgress(const FinishedProgress&) = delete;
  FinishedProgress& operator=(const FinishedProgress&) = delete;
  ~FinishedProgress() { progress_.finish(); }

 private:
  Progress& progress_;
};

Result<BackupConditions> conditions_now(const BackupSetup& setup, Connection& connection) {
  BackupConditions conditions;
  conditions.server = TRY(server_identity(connection));
  conditions.slot = TRY(find_slot(connection, setup.slot));
  conditions.tablespaces = TRY(user_tablespaces(connection));
  // A role without pg_read_all_stats may not see every database's size; then the disk itself will tell.
  if (const auto bytes = cluster_size_bytes(connection)) conditions.cluster_bytes = *bytes;
  conditions.available_bytes = TRY(setup.files.space(setup.archive.backups())).available_bytes;
  return conditions;
}

void remove_what_crashes_left(const BackupSetup& setup) {
  const auto removed = remove_leftovers(setup.files, setup.archive);
  if (!removed) {
    setup.log.warn(kArea, "leftover_not_removed", {{key::error, removed.error().message}});
    return;
  }
  for (const auto& name : *removed) {
    setup.log.warn(kArea, "leftover_removed",
                   {{key::path, (setup.archive.backups() / name).string()},
                    {"why", "a base backup ended before it was complete"}});
  }
}

Status verify(const BackupSetup& setup, const Path& directory, Progress& progress, std::stop_token stop) {
  progress.report({"verifying", 0, 0, "pg_verifybackup reads every file"});
  Command command;
  command.program = setup.binaries.program("pg_verifybackup");
  command.arguments = verifybackup_arguments(directory, TRY(tablespaces_in_backup(setup.files, directory)));
  const auto lines = std::make_shared<ChildLines>();
  const auto process =
      TRY(setup.processes.spawn(command, [lines](std::string_view line) { lines->add(line); }));
  std::vector<std::string> said;
  const auto read = [&] {
    for (auto& line : lines->take()) {
      if (said.size() < 10) said.push_back(std::move(line));
    }
  };
  std::optional<ExitStatus> how;
  while (!how) {
    how = process->wait(kTick);
    read();
    if (!how && stop.stop_requested()) {
      process->stop(kStopGrace);
      return tl::unexpected(backup_interrupted());
    }
  }
  if (how->success()) return {};
  return fail(
      ErrorKind::corrupt,
      fmt::format("pg_verifybackup refuses the base backup ({}): {}", to_string(*how), join(said, "; ")),
      "What was copied is removed. Is the archive's disk sound? Take the backup again.");
}

/// Where pg_basebackup failed and the primary's tablespaces are not those that were listed, that is why: it
/// does not copy one that it was not told about over the primary's own.
Error explained(const BackupSetup& setup, const BasebackupInput& input, Error error) {
  if (error.kind != ErrorKind::unavailable) return error;
  auto connection = connect_for_backup(setup);
  if (!connection) return error;
  const auto now = user_tablespaces(*connection);
  if (!now || map_tablespaces(*now, input.directory) == input.tablespaces) return error;
  error.message = "tablespaces were created or dropped while the base backup began: " + error.message;
  error.hint = "What was copied is removed. Take the backup again.";
  return error;
}

Status copy_cluster(const BackupSetup& setup, Progress& progress, Connection connection,
                    const BasebackupInput& input, const std::stop_token& stop) {
  const auto listed = run_basebackup(setup, progress, std::move(connection), input, stop);
  if (!listed) return tl::unexpected(explained(setup, input, listed.error()));
  return arrange_tablespaces(setup.files, input.directory, input.tablespaces, *listed);
}

Status register_backup(const BackupSetup& setup, const BackupRow& row) {
  const auto put = setup.catalog.put_backup(row);
  if (put) return {};
  return fail(put.error().kind,
              fmt::format("base backup '{}' is complete, but the catalog does not know it: {}", row.id,
                          put.error().message),
              "It is on disk under its name; the next command that reads the catalog registers it.");
}

}  // namespace

Result<BackupRow> take_base_backup(const BackupSetup& setup, Progress& progress, std::stop_token stop) {
  const FinishedProgress finished(progress);
  const auto identity = TRY(read_archive_identity(setup.files, setup.archive));
  TRY(setup.files.create_directories(setup.archive.backups()));
  TRY(setup.files.create_directories(setup.archive.lock("backup").parent_path()));
  const auto lock = TRY(FileLock::take(setup.archive.lock("backup"), "a base backup"));
  remove_what_crashes_left(setup);

  auto connection = TRY(connect_for_backup(setup));
  const auto conditions = TRY(conditions_now(setup, connection));
  TRY(may_back_up(conditions, identity, setup.archive.root.string(), setup.slot, setup.binaries.major));
  if (!conditions.slot->active) {
    setup.log.warn(
        kArea, "capture_not_running",
        {{key::slot, setup.slot}, {key::hint, "The backup is usable once walback capture has its WAL."}});
  }

  BackupFacts facts;
  facts.started_at = setup.clock.now();
  facts.server_version_num = static_cast<std::uint32_t>(conditions.server.server_version_num);
  const auto id = TRY(free_backup_id(setup.files, setup.archive, facts.started_at));
  UnfinishedBackup unfinished(setup.files, setup.archive, setup.log, id);
  setup.log.info(kArea, "backup_started", {{"id", id}, {"checkpoint", setup.spread ? "spread" : "fast"}});
  const auto begun_us = setup.clock.monotonic_us();
  crash_point("backup.started");
  const auto mappings = map_tablespaces(conditions.tablespaces, unfinished.directory());
  TRY(copy_cluster(setup, progress, std::move(connection), {id, unfinished.directory(), mappings}, stop));
  crash_point("backup.copied");
  TRY(verify(setup, unfinished.directory(), progress, stop));
  crash_point("backup.verified");
  auto row = TRY(read_backup(setup.files, unfinished.directory(), id, identity));
  for (const auto& mapping : mappings) {
    facts.tablespaces.push_back(fmt::format("{} {}", mapping.oid, mapping.from));
  }
  progress.report({"base backup", row.size_bytes, row.size_bytes, "syncing to disk"});
  facts.finished_at = setup.clock.now();
  add_facts(row, facts);
  TRY(unfinished.publish(facts, stop));
  TRY(register_backup(setup, row));
  setup.log.info(kArea, "backup_finished",
                 {{"id", id},
                  {key::timeline, std::to_string(row.timeline.value)},
                  {"start_lsn", to_string(row.start_lsn)},
                  {"stop_lsn", to_string(row.stop_lsn)},
                  {"bytes", std::to_string(row.size_bytes)},
                  {key::took_ms, std::to_string((setup.clock.monotonic_us() - begun_us) / 1000)}});
  return row;
}

}  // namespace walback
