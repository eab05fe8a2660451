#include "restore/lay_base.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>

#include "os/crash_point.h"
#include "os/system.h"
#include "restore/place.h"
#include "restore/restored_server.h"
#include "restore/restored_settings.h"

namespace walback {
namespace {

/// Of the base, but not of the copy: another server's identity, a description that no longer fits, and what
/// an earlier restore left in a cluster that was then backed up: its mark would say that this one is
/// complete.
constexpr std::array<std::string_view, 12> kLeftOut = {
    "backup_manifest",      "postmaster.pid",     "postmaster.opts",      "postgresql.conf",
    "pg_hba.conf",          "standby.signal",     "postgresql.auto.conf", "recovery.signal",
    "walback-restore.json", "walback-proof.json", "postgresql.conf.base", "walback"};

bool left_out(const Path& relative) {
  return std::find(kLeftOut.begin(), kLeftOut.end(), relative.string()) != kLeftOut.end();
}

Result<std::string> read_if_there(FileSystem& files, const Path& path) {
  auto text = files.read(path);
  if (!text && text.error().kind == ErrorKind::not_found) return std::string();
  return text;
}

SettingsFloor floor_of(const RestorePlan& plan, const ControlData& control) {
  SettingsFloor floor = plan.settings;
  floor.max_connections = std::max(floor.max_connections, control.max_connections);
  floor.max_worker_processes = std::max(floor.max_worker_processes, control.max_worker_processes);
  floor.max_wal_senders = std::max(floor.max_wal_senders, control.max_wal_senders);
  floor.max_prepared_transactions =
      std::max(floor.max_prepared_transactions, control.max_prepared_transactions);
  floor.max_locks_per_transaction =
      std::max(floor.max_locks_per_transaction, control.max_locks_per_transaction);
  return floor;
}

Status copy_base(const BaseInput& input, Progress& progress, const std::stop_token& stop) {
  // PostgreSQL refuses a data directory that others may enter, and nobody shall look in meanwhile.
  TRY(input.files.set_mode(input.layout.data, 0700));
  std::atomic<std::uint64_t> copied = 0;
  std::mutex showing;  // the copy asks from all of its threads
  const CopyTreeOptions options{
      .threads = input.config.jobs == 0 ? core_count() : input.config.jobs,
      .on_bytes = [&](std::uint64_t bytes) { copied += bytes; },
      .skip = left_out,
      .stop =
          [&] {
            const std::unique_lock lock(showing, std::try_to_lock);
            if (lock) progress.report({"base backup", copied, input.plan.backup.size_bytes, ""});
            return stop.stop_requested();
          }};
  TRY(copy_tree(input.files, input.from, input.layout.data, options));
  progress.finish();
  return input.files.set_mode(input.layout.data, 0700);
}

Result<std::vector<std::string>> write_settings(const BaseInput& input) {
  FileSystem& files = input.files;
  const Path& data = input.layout.data;
  const std::string base_conf = TRY(read_if_there(files, input.from / "postgresql.conf"));
  RestoredSettings settings = restored_settings({
      .base_conf = base_conf,
      .base_auto_conf = TRY(read_if_there(files, input.from / "postgresql.auto.conf")),
      .floor = floor_of(input.plan, input.control),
      .track_commit_timestamp = input.control.track_commit_timestamp,
      .overrides = input.config.settings,
      .known = TRY(known_settings(input.binaries)),
      .listen_addresses = input.config.listen_addresses,
      .port = input.port,
      .socket_directory = input.layout.socket_directory().string(),
      .segment_bytes = input.plan.identity.segment_size.bytes(),
  });
  if (!base_conf.empty()) TRY(files.write(data / "postgresql.conf.base", base_conf));
  TRY(files.write(data / "postgresql.conf", settings.postgresql_conf));
  TRY(files.write(data / "pg_hba.conf", quarantine_hba()));
  if (!exists(files, data / "pg_ident.conf")) TRY(files.write(data / "pg_ident.conf", ""));
  const RecoverySettings recovery{
      .restore_command = restore_command(input.layout.own() / "walback-fetch", input.layout.spool()),
      .target = input.plan.stop.lsn,
      .inclusive = input.plan.stop.inclusive,
      .timeline = input.plan.timeline,
      .max_wal_size_mb =
          std::max(wal_allowance_mb(input.plan.wal_bytes, TRY(files.space(data)).available_bytes),
                   5 * (input.plan.identity.segment_size.bytes() >> 20)),
  };
  TRY(files.write(data / "postgresql.auto.conf", recovery_auto_conf(recovery)));
  TRY(files.write(data / "recovery.signal", ""));
  return std::move(settings.dropped);
}

}  // namespace

std::string restore_command(const Path& fetch_program, const Path& spool) {
  const auto quoted = [](const Path& path) {
    std::string text = "'";
    for (const char c : path.string()) {
      // %% is PostgreSQL's own escape inside restore_command.
      text += c == '\'' ? "'\\''" : c == '%' ? "%%" : std::string(1, c);
    }
    return text + "'";
  };
  return quoted(fetch_program) + " " + quoted(spool) + " '%f' '%p'";
}

Result<std::vector<std::string>> lay_base(const BaseInput& input, Progress& progress, std::stop_token stop) {
  TRY(copy_base(input, progress, stop));
  crash_point("restore.base_copied");
  TRY(input.files.create_directories(input.layout.own()));
  TRY(make_socket_directory(input.layout.socket_directory()));
  TRY(input.files.copy_file(input.fetch_program, input.layout.own() / "walback-fetch"));
  auto dropped = TRY(write_settings(input));
  crash_point("restore.settings_written");
  return dropped;
}

}  // namespace walback
