#include "archive/reindex.h"

#include <fmt/format.h>

#include "command/commands.h"
#include "command/session.h"
#include "os/system.h"

namespace walback {
namespace {

/// The manager has this lock as long as it lives, and what it writes meanwhile would not be in the new
/// catalog.
Result<FileLock> intake_lock(const ArchiveLayout& layout) {
  auto lock = FileLock::take(layout.lock(kIntakeLock), "the intake");
  if (lock || lock.error().kind != ErrorKind::conflict) return lock;
  return fail(
      ErrorKind::conflict, lock.error().message,
      "Stop the WAL manager (walback manage, or walback run), reindex, and start it again. A catalog that "
      "is lost or damaged it builds anew by itself.");
}

Status run_reindex(Context& context) {
  const Config config = TRY(context.config());
  const ArchiveContext archive = TRY(open_configured_archive(context, config));
  const FileLock reindexing = TRY(FileLock::take(archive.layout.lock("reindex"), "reindex"));
  const FileLock expiring = TRY(FileLock::take(archive.layout.lock("expire"), "expire"));
  const FileLock intake = TRY(intake_lock(archive.layout));
  const auto progress = context.progress();
  const Reindexed done = TRY(reindex(archive, backups_on_disk(archive), *progress, context.stop));
  context.answer(Json{{"catalog", archive.catalog_path.string()},
                      {"segments", done.segments},
                      {"records", done.records},
                      {"backups", done.backups},
                      {"gaps", done.gaps}},
                 fmt::format("the catalog is built anew: {}, {}, {}\n", count_of(done.segments, "segment"),
                             count_of(done.backups, "base backup"), count_of(done.gaps, "gap")));
  return {};
}

}  // namespace

CommandSpec reindex_command() {
  return {.name = "reindex",
          .summary = "build the catalog anew from WAL, base backups and journal",
          .endings = {ErrorKind::config, ErrorKind::not_found, ErrorKind::conflict, ErrorKind::corrupt,
                      ErrorKind::disk_full, ErrorKind::interrupted},
          .declare = [](CLI::App&) -> Run { return [](Context& context) { return run_reindex(context); }; }};
}

}  // namespace walback
