#include <fmt/format.h>
#include <unistd.h>

#include "command/commands.h"
#include "command/session.h"
#include "command/sync_report.h"
#include "config/duration.h"
#include "os/system.h"
#include "sync/watch.h"

namespace walback {
namespace {

struct Options {
  std::string timeout;
  bool with_others = false;
};

/// The archive where there is one: `sync` works on the primary's host too, which may have none.
Result<std::optional<ArchiveContext>> archive_if_any(const Context& context, const Config& config) {
  auto archive = open_configured_archive(context, config);
  if (archive) return std::optional(*archive);
  if (archive.error().kind != ErrorKind::not_found) return tl::unexpected(archive.error());
  return std::optional<ArchiveContext>();
}

struct Session {
  Config config;
  std::optional<ArchiveContext> archive;
  SynchronousRequest request;

  [[nodiscard]] const ArchiveContext* archive_or_null() const { return archive ? &*archive : nullptr; }
  void note(const Context& context, const JournalEntry& entry) const {
    if (archive) note_change(archive->files, archive->layout, *context.log, entry);
  }
};

Result<Session> open_session(const Context& context) {
  Config config = TRY(context.config());
  auto archive = TRY(archive_if_any(context, config));
  std::optional<std::uint64_t> identifier;
  if (archive) identifier = archive->identity.system_identifier;
  SynchronousRequest request{config.primary.conninfo, identifier, *context.clock, context.stop};
  return Session{std::move(config), std::move(archive), std::move(request)};
}

Result<std::chrono::milliseconds> timeout_of(const Options& options) {
  if (options.timeout.empty()) return kDefaultSynchronousTimeout;
  const auto timeout = parse_duration(options.timeout);
  if (timeout && *timeout >= kShortestSynchronousTimeout && *timeout <= kLongestSynchronousTimeout)
    return *timeout;
  return fail(ErrorKind::usage, fmt::format("--timeout: '{}' is no time from 1s to 1h", options.timeout),
              "Write it as 10s, 1500ms or 2min.");
}

Status answer_report(Context& context, const Session& session, bool judge) {
  Connection connection = TRY(open_synchronous_session(session.request));
  const SyncReport report = TRY(take_sync_report(connection, session.archive_or_null()));
  context.answer(to_json(report), to_text(report));
  for (const SyncProblem& problem : sync_problems(report))
    if (judge && problem.serious)
      return fail(ErrorKind::findings, "synchronous mode needs a look: " + problem.text,
                  "Mend: " + problem.mend + ".");
  return {};
}

Status run_on(Context& context, const Options& options) {
  const auto timeout = TRY(timeout_of(options));
  const Session session = TRY(open_session(context));
  const SynchronousNote note = TRY(
      turn_synchronous_on(session.request, session.config.capture.synchronous, timeout, options.with_others));
  session.note(context, journal_entry(context.clock->now(), SynchronousEvent::on, note));
  return answer_report(context, session, false);
}

Status run_off(Context& context) {
  const Session session = TRY(open_session(context));
  const bool was_on = TRY(turn_synchronous_off(session.request));
  const bool noted =
      session.archive && synchronous_mode_was_on(session.archive->files, session.archive->layout);
  if (was_on || noted) session.note(context, journal_entry(context.clock->now(), SynchronousEvent::off, {}));
  return answer_report(context, session, false);
}

Status run_status(Context& context) {
  return answer_report(context, TRY(open_session(context)), true);
}

Status run_watch(Context& context) {
  const Session session = TRY(open_session(context));
  // Its stations are logged as a service's are; the other commands of `sync` log only what is wrong.
  const auto log = make_log(STDERR_FILENO, context.verbose ? LogLevel::debug
                                           : context.quiet ? LogLevel::warn
                                                           : LogLevel::info);
  log->info("sync", "watch_started", {{key::pid, std::to_string(::getpid())}});
  watch_synchronous_mode({.conninfo = session.config.primary.conninfo,
                          .system_identifier = session.request.system_identifier,
                          .clock = *context.clock,
                          .log = *log,
                          .note = [&](const JournalEntry& entry) { session.note(context, entry); }},
                         context.stop);
  log->info("sync", "watch_stopped");
  return {};
}

}  // namespace

CommandSpec sync_command() {
  return {.name = "sync",
          .summary = "synchronous mode: the primary's commits wait for the capturer, up to a bound",
          .endings = {ErrorKind::config, ErrorKind::not_found, ErrorKind::unreachable, ErrorKind::conflict,
                      ErrorKind::foreign_system, ErrorKind::unavailable, ErrorKind::findings},
          .declare = [](CLI::App& app) -> Run {
            auto options = std::make_shared<Options>();
            CLI::App* on = app.add_subcommand("on", "let commits wait, once the capturer has caught up");
            CLI::App* off = app.add_subcommand("off", "let no commit wait; what stood there before is back");
            CLI::App* status =
                app.add_subcommand("status", "do they wait, and who watches? 13: needs a look");
            CLI::App* watch = app.add_subcommand(
                "watch", "let commits go when the capturer is gone, in the foreground until SIGTERM");
            app.require_subcommand(1);
            on->add_option("--timeout", options->timeout,
                           "the longest that a commit may wait before all go on without the capturer: 1s to "
                           "1h (default: 10s)")
                ->type_name("TIME");
            on->add_flag("--with-others", options->with_others,
                         "wait for those too that synchronous_standby_names names already");
            return [=](Context& context) {
              if (on->parsed()) return run_on(context, *options);
              if (off->parsed()) return run_off(context);
              if (status->parsed()) return run_status(context);
              static_cast<void>(watch);
              return run_watch(context);
            };
          }};
}

}  // namespace walback
