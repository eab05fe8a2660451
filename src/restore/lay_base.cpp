#include "restore/lay_base.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <set>

#include "catalog/backup_tablespaces.h"
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
/// A tablespace_map would have PostgreSQL make the primary's links again.
constexpr std::array<std::string_view, 13> kLeftOut = {
    "backup_manifest", "postmaster.pid",       "postmaster.opts",    "postgresql.conf",
    "tablespace_map",  "pg_hba.conf",          "standby.signal",     "postgresql.auto.conf",
    "recovery.signal", "walback-restore.json", "walback-proof.json", "postgresql.conf.base",
    "walback"};

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

/// What the base's tablespaces are laid out anew from, and the links to it.
std::set<std::string> tablespace_paths(const std::vector<std::uint32_t>& oids) {
  std::set<std::string> paths;
  for (const std::uint32_t oid : oids) {
    paths.insert(fmt::format("tablespaces/{}", oid));
    paths.insert(fmt::format("pg_tblspc/{}", oid));
  }
  return paths;
}

Status copy_base(const BaseInput& input, Progress& progress, const std::stop_token& stop) {
  // PostgreSQL refuses a data directory that others may enter, and nobody shall look in meanwhile.
  TRY(input.files.set_mode(input.layout.data, 0700));
  std::atomic<std::uint64_t> copied = 0;
  std::mutex showing;  // the copy asks from all of its threads
  const auto apart = tablespace_paths(TRY(tablespaces_in_backup(input.files, input.from)));
  CopyTreeOptions options{
      .threads = input.config.jobs == 0 ? core_count() : input.config.jobs,
      .on_bytes = [&](std::uint64_t bytes) { copied += bytes; },
      .skip = [&](const Path& path) { return left_out(path) || apart.contains(path.string()); },
      .stop =
          [&] {
            const std::unique_lock lock(showing, std::try_to_lock);
            if (lock) progress.report({"base backup", copied, input.plan.backup.size_bytes, ""});
            return stop.stop_requested();
          }};
  TRY(copy_tree(input.files, input.from, input.layout.data, options));
  // Empty, unless the primary had something of its own there.
  if (!apart.empty()) static_cast<void>(input.files.remove(input.layout.data / "tablespaces"));
  options.skip = {};
  TRY(lay_tablespaces(input, options));
  progress.finish();
  return input.files.set_mode(input.layout.data, 0700);
}

Result<bool> in_place_tablespaces(const BaseInput& input) {
  for (const PlannedTablespace& created : input.plan.tablespaces_created) {
    if (created.in_place()) return true;
  }
  const auto entries = TRY(input.files.list(input.layout.data / "pg_tblspc"));
  return std::ranges::any_of(entries, [](const auto& entry) { return entry.kind == FileKind::directory; });
}

/// walback.yaml's own words are not dropped: somebody wants them.
Status check_refused(const BaseInput& input, const std::vector<RefusedSetting>& refused) {
  for (const auto& [written, value] : input.config.settings) {
    const auto found = std::ranges::find(refused, setting_name(written), &RefusedSetting::name);
    if (found == refused.end()) continue;
    return fail(ErrorKind::config,
                fmt::format("restore.settings.{} = '{}' of walback.yaml: {}", written, value, found->why),
                "This host's server refuses it: correct walback.yaml.");
  }
  return {};
}

/// postgresql.conf, and what of the base's is not in it. What the server itself refuses (a locale or a time
/// zone that this host lacks) is known only when it was asked; it names all at once, but unknown names before
/// wrong values.
Result<std::vector<std::string>> write_postgresql_conf(const BaseInput& input,
                                                       RestoredSettingsInput settings) {
  constexpr int kMostRounds = 3;
  for (int round = 1;; ++round) {
    RestoredSettings restored = restored_settings(settings);
    TRY(input.files.write(input.layout.data / "postgresql.conf", restored.postgresql_conf));
    const auto refused = TRY(refused_settings(input.binaries, input.layout.data));
    if (refused.empty()) return std::move(restored.dropped);
    TRY(check_refused(input, refused));
    if (round == kMostRounds) {
      return fail(ErrorKind::conflict,
                  fmt::format("this host's server does not accept the base backup's settings: {}",
                              refused.front().why),
                  "Set it in restore.settings of walback.yaml to something that it knows.");
    }
    settings.refused.insert(settings.refused.end(), refused.begin(), refused.end());
  }
}

Result<std::vector<std::string>> write_settings(const BaseInput& input) {
  FileSystem& files = input.files;
  const Path& data = input.layout.data;
  const std::string base_conf = TRY(read_if_there(files, input.from / "postgresql.conf"));
  RestoredSettingsInput settings;
  settings.base_conf = base_conf;
  settings.base_auto_conf = TRY(read_if_there(files, input.from / "postgresql.auto.conf"));
  settings.floor = floor_of(input.plan, input.control);
  settings.track_commit_timestamp = input.control.track_commit_timestamp;
  settings.overrides = input.config.settings;
  settings.known = TRY(known_settings(input.binaries));
  settings.missing_libraries = input.missing_libraries;
  settings.listen_addresses = input.config.listen_addresses;
  settings.port = input.port;
  settings.socket_directory = input.layout.socket_directory().string();
  settings.segment_bytes = input.plan.identity.segment_size.bytes();
  if (!base_conf.empty()) TRY(files.write(data / "postgresql.conf.base", base_conf));
  auto dropped = TRY(write_postgresql_conf(input, std::move(settings)));
  if (base_conf.empty()) {
    dropped.emplace_back(
        "postgresql.conf as a whole (it lay outside of the primary's data directory: no base backup has it)");
  }
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
      .in_place_tablespaces = TRY(in_place_tablespaces(input)),
  };
  TRY(files.write(data / "postgresql.auto.conf", recovery_auto_conf(recovery)));
  TRY(files.write(data / "recovery.signal", ""));
  return dropped;
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

Status lay_tablespaces(const BaseInput& input, const CopyTreeOptions& options) {
  FileSystem& files = input.files;
  for (const Path& directory : claimed_directories(input.tablespaces)) {
    TRY(claim_directory(files, directory, input.layout.data));
  }
  for (const RestoredTablespace& tablespace : input.tablespaces) {
    if (tablespace.created_at) continue;
    TRY(copy_tree(files, tablespace_in_backup(input.from, tablespace.oid), tablespace.directory, options));
    TRY(files.set_mode(tablespace.directory, 0700));
    TRY(files.create_symlink(tablespace.directory,
                             input.layout.data / "pg_tblspc" / std::to_string(tablespace.oid)));
  }
  return {};
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
