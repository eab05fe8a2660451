#include "command/restore_setup.h"

#include <fmt/format.h>

#include "command/backup_soundness.h"
#include "os/system.h"

namespace walback {
namespace {

Result<Path> fetch_program(FileSystem& files) {
  const Path path = own_executable().parent_path() / "walback-fetch";
  if (exists(files, path)) return path;
  return fail(ErrorKind::not_found, fmt::format("'{}' is missing", path.string()),
              "It is installed beside walback; PostgreSQL runs it to get WAL.");
}

}  // namespace

RestoreRow begun_restore(const RestoreSetup& setup) {
  RestoreRow row;
  row.name = setup.name;
  row.directory = setup.place.directory.string();
  row.port = setup.place.port;
  row.started_at = setup.clock.now();
  row.target = to_string(setup.plan.target);
  row.plan = to_line(to_json(setup.plan));
  return row;
}

Result<RestoreSetup> restore_setup(Context& context, const ArchiveSession& session, RestorePlan plan) {
  const std::string backup_id = plan.backup.id;
  return RestoreSetup{
      .files = *context.files,
      .clock = *context.clock,
      .log = *context.log,
      .archive = session.archive.layout,
      .config = session.config.restore,
      .configured_bin = session.config.postgres.bin,
      .fetch_program = TRY(fetch_program(*context.files)),
      .superusers = likely_superusers(session.config),
      .plan = std::move(plan),
      .checksum_of = TRY(checksums_of(session.archive.catalog_path)),
      .on_damage = damage_recorder(session.archive),
      .on_backup_damage =
          [&session, backup_id](const std::string& problem) {
            note_differing_bytes(session.archive, backup_id, problem);
          },
      .name = {},
      .place = {},
      .say = [&context](const std::string& text) { context.say(text); },
  };
}

}  // namespace walback
