#include <fmt/format.h>

#include "archive/known_cluster.h"
#include "backup/usable.h"
#include "catalog/held_wal.h"
#include "command/check_findings.h"
#include "command/commands.h"
#include "command/status_report.h"
#include "command/wal_room.h"
#include "pg/find_primary.h"

namespace walback {
namespace {

/// A secondary fact that cannot be asked is no reason to hide the others.
template <class T>
T or_nothing(Result<T> result) {
  return result ? std::move(*result) : T{};
}

/// As the commands find them that run them: the capturer takes any major, a base backup the primary's.
std::vector<ClientProgram> client_programs(const Config& config, int major) {
  std::vector<ClientProgram> programs;
  for (const char* name : {"pg_receivewal", "pg_basebackup", "pg_verifybackup"}) {
    BinarySearch search;
    search.configured = config.postgres.bin;
    search.programs = {name};
    if (std::string_view(name) != "pg_receivewal") search.wanted_major = major;
    ClientProgram program{.name = name, .path = {}, .version = {}};
    if (const auto found = find_binaries(search)) {
      program.path = found->program(name);
      if (const auto version = program_version(program.path)) program.version = *version;
    }
    programs.push_back(std::move(program));
  }
  return programs;
}

StandbyView ask_standby(const Config::Standby& standby) {
  StandbyView view{.name = standby.name,
                   .slot = standby.slot,
                   .conninfo = standby.conninfo,
                   .problem = {},
                   .server = {},
                   .started_at = {},
                   .found_slot = {},
                   .synchronous_names = {}};
  const auto ask = [&]() -> Status {
    Connection connection =
        TRY(Connection::open(standby.conninfo, {.connect_timeout = std::chrono::seconds{3},
                                                .statement_timeout = std::chrono::seconds{5}}));
    view.server = TRY(server_identity(connection));
    view.started_at = TRY(server_start_time(connection));
    view.found_slot = TRY(find_slot(connection, standby.slot));
    view.synchronous_names =
        TRY(server_settings(connection, {"synchronous_standby_names"}))["synchronous_standby_names"].value;
    return {};
  };
  if (const Status asked = ask(); !asked) view.problem = asked.error().message;
  return view;
}

Result<std::vector<Finding>> look(const Context& context) {
  const Config config = TRY(context.config());
  const ArchiveContext archive = TRY(open_configured_archive(context, config));
  CheckInput input(config);
  const auto primary = find_primary(config.primary.conninfo, TRY(known_cluster(archive)));
  // Where none is found, the findings say what is wrong with the one that answers.
  const std::string conninfo = primary ? primary->host.conninfo : config.primary.conninfo;
  if (primary) {
    input.refused_hosts = primary->refused;
    if (TRY(hosts_of(config.primary.conninfo)).size() > 1) input.followed_conninfo = conninfo;
  } else if (primary.error().kind == ErrorKind::conflict) {
    input.refused_hosts = {primary.error()};
  }
  Connection connection = TRY(Connection::open(conninfo));
  if (const auto resume = TRY(newest_resume_point(archive.files, archive.layout)))
    input.resume_lsn = resume->lsn;
  input.archive_system_identifier = archive.identity.system_identifier;
  input.server = TRY(server_identity(connection));
  input.started_at = TRY(server_start_time(connection));
  input.settings = TRY(server_settings(connection, settings_to_check()));
  input.role = TRY(role_privileges(connection));
  input.slots = TRY(list_slots(connection));
  input.clients = TRY(replication_clients(connection));
  input.tablespaces = TRY(user_tablespaces(connection));
  const Timestamp before = context.clock->now();
  const Timestamp theirs = TRY(server_clock(connection));
  // Half the round trip is as near as one question comes.
  input.clock_difference_us = theirs.unix_us - (before.unix_us + context.clock->now().unix_us) / 2;
  input.cluster_bytes = or_nothing(cluster_size_bytes(connection));
  const auto capture = read_capture_status(*context.files, archive.layout);
  const auto rate = wal_rate(capture ? std::optional(*capture) : std::nullopt, context.clock->now());
  input.archive_disk = archive_disk_now(archive, config, rate);
  input.slot_forecast =
      forecast_of(config.primary.slot, input.slots, rate, wal_disk_of(*context.files, connection));
  if (auto binaries = find_binaries(config.postgres.bin, input.server.major());
      binaries && binaries->major == input.server.major()) {
    input.binaries = *binaries;
  }
  input.capturer_runs = service_runs(archive.layout, "capture");
  input.manager_runs = service_runs(archive.layout, "manage");
  input.programs = client_programs(config, input.server.major());
  if (auto mirror = mirror_table(connection)) input.mirror = *mirror;
  if (auto synchronous = take_sync_report(connection, &archive)) input.synchronous = *synchronous;
  // Our own sessions set it for themselves.
  if (const auto commit = server_synchronous_commit(conninfo))
    input.settings["synchronous_commit"].value = *commit;
  for (const Config::Standby& standby : config.standbys) input.standbys.push_back(ask_standby(standby));
  input.now = context.clock->now();
  const auto session = open_fresh_archive(context);
  // What cannot be read is no archive without base backups.
  if (!session && (session.error().kind == ErrorKind::conflict || session.error().kind == ErrorKind::corrupt))
    return tl::unexpected(session.error());
  if (session) {
    input.assurance = TRY(take_assurance(session->catalog));
    input.capture_end = TRY(capture_end(session->catalog));
    input.gaps = TRY(gap_impacts(session->catalog));
    for (const BackupRow& backup : TRY(session->catalog.backups())) {
      ++input.backups;
      if (!TRY(is_usable(session->catalog, backup, archive.identity.segment_size))) continue;
      ++input.usable_backups;
      input.tablespaces_backed_up = backup.tablespaces;
    }
  }
  return check_findings(input);
}

Status run_check(Context& context) {
  const std::vector<Finding> findings = TRY(look(context));
  Json document = Json::array();
  std::string text;
  std::size_t wrong = 0;
  for (const Finding& finding : findings) {
    document.push_back({{"severity", name_of(finding.severity)},
                        {"subject", finding.subject},
                        {"text", finding.text},
                        {"mend", finding.mend.empty() ? Json(nullptr) : Json(finding.mend)}});
    if (finding.severity == Severity::wrong) ++wrong;
    if (finding.severity == Severity::good && !context.verbose) continue;
    text += fmt::format("{:<6} {}: {}\n", name_of(finding.severity), finding.subject, finding.text);
    if (!finding.mend.empty()) text += fmt::format("       mend: {}\n", finding.mend);
  }
  text += wrong == 0 ? "this primary is protected\n"
                     : fmt::format("this primary is NOT protected: {} to mend\n", count_of(wrong, "thing"));
  context.answer({{"protected", wrong == 0}, {"findings", document}}, text);
  if (wrong == 0) return {};
  return fail(ErrorKind::findings, "this primary is not protected: " + count_of(wrong, "thing") + " to mend",
              "`walback check` names each with the command that mends it, --json under `findings`.");
}

}  // namespace

CommandSpec check_command() {
  return {.name = "check",
          .summary = "is this primary protected? each finding with what mends it",
          .endings = {ErrorKind::config, ErrorKind::not_found, ErrorKind::unreachable, ErrorKind::unavailable,
                      ErrorKind::findings},
          .declare = [](CLI::App&) -> Run { return [](Context& context) { return run_check(context); }; }};
}

}  // namespace walback
