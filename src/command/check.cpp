#include <fmt/format.h>

#include "command/check_findings.h"
#include "command/commands.h"
#include "command/status_report.h"

namespace walback {
namespace {

/// A secondary fact that cannot be asked is no reason to hide the others.
template <class T>
T or_nothing(Result<T> result) {
  return result ? std::move(*result) : T{};
}

Result<std::vector<Finding>> look(const Context& context) {
  const Config config = TRY(context.config());
  const ArchiveContext archive = TRY(open_configured_archive(context, config));
  Connection connection = TRY(Connection::open(config.primary.conninfo));
  CheckInput input(config);
  input.archive_system_identifier = archive.identity.system_identifier;
  input.server = TRY(server_identity(connection));
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
  if (const auto space = context.files->space(archive.layout.root)) input.archive_disk = *space;
  if (auto binaries = find_binaries(config.postgres.bin, input.server.major());
      binaries && binaries->major == input.server.major()) {
    input.binaries = *binaries;
  }
  input.capturer_runs = service_runs(archive.layout, "capture");
  input.manager_runs = service_runs(archive.layout, "manage");
  if (const auto session = open_fresh_archive(context))
    input.backups = TRY(session->catalog.backups()).size();
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
                     : fmt::format("this primary is NOT protected: {} findings\n", wrong);
  context.answer({{"protected", wrong == 0}, {"findings", document}}, text);
  if (wrong == 0) return {};
  return fail(ErrorKind::findings, fmt::format("{} findings", wrong),
              "Each stands above with the command that mends it.");
}

}  // namespace

CommandSpec check_command() {
  return {.name = "check",
          .summary = "is this primary protected? each finding with what mends it",
          .endings = {ErrorKind::config, ErrorKind::not_found, ErrorKind::unreachable, ErrorKind::findings},
          .declare = [](CLI::App&) -> Run { return [](Context& context) { return run_check(context); }; }};
}

}  // namespace walback
