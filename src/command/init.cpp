#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "archive/standby_slots.h"
#include "base/text.h"
#include "catalog/archive.h"
#include "catalog/held_wal.h"
#include "catalog/journal.h"
#include "command/commands.h"
#include "command/init_slots.h"
#include "command/session.h"
#include "config/config.h"
#include "os/system.h"
#include "pg/connection.h"
#include "pg/find_primary.h"
#include "pg/server.h"
#include "pg/slots.h"

namespace walback {
namespace {

struct Options {
  std::string conninfo, archive, slot;
  std::vector<std::string> standbys;
};

/// The configuration there is, or the one to be written: what was asked on the command line wins, but never
/// silently contradicts a file that exists.
struct Wanted {
  Config config;
  Path file;
  bool write = false;
};

/// Where the configuration is, or is to be written: /etc is never written to unasked.
Path config_file(const Context& context) {
  if (context.config_option) return *context.config_option;
  if (const auto named = environment_variable("WALBACK_CONFIG"); named && !named->empty())
    return (context.start_directory / *named).lexically_normal();
  return context.start_directory / "walback.yaml";
}

/// Asked before anything is made: an archive whose configuration cannot be written helps nobody.
Status check_writable(const Path& file) {
  const Path directory = file.parent_path();
  if (::access(directory.c_str(), W_OK | X_OK) == 0) return {};
  const int reason = errno;
  return fail(reason == ENOENT ? ErrorKind::not_found : ErrorKind::conflict,
              fmt::format("'{}' cannot be written: {}", file.string(),
                          reason == ENOENT ? fmt::format("there is no directory '{}'", directory.string())
                                           : fmt::format("user '{}' may not write to '{}'", user_name(),
                                                         directory.string())),
              "Name another place with -c, for example: walback -c /etc/walback/walback.yaml init …");
}

/// Makes what is missing of the path and gives it to the user that walback is about to become.
Status make_for_user(FileSystem& files, const Path& directory) {
  std::vector<Path> missing;
  for (Path path = directory; !path.empty() && !exists(files, path); path = path.parent_path())
    missing.push_back(path);
  if (missing.empty()) return {};
  TRY(files.create_directories(directory));
  // Others may pass through what only leads there; the archive itself stays closed.
  for (const Path& path : missing) {
    TRY(give_to(path));
    if (path != directory) TRY(files.set_mode(path, 0755));
  }
  return {};
}

Result<Wanted> wanted_config(const Context& context, const Options& options) {
  const Path file = config_file(context);
  if (exists(*context.files, file)) {
    Wanted wanted{.config = TRY(load_config(*context.files, file)), .file = file};
    const auto differs = [&](const std::string& option, const std::string& given,
                             const std::string& found) -> Status {
      if (given.empty() || given == found) return {};
      return fail(ErrorKind::conflict,
                  fmt::format("'{}' says {}: {}, and {} was asked for", file.string(), option, found, given),
                  "Change the file, or leave the option out.");
    };
    TRY(differs("primary.conninfo", options.conninfo, wanted.config.primary.conninfo));
    TRY(differs("primary.slot", options.slot, wanted.config.primary.slot));
    if (!options.archive.empty()) {
      TRY(differs("archive", options.archive, wanted.config.archive.lexically_normal().string()));
    }
    for (const std::string& asked : options.standbys) {
      const auto& known = wanted.config.standbys;
      if (std::any_of(known.begin(), known.end(), [&](const auto& one) { return one.conninfo == asked; }))
        continue;
      return fail(ErrorKind::conflict, fmt::format("'{}' does not name the standby {}", file.string(), asked),
                  "Add it to the file under standbys, or leave the option out.");
    }
    return wanted;
  }
  if (options.conninfo.empty() || options.archive.empty()) {
    return fail(ErrorKind::usage,
                fmt::format("'{}' does not exist, so --conninfo and --archive are needed", file.string()),
                "Example: walback init --conninfo 'host=/var/run/postgresql dbname=postgres' --archive "
                "/var/lib/walback/main");
  }
  TRY(check_writable(file));
  Wanted wanted{.config = {}, .file = file, .write = true};
  wanted.config.file = file;
  wanted.config.archive = options.archive;
  wanted.config.primary.conninfo = options.conninfo;
  if (!options.slot.empty()) wanted.config.primary.slot = options.slot;
  wanted.config.time_zone = system_time_zone();
  for (std::size_t i = 0; i < options.standbys.size(); ++i) {
    TRY(check_conninfo(options.standbys[i], "--standby"));
    wanted.config.standbys.push_back(
        {fmt::format("standby{}", i + 1), options.standbys[i], wanted.config.primary.slot});
  }
  return wanted;
}

/// As PostgreSQL names slots: told before an archive is made.
CLI::Validator slot_name() {
  return {[](std::string& text) -> std::string {
            const bool fits =
                !text.empty() && text.size() <= 63 &&
                text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
            return fits ? ""
                        : fmt::format("'{}' is no slot's name, expected 1 to 63 of a-z, 0-9 and _", text);
          },
          ""};
}

/// What an archive that is there already says of its cluster.
Result<KnownCluster> cluster_of(FileSystem& files, const ArchiveLayout& layout) {
  const auto identity = read_archive_identity(files, layout);
  if (!identity) return KnownCluster{};
  return KnownCluster{identity->system_identifier, TRY(newest_history(files, layout))};
}

Status run_init(Context& context, const Options& options) {
  if (!options.conninfo.empty()) TRY(check_conninfo(options.conninfo, "--conninfo"));
  const Wanted wanted = TRY(wanted_config(context, options));
  const Config& config = wanted.config;
  const ArchiveLayout layout{config.archive};
  const PrimaryChoice primary =
      TRY(find_primary(config.primary.conninfo, TRY(cluster_of(*context.files, layout))));
  Connection connection = TRY(Connection::open(primary.host.conninfo));
  const ServerIdentity server = TRY(server_identity(connection));
  std::vector<StandbySlot> standby_list = TRY(standby_slots_of(config));
  std::erase_if(standby_list,
                [&](const StandbySlot& standby) { return standby.conninfo == primary.host.conninfo; });
  TRY(refuse_foreign_standbys(standby_list, server));
  const ArchiveIdentity identity{server.system_identifier, server.segment_size};
  const bool fresh = !exists(*context.files, layout.identity());
  if (fresh) {
    TRY(refuse_slot_in_use(connection, config.primary.slot));
  } else {
    TRY(refuse_lost_slot(connection, config.primary.slot, TRY(newest_resume_point(*context.files, layout))));
  }
  TRY(create_archive(*context.files, layout, identity));
  if (fresh)
    TRY(append_journal(*context.files, layout.journal(), journal_entry(context.clock->now(), identity)));
  const InitSlot slot = TRY(make_slot(connection, config.primary.slot));
  std::vector<StandbyResult> standbys;
  for (const StandbySlot& standby : standby_list) standbys.push_back(TRY(make_standby_slot(standby)));
  if (wanted.write) TRY(publish(*context.files, wanted.file, annotated_config(config)));

  const std::string archive = fmt::format("archive '{}' {} system {}", config.archive.string(),
                                          fresh ? "made for" : "belongs to", server.system_identifier);
  Json standby_slots = Json::array();
  std::string standby_text;
  for (const StandbyResult& standby : standbys) {
    standby_slots.push_back(json_of(standby));
    standby_text += text_of(standby);
  }
  context.answer(
      {{"archive", config.archive.string()},
       {"archive_created", fresh},
       {"system_identifier", std::to_string(server.system_identifier)},
       {"slot", config.primary.slot},
       {"slot_created", slot.created},
       {"wal_kept_from_lsn", to_string(slot.kept_from)},
       {"standbys", standby_slots},
       {"config", wanted.file.string()},
       {"config_written", wanted.write}},
      fmt::format("{}\nslot '{}' {}, WAL kept from {}\n{}configuration '{}' {}\n"
                  "next: walback -c {} run   (then: walback -c {} backup)\n",
                  archive, config.primary.slot, slot.created ? "created" : "exists",
                  to_string(slot.kept_from), standby_text, wanted.file.string(),
                  wanted.write ? "written" : "kept as it is", wanted.file.string(), wanted.file.string()));
  return {};
}

}  // namespace

CommandSpec init_command() {
  const auto options = std::make_shared<Options>();
  return {.name = "init",
          .summary = "make an archive for a primary: its identity, the slot, walback.yaml",
          .endings = {ErrorKind::config, ErrorKind::not_found, ErrorKind::unreachable, ErrorKind::conflict,
                      ErrorKind::foreign_system, ErrorKind::disk_full},
          .declare = [options](CLI::App& app) -> Run {
            app.add_option("--conninfo", options->conninfo,
                           "of the primary, as libpq writes it, without a password: 'host=db1 user=walback "
                           "dbname=postgres'");
            app.add_option("--archive", options->archive,
                           "the directory that will hold WAL and base backups; made where it is missing")
                ->type_name("DIR")
                ->transform(absolute_path());
            app.add_option("--slot", options->slot, "the replication slot's name (default: walback)")
                ->check(slot_name());
            app.add_option("--standby", options->standbys,
                           "a server that may become the primary; may be repeated")
                ->allow_extra_args(false);
            return [options](Context& context) { return run_init(context, *options); };
          },
          .as_root = [options](Context& context) -> Status {
            if (!options->archive.empty()) TRY(make_for_user(*context.files, options->archive));
            if (context.config_option)
              TRY(make_for_user(*context.files, context.config_option->parent_path()));
            return {};
          }};
}

}  // namespace walback
