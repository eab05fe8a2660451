#include "backup/basebackup_run.h"

#include <fmt/format.h>

#include <memory>

#include "backup/backup_watch.h"

namespace walback {
namespace {

constexpr std::string_view kArea = "backup";
constexpr std::chrono::milliseconds kTick{100};
constexpr std::int64_t kLookInterval = 500'000;
constexpr std::chrono::milliseconds kInterruptGrace{5'000};
constexpr std::chrono::milliseconds kLookTimeout{5'000};

/// pg_basebackup, from start to end.
class BaseBackupRun {
 public:
  BaseBackupRun(const BackupSetup& setup, Progress& progress, Connection connection,
                const BasebackupInput& input)
      : setup_(setup),
        progress_(progress),
        input_(input),
        connection_(std::move(connection)),
        watch_(setup.archiver_bound) {}

  Status run(std::stop_token stop);
  [[nodiscard]] const BackupWatch& watch() const { return watch_; }

 private:
  Result<Command> command() const;
  BackupWatch::Verdict look(const std::string& application_name);
  void read_lines();
  Status judge(ExitStatus how) const;
  [[nodiscard]] Error error_of(BackupWatch::Verdict verdict) const;

  const BackupSetup& setup_;
  Progress& progress_;
  const BasebackupInput& input_;
  std::optional<Connection> connection_;
  std::shared_ptr<ChildLines> lines_ = std::make_shared<ChildLines>();
  BackupWatch watch_;
};

std::string application_name_of(const std::string& id) {
  return "walback_backup_" + id;
}

Result<Command> BaseBackupRun::command() const {
  const auto conninfo =
      TRY(with_keywords(setup_.conninfo, {{"application_name", application_name_of(input_.id)},
                                          {"connect_timeout", "10"},
                                          {"keepalives", "1"},
                                          {"keepalives_idle", "10"},
                                          {"keepalives_interval", "5"},
                                          {"keepalives_count", "3"},
                                          {"tcp_user_timeout", "30000"}}));
  Command command;
  command.program = setup_.binaries.program("pg_basebackup");
  command.arguments = {"--pgdata",
                       input_.directory.string(),
                       "--wal-method",
                       "none",
                       "--manifest-checksums=SHA256",
                       "--label",
                       "walback " + input_.id,
                       setup_.spread ? "--checkpoint=spread" : "--checkpoint=fast",
                       "--no-password",
                       "--progress",
                       "--verbose",
                       "--dbname",
                       conninfo};
  for (const auto& tablespace : input_.tablespaces) command.arguments.push_back(mapping_argument(tablespace));
  return command;
}

void BaseBackupRun::read_lines() {
  for (const auto& line : lines_->take()) {
    watch_.note_line(line);
    setup_.log.debug(kArea, "basebackup_line", {{"line", line}});
  }
}

BackupWatch::Verdict BaseBackupRun::look(const std::string& application_name) {
  std::optional<BaseBackupProgress> seen;
  if (!connection_) {
    if (auto connection = connect_for_backup(setup_)) connection_ = std::move(*connection);
  }
  if (connection_) {
    auto row = base_backup_progress(*connection_, application_name);
    if (row) {
      seen = std::move(*row);
    } else {
      connection_.reset();
    }
  }
  const auto verdict = watch_.observe(setup_.clock.monotonic_us(), connection_.has_value(), seen);
  progress_.report(watch_.shown());
  return verdict;
}

Error BaseBackupRun::error_of(BackupWatch::Verdict verdict) const {
  if (verdict == BackupWatch::Verdict::archiver_stuck) {
    return {ErrorKind::unavailable,
            fmt::format(
                "the primary waited {} for its archiver to take the base backup's last WAL segment, in vain",
                render_duration_us(setup_.archiver_bound.count() * 1000)),
            "archive_mode is on and archive_command (or archive_library) does not succeed: see "
            "pg_stat_archiver and "
            "the server's log. Mend it, or empty archive_command and turn archive_mode off: walback needs "
            "neither."};
  }
  return {
      ErrorKind::unavailable,
      fmt::format("neither pg_basebackup nor the primary gave a sign of life for {}",
                  render_duration_us(BackupWatch::kSilenceBound)),
      "Is the primary stopped, or the network down? Take the backup again when walback check can reach it."};
}

Status BaseBackupRun::judge(ExitStatus how) const {
  if (how.success()) return {};
  const auto why = watch_.complaint().empty() ? to_string(how) : watch_.complaint();
  const auto kind = watch_.complaint_kind();
  std::string hint = "What was copied is removed. Mend what the message names, then take the backup again.";
  if (kind == ErrorKind::disk_full)
    hint = "What was copied is removed. Make room, then take the backup again.";
  if (kind == ErrorKind::config) {
    hint =
        "pg_basebackup makes replication connections: the role needs REPLICATION, and pg_hba.conf a line for "
        "the database 'replication'. walback check names what is missing.";
  }
  return fail(kind, "pg_basebackup failed: " + why, hint);
}

Status BaseBackupRun::run(std::stop_token stop) {
  const auto to_run = TRY(command());
  const auto process =
      TRY(setup_.processes.spawn(to_run, [lines = lines_](std::string_view line) { lines->add(line); }));
  std::int64_t next_look_us = 0;
  while (true) {
    const auto how = process->wait(kTick);
    read_lines();
    if (how) return judge(*how);
    auto verdict = BackupWatch::Verdict::go_on;
    if (!stop.stop_requested() && setup_.clock.monotonic_us() >= next_look_us) {
      verdict = look(application_name_of(input_.id));
      next_look_us = setup_.clock.monotonic_us() + kLookInterval;
    }
    if (!stop.stop_requested() && verdict == BackupWatch::Verdict::go_on) continue;
    process->kill(2);  // SIGINT: it ends in order, and its walsender with it
    if (!process->wait(kInterruptGrace)) process->stop(kStopGrace);
    return tl::unexpected(stop.stop_requested() ? backup_interrupted() : error_of(verdict));
  }
}

}  // namespace

Error backup_interrupted() {
  return {ErrorKind::interrupted, "the base backup was stopped; what was copied is removed", {}};
}

Result<Connection> connect_for_backup(const BackupSetup& setup) {
  ConnectionOptions options;
  options.application_name = "walback_backup_watch";
  options.statement_timeout = kLookTimeout;
  return Connection::open(setup.conninfo, options);
}

Result<std::optional<std::uint64_t>> run_basebackup(const BackupSetup& setup, Progress& progress,
                                                    Connection connection, const BasebackupInput& input,
                                                    std::stop_token stop) {
  BaseBackupRun run(setup, progress, std::move(connection), input);
  TRY(run.run(std::move(stop)));
  return run.watch().tablespaces_listed();
}

}  // namespace walback
