#include "archive/freshness.h"
#include "archive/known_cluster.h"
#include "backup/base_backup.h"
#include "backup/usable.h"
#include "base/text.h"
#include "command/commands.h"
#include "command/row_json.h"
#include "command/session.h"
#include "pg/find_primary.h"

#include <fmt/format.h>

namespace walback {
namespace {

constexpr std::chrono::milliseconds kUsableBound{120'000};

Result<Binaries> binaries_of_primary(const Config& config, const std::string& primary) {
  Connection connection = TRY(Connection::open(primary));
  return find_binaries(config.postgres.bin, connection.server_version_num() / 10000);
}

Status run_backup(Context& context, bool spread) {
  ArchiveSession session = TRY(open_fresh_archive(context));
  const auto primary =
      TRY(find_primary(session.config.primary.conninfo, TRY(known_cluster(session.archive))));
  for (const Error& refused : primary.refused)
    context.log->warn("backup", "host_refused", {{key::error, refused.message}, {key::hint, refused.hint}});
  const auto progress = context.progress();
  const std::int64_t begun_us = context.clock->monotonic_us();
  const BackupRow backup =
      TRY(take_base_backup({.archive = session.archive.layout,
                            .conninfo = primary.host.conninfo,
                            .slot = session.config.primary.slot,
                            .binaries = TRY(binaries_of_primary(session.config, primary.host.conninfo)),
                            .spread = spread,
                            .files = *context.files,
                            .processes = *context.processes,
                            .clock = *context.clock,
                            .log = *context.log,
                            .catalog = session.catalog},
                           *progress, context.stop));
  const std::int64_t took_us = context.clock->monotonic_us() - begun_us;
  const auto reached = [&]() -> Result<Lsn> {
    // Where no manager runs, this is what takes the WAL in.
    TRY(bring_index_up_to_date(session.archive, backups_on_disk(session.archive), context.stop));
    return indexed_until(session.catalog, backup, session.archive.identity.segment_size);
  };
  TRY(wait_until_usable(backup, reached, kUsableBound, *context.clock, *progress, context.stop));
  progress->finish();
  Json document = to_json(backup);
  document["usable"] = true;
  context.answer(document,
                 fmt::format("base backup {}: {}, {} to {} on timeline {}, took {}; usable\n", backup.id,
                             render_bytes(backup.size_bytes), to_string(backup.start_lsn),
                             to_string(backup.stop_lsn), backup.timeline.value, render_duration_us(took_us)));
  return {};
}

}  // namespace

CommandSpec backup_command() {
  return {.name = "backup",
          .summary = "take a base backup of the primary, and wait until the archive holds its WAL",
          .endings = {ErrorKind::config, ErrorKind::not_found, ErrorKind::unreachable, ErrorKind::conflict,
                      ErrorKind::corrupt, ErrorKind::foreign_system, ErrorKind::unavailable,
                      ErrorKind::disk_full, ErrorKind::interrupted},
          .declare = [](CLI::App& app) -> Run {
            auto spread = std::make_shared<bool>(false);
            app.add_flag("--spread", *spread, "a spread checkpoint: gentler on the primary, slower to begin");
            return [spread](Context& context) { return run_backup(context, *spread); };
          }};
}

}  // namespace walback
