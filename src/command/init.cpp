#include <fmt/format.h>

#include "base/text.h"
#include "catalog/archive.h"
#include "catalog/journal.h"
#include "command/commands.h"
#include "command/session.h"
#include "config/config.h"
#include "pg/connection.h"
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

Result<Wanted> wanted_config(const Context& context, const Options& options) {
  const Path file = std::filesystem::absolute(context.config_option.value_or("walback.yaml"));
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
      TRY(differs("archive", std::filesystem::absolute(options.archive).lexically_normal().string(),
                  wanted.config.archive.lexically_normal().string()));
    }
    return wanted;
  }
  if (options.conninfo.empty() || options.archive.empty()) {
    return fail(ErrorKind::usage,
                fmt::format("'{}' does not exist, so --conninfo and --archive are needed", file.string()),
                "Example: walback init --conninfo 'host=/var/run/postgresql dbname=postgres' --archive "
                "/var/lib/walback/main");
  }
  Wanted wanted{.config = {}, .file = file, .write = true};
  wanted.config.file = file;
  wanted.config.archive = std::filesystem::absolute(options.archive).lexically_normal();
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

/// The slot, with WAL reserved from now on: before the first base backup, so that nothing that one needs is
/// missing.
Result<std::string> make_slot(Connection& connection, const std::string& name) {
  if (const auto slot = TRY(find_slot(connection, name))) {
    if (!slot->restart_lsn) {
      return fail(
          ErrorKind::conflict,
          fmt::format("slot '{}' exists and keeps no WAL ({})", name, name_of(slot->wal_status)),
          fmt::format("Drop it with: select pg_drop_replication_slot('{}'); then run `walback init` again.",
                      name));
    }
    return fmt::format("slot '{}' exists, WAL kept from {}", name, to_string(*slot->restart_lsn));
  }
  return fmt::format("slot '{}' created, WAL kept from {}", name,
                     to_string(TRY(create_slot(connection, name))));
}

Status run_init(Context& context, const Options& options) {
  if (!options.conninfo.empty()) TRY(check_conninfo(options.conninfo, "--conninfo"));
  const Wanted wanted = TRY(wanted_config(context, options));
  const Config& config = wanted.config;
  Connection connection = TRY(Connection::open(config.primary.conninfo));
  const ServerIdentity server = TRY(server_identity(connection));
  if (server.in_recovery) {
    return fail(ErrorKind::conflict, "the server behind primary.conninfo is a standby, expected a primary",
                "Name the primary; a standby goes into --standby.");
  }
  const ArchiveLayout layout{config.archive};
  const ArchiveIdentity identity{server.system_identifier, server.segment_size};
  const bool fresh = !exists(*context.files, layout.identity());
  TRY(create_archive(*context.files, layout, identity));
  if (fresh)
    TRY(append_journal(*context.files, layout.journal(), journal_entry(context.clock->now(), identity)));
  const std::string slot = TRY(make_slot(connection, config.primary.slot));
  if (wanted.write) TRY(publish(*context.files, wanted.file, annotated_config(config)));

  const std::string archive = fmt::format("archive '{}' {} system {}", config.archive.string(),
                                          fresh ? "made for" : "belongs to", server.system_identifier);
  context.answer(
      {{"archive", config.archive.string()},
       {"archive_created", fresh},
       {"system_identifier", std::to_string(server.system_identifier)},
       {"slot", config.primary.slot},
       {"config", wanted.file.string()},
       {"config_written", wanted.write}},
      fmt::format("{}\n{}\nconfiguration '{}' {}\nnext: walback -c {} run   (then: walback -c {} backup)\n",
                  archive, slot, wanted.file.string(), wanted.write ? "written" : "kept as it is",
                  wanted.file.string(), wanted.file.string()));
  return {};
}

}  // namespace

CommandSpec init_command() {
  return {.name = "init",
          .summary = "make an archive for a primary: its identity, the slot, walback.yaml",
          .endings = {ErrorKind::config, ErrorKind::unreachable, ErrorKind::conflict,
                      ErrorKind::foreign_system, ErrorKind::disk_full},
          .declare = [](CLI::App& app) -> Run {
            auto options = std::make_shared<Options>();
            app.add_option("--conninfo", options->conninfo,
                           "of the primary, as libpq writes it, without a password");
            app.add_option("--archive", options->archive,
                           "the directory that will hold WAL and base backups");
            app.add_option("--slot", options->slot, "the replication slot's name (default: walback)");
            app.add_option("--standby", options->standbys,
                           "a server that may become the primary; may be repeated")
                ->allow_extra_args(false);
            return [options](Context& context) { return run_init(context, *options); };
          }};
}

}  // namespace walback
