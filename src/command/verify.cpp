#include <fmt/format.h>

#include "archive/freshness.h"
#include "backup/usable.h"
#include "base/text.h"
#include "catalog/verified_journal.h"
#include "command/commands.h"
#include "command/verify_backups.h"
#include "command/verify_ledger.h"
#include "os/system.h"

namespace walback {
namespace {

struct Options {
  bool all = false, wal_only = false, backups_only = false;
  LedgerOptions ledger;
};

struct Report {
  WalVerification wal;
  BackupVerification backups;
  std::vector<VerifyFinding> findings;
  std::size_t wrong = 0;
  VerificationRow row;
  std::int64_t took_us = 0;
};

Result<std::vector<BackupRow>> usable_backups(const ArchiveSession& session) {
  std::vector<BackupRow> usable;
  for (const BackupRow& backup : TRY(session.catalog.backups())) {
    if (TRY(is_usable(session.catalog, backup, session.archive.identity.segment_size)))
      usable.push_back(backup);
  }
  return usable;
}

/// Where no manager runs, what was marked is read again at once, so that rows say precisely what is damaged.
/// Where one runs, its next full scan does; nobody waits for it.
void settle_marks(const ArchiveSession& session, const Context& context, const WalVerification& wal) {
  if (wal.findings.empty() || FileLock::is_held(session.archive.layout.lock("manage"))) return;
  static_cast<void>(bring_index_up_to_date(session.archive, backups_on_disk(session.archive), context.stop));
}

/// What it says cannot be read back from anywhere else.
Status verify_journal(const ArchiveContext& archive, Report& report) {
  const JournalContent journal = TRY(read_journal(archive.files, archive.layout.journal()));
  for (const Error& damage : journal.damage) {
    report.findings.push_back({.severity = Severity::wrong,
                               .subject = archive.layout.journal().string(),
                               .text = damage.message,
                               .unreachable = "what that line said: a watermark, a proof, an accepted gap",
                               .mend = "put the line back from a copy of the archive, or remove it"});
  }
  return {};
}

Status work(Context& context, ArchiveSession& session, const Options& options, Report& report) {
  // Before anything is marked: what is lost is told by what could be restored until now.
  const std::vector<BackupRow> usable = TRY(usable_backups(session));
  const std::vector<BackupRow> all = TRY(session.catalog.backups());
  const Timestamp since = TRY(verified_from(session.catalog));
  const auto progress = context.progress();
  if (!options.backups_only) {
    const VerifyWalSetup setup{session.archive, [&] {
                                 return bring_index_up_to_date(
                                     session.archive, backups_on_disk(session.archive), context.stop);
                               }};
    report.wal = TRY(verify_wal(setup, session.catalog, since, *progress, context.stop));
    settle_marks(session, context, report.wal);
  }
  if (!options.backups_only) TRY(verify_journal(session.archive, report));
  if (!options.wal_only)
    report.backups = TRY(verify_backups(session, session.catalog, since, *progress, context.stop));
  for (const WalFinding& finding : report.wal.findings) report.findings.push_back(explain(finding, usable));
  for (const BackupFinding& finding : report.backups.findings)
    report.findings.push_back(explain(finding, all, usable));
  for (const VerifyFinding& finding : report.findings) report.wrong += finding.severity == Severity::wrong;
  return {};
}

void sum_up(const Options& options, Timestamp now, Report& report) {
  VerificationRow& row = report.row;
  row.finished_at = now;
  row.everything = !options.wal_only && !options.backups_only;
  row.read_bytes = report.wal.read_bytes + report.backups.read_bytes;
  row.segments = report.wal.segments_read + report.wal.segments_remembered;
  row.backups = report.backups.backups_read + report.backups.backups_remembered;
  row.findings = report.wrong;
  row.oldest_look = std::min(report.wal.oldest_look.value_or(row.started_at),
                             report.backups.oldest_look.value_or(row.started_at));
}

Json to_json(const Report& report) {
  Json findings = Json::array();
  for (const VerifyFinding& finding : report.findings) findings.push_back(to_json(finding));
  return {
      {"sound", report.wrong == 0},
      {"findings", findings},
      {"everything", report.row.everything},
      {"segments", {{"read", report.wal.segments_read}, {"remembered", report.wal.segments_remembered}}},
      {"backups", {{"read", report.backups.backups_read}, {"remembered", report.backups.backups_remembered}}},
      {"read_bytes", report.row.read_bytes},
      {"took_us", report.took_us},
      {"oldest_look", to_rfc3339(report.row.oldest_look)}};
}

std::string render_text(const Report& report) {
  std::string text;
  for (const VerifyFinding& finding : report.findings) text += render_text(finding);
  const double seconds = static_cast<double>(std::max<std::int64_t>(report.took_us, 1)) / 1e6;
  text += fmt::format("verified {} ({} read, {} as they were) and {} ({} read, {} as they were)\n",
                      count_of(report.row.segments, "segment"), report.wal.segments_read,
                      report.wal.segments_remembered, count_of(report.row.backups, "base backup"),
                      report.backups.backups_read, report.backups.backups_remembered);
  text += fmt::format(
      "read {} in {} ({}/s); all was read since {}\n", render_bytes(report.row.read_bytes),
      render_duration_us(report.took_us),
      render_bytes(static_cast<std::uint64_t>(static_cast<double>(report.row.read_bytes) / seconds)),
      to_rfc3339(report.row.oldest_look));
  text += report.wrong == 0 ? "nothing is wrong\n"
                            : fmt::format("NOT sound: {} wrong\n", count_of(report.wrong, "thing"));
  return text;
}

Status run_verify(Context& context, const Options& options) {
  if (!options.ledger.file.empty()) return verify_ledger(context, options.ledger);
  ArchiveSession session = TRY(open_fresh_archive(context));
  const FileLock lock = TRY(FileLock::take(session.archive.layout.lock("verify"), "verify"));
  Report report;
  report.row.started_at = context.clock->now();
  const std::int64_t begun_us = context.clock->monotonic_us();
  if (options.all) {
    TRY(begin_verifying_all(*context.files, session.archive.layout, session.catalog, report.row.started_at));
  }
  TRY(work(context, session, options, report));
  report.took_us = context.clock->monotonic_us() - begun_us;
  sum_up(options, context.clock->now(), report);
  TRY(record_verification(*context.files, session.archive.layout, session.catalog, report.row));
  context.answer(to_json(report), render_text(report));
  if (report.wrong == 0) return {};
  return fail(ErrorKind::findings,
              fmt::format("the archive is not sound: {} wrong", count_of(report.wrong, "thing")),
              "`walback verify` names each with what it makes unreachable and what mends it, --json under "
              "`findings`.");
}

}  // namespace

CommandSpec verify_command() {
  return {
      .name = "verify",
      .summary = "read every segment and base backup, and hold them against their checksums",
      .endings = {ErrorKind::config, ErrorKind::not_found, ErrorKind::unreachable, ErrorKind::conflict,
                  ErrorKind::unavailable, ErrorKind::disk_full, ErrorKind::interrupted, ErrorKind::findings},
      .declare = [](CLI::App& app) -> Run {
        auto options = std::make_shared<Options>();
        auto* all = app.add_flag("--all", options->all,
                                 "read everything again, not only what is new or changed since it was last "
                                 "verified");
        auto* wal = app.add_flag("--wal-only", options->wal_only, "the WAL, and no base backups");
        auto* backups = app.add_flag("--backups-only", options->backups_only, "the base backups, and no WAL");
        wal->excludes(backups)->excludes(all);
        backups->excludes(all);
        auto* ledger = app.add_option("--ledger", options->ledger.file,
                                      "instead: hold a restored cluster's rows against this ledger of "
                                      "`walback load`")
                           ->type_name("FILE")
                           ->transform(absolute_path());
        ledger->excludes(all)->excludes(wal)->excludes(backups);
        app.add_option(
               "--cluster", options->ledger.cluster,
               "with --ledger: the restored cluster, as `walback clusters` shows it (else the newest)")
            ->needs(ledger);
        return [options](Context& context) { return run_verify(context, *options); };
      }};
}

}  // namespace walback
