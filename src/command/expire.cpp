#include <fmt/format.h>

#include "archive/expired_files.h"
#include "backup/remove_backup.h"
#include "base/text.h"
#include "catalog/compact_journal.h"
#include "command/commands.h"
#include "command/expire_report.h"
#include "command/retention_facts.h"
#include "command/session.h"
#include "os/crash_point.h"
#include "os/system.h"

namespace walback {
namespace {

struct Options {
  std::uint64_t keep = 0;
  std::optional<std::uint64_t> days;
  bool dry_run = false;
};

/// A base backup that is being taken is in no row yet; a verification or a drill would take what goes for
/// damage.
Status refuse_beside(const ArchiveLayout& layout, const std::string& role, const std::string& what) {
  if (!FileLock::is_held(layout.lock(role))) return {};
  return fail(
      ErrorKind::conflict, fmt::format("{} is running, and what it reads must not go meanwhile", what),
      fmt::format("Wait until it has ended; `fuser {}` names its process.", layout.lock(role).string()));
}

/// As it would be. The rows go and come back in one transaction, so that it is exactly what will be.
Result<RecoverableWindow> window_after(const ArchiveSession& session, Catalog& catalog,
                                       const Expiry& expiry) {
  std::optional<RecoverableWindow> window;
  const Status undone = catalog.transaction([&]() -> Status {
    TRY(apply_expiry(catalog, expiry));
    window = TRY(recoverable_window(catalog, session.archive.identity));
    return fail(ErrorKind::interrupted, "it was only tried");
  });
  if (!window) return tl::unexpected(undone.error());
  return *std::move(window);
}

/// The journal tells of what is there, and no longer of what was.
Status compact(FileSystem& files, const ArchiveLayout& layout, const Catalog& catalog) {
  JournalScope scope{TRY(catalog.expired_wal()), TRY(catalog.expired_backups()), {}};
  for (const BackupRow& row : TRY(catalog.backups())) scope.backups.push_back(row.id);
  return compact_journal(files, layout.journal(), scope);
}

Status remove(Context& context, ArchiveSession& session, const Expiry& expiry, ExpireReport& report) {
  const auto progress = context.progress();
  if (!expiry.backups.empty() || !expiry.wal.empty())
    TRY(record_expiry(*context.files, session.archive.layout, session.catalog, context.clock->now(), expiry));
  TRY(remove_expired_backups(*context.files, session.archive.layout, session.archive.identity,
                             session.catalog));
  report.removed = TRY(remove_expired_segments(session.archive, session.catalog, *progress, context.stop));
  progress->finish();
  crash_point("expire.files_removed");
  return compact(*context.files, session.archive.layout, session.catalog);
}

Status run_expire(Context& context, const Options& options) {
  ArchiveSession session = TRY(open_fresh_archive(context));
  const ArchiveLayout& layout = session.archive.layout;
  const FileLock lock = TRY(FileLock::take(layout.lock("expire"), "expire"));
  const FileLock backups = TRY(FileLock::take(layout.lock("backup"), "a base backup"));
  TRY(refuse_beside(layout, "verify", "walback verify"));
  TRY(refuse_beside(layout, "drill", "walback drill"));

  ExpireReport report{.dry_run = options.dry_run, .size = session.archive.identity.segment_size};
  report.keep = options.keep;
  const RetentionInput input = TRY(retention_facts(session, options.keep, options.days));
  report.since = input.since;
  report.retention = decide_retention(input);
  report.histories = input.histories.size();
  const Expiry expiry = expiry_of(report.retention, report.size);
  report.before = TRY(recoverable_window(session.catalog, session.archive.identity));
  report.after = TRY(window_after(session, session.catalog, expiry));
  if (!options.dry_run) {
    TRY(remove(context, session, expiry, report));
    report.after = TRY(recoverable_window(session.catalog, session.archive.identity));
  }
  context.answer(to_json(report), render_text(report));
  return {};
}

}  // namespace

CommandSpec expire_command() {
  return {.name = "expire",
          .summary = "remove old base backups, and the WAL that only they need",
          .endings = {ErrorKind::config, ErrorKind::not_found, ErrorKind::conflict, ErrorKind::corrupt,
                      ErrorKind::foreign_system, ErrorKind::unavailable, ErrorKind::disk_full,
                      ErrorKind::interrupted},
          .declare = [](CLI::App& app) -> Run {
            auto options = std::make_shared<Options>();
            app.add_option("--keep", options->keep, "so many of the newest usable base backups stay")
                ->required()
                ->type_name("N")
                ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{100'000}));
            app.add_option("--days", options->days, "every moment of the last D days stays reachable, too")
                ->type_name("D")
                ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{36'500}));
            app.add_flag("--dry-run", options->dry_run, "show what would go, and why; remove nothing");
            return [options](Context& context) { return run_expire(context, *options); };
          }};
}

}  // namespace walback
