#include <fmt/format.h>

#include <chrono>
#include <thread>

#include "archive/manager.h"
#include "capture/capturer.h"
#include "command/accept_gap.h"
#include "command/commands.h"
#include "command/restart_pause.h"
#include "command/session.h"
#include "os/system.h"
#include "pg/binaries.h"
#include "sync/watch.h"

namespace walback {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLook{200};

Status run_capture(Context& context) {
  const Config config = TRY(context.config());
  BinarySearch search;
  search.configured = config.postgres.bin;
  search.programs = {"pg_receivewal"};
  return run_capturer({.archive = {config.archive},
                       .conninfo = config.primary.conninfo,
                       .slot = config.primary.slot,
                       .pg_receivewal = TRY(find_binaries(search)).program("pg_receivewal"),
                       .synchronous = config.capture.synchronous,
                       .restart_min = config.capture.restart_min,
                       .restart_max = config.capture.restart_max,
                       .files = *context.files,
                       .processes = *context.processes,
                       .clock = *context.clock,
                       .log = *context.log,
                       .reserve_mb = config.capture.reserve_mb},
                      context.stop);
}

Status run_manage(Context& context) {
  const Config config = TRY(context.config());
  const ArchiveContext archive = TRY(open_configured_archive(context, config));
  // Before all that may wait: commits on the primary may be waiting, too.
  const SynchronousWatchSetup synchronous{.conninfo = config.primary.conninfo,
                                          .system_identifier = archive.identity.system_identifier,
                                          .clock = *context.clock,
                                          .log = *context.log,
                                          .note = [&](const JournalEntry& entry) {
                                            note_change(archive.files, archive.layout, *context.log, entry);
                                          }};
  const std::jthread watch([&](const std::stop_token& ended) { watch_synchronous_mode(synchronous, ended); });
  return run_manager({.config = config, .archive = archive, .backups = backups_on_disk(archive)},
                     context.stop);
}

/// One of the two children of `walback run`: started again, after a pause, whenever it ends by itself.
class Service {
 public:
  Service(Context& context, std::string name, const Path& config)
      : context_(context), name_(std::move(name)) {
    command_.program = own_executable();
    command_.arguments = {"-c", config.string()};
    if (context.quiet) command_.arguments.emplace_back("-q");
    if (context.verbose) command_.arguments.emplace_back("-v");
    command_.arguments.push_back(name_);
  }

  /// Starts it when it is due. An error: it would end in the same way again, whatever the pause.
  Status keep() {
    if (process_) {
      const auto ended = process_->wait(milliseconds{0});
      if (!ended) return {};
      process_.reset();
      const std::int64_t now_us = context_.clock->monotonic_us();
      const milliseconds pause = pause_.after(milliseconds{(now_us - started_us_) / 1000});
      context_.log->error("run", "service_ended",
                          {{"service", name_},
                           {"status", to_string(*ended)},
                           {"next_start_ms", std::to_string(pause.count())}});
      next_start_us_ = now_us + std::chrono::microseconds(pause).count();
      if (ended->code == exit_code(ErrorKind::config) ||
          ended->code == exit_code(ErrorKind::foreign_system)) {
        return fail(ErrorKind{ended->code},
                    fmt::format("walback {} cannot run: {}", name_, to_string(*ended)),
                    "Its own message stands above; it would say the same again.");
      }
    }
    if (context_.clock->monotonic_us() < next_start_us_) return {};
    // Its lines carry time, level and area already: they pass through as they are.
    process_ = TRY(context_.processes->spawn(command_, [](std::string_view line) {
      const std::string whole = std::string(line) + "\n";
      std::fwrite(whole.data(), 1, whole.size(), stderr);
    }));
    started_us_ = context_.clock->monotonic_us();
    context_.log->info("run", "service_started",
                       {{"service", name_}, {key::pid, std::to_string(process_->pid())}});
    return {};
  }

  void stop() {
    if (!process_) return;
    const ExitStatus status = process_->stop(kStopGrace);
    context_.log->info("run", "service_stopped", {{"service", name_}, {"status", to_string(status)}});
    process_.reset();
  }

 private:
  Context& context_;
  std::string name_;
  Command command_;
  std::unique_ptr<Process> process_;
  RestartPause pause_;
  std::int64_t next_start_us_ = 0, started_us_ = 0;
};

Status run_both(Context& context) {
  const Path config = TRY(context.config_path());
  const ArchiveContext archive = TRY(open_configured_archive(context, TRY(context.config())));
  // Two of them would start and refuse each other's children for ever.
  const FileLock lock = TRY(FileLock::take(archive.layout.lock("run"), "walback run"));
  Service capture(context, "capture", config), manage(context, "manage", config);
  Status status;
  while (!context.stop.stop_requested()) {
    status = capture.keep();
    if (status) status = manage.keep();
    if (!status) break;
    sleep_for(context.stop, kLook);
  }
  // The capturer first: what it wrote last is then still indexed.
  capture.stop();
  manage.stop();
  return status;
}

CommandSpec service(std::string name, std::string summary, Status (*run)(Context&)) {
  return {.name = std::move(name),
          .summary = std::move(summary),
          .endings = {ErrorKind::config, ErrorKind::not_found, ErrorKind::conflict, ErrorKind::foreign_system,
                      ErrorKind::unavailable},
          .declare = [run](CLI::App&) -> Run { return [run](Context& context) { return run(context); }; },
          .service = true};
}

struct CaptureOptions {
  bool accept_gap = false, yes = false;
};

Status run_capture_or_accept(Context& context, const CaptureOptions& options) {
  if (options.accept_gap) return accept_gap(context, options.yes);
  if (options.yes)
    return fail(ErrorKind::usage, "--yes without --accept-gap", "There is nothing else to say yes to.");
  return run_capture(context);
}

}  // namespace

CommandSpec capture_command() {
  CommandSpec spec =
      service("capture", "receive the primary's WAL, in the foreground until SIGTERM", run_capture);
  spec.endings.insert(spec.endings.end(), {ErrorKind::unreachable, ErrorKind::interrupted});
  spec.declare = [](CLI::App& app) -> Run {
    auto options = std::make_shared<CaptureOptions>();
    app.add_flag("--accept-gap", options->accept_gap,
                 "give WAL up that cannot be had any more, so that capture goes on behind it: shows what is "
                 "lost, asks, makes the slot anew, ends; works beside `walback run`");
    app.add_flag("--yes", options->yes, "with --accept-gap: do not ask");
    return [options](Context& context) { return run_capture_or_accept(context, *options); };
  };
  return spec;
}
CommandSpec manage_command() {
  return service("manage", "index what was captured, in the foreground until SIGTERM", run_manage);
}
CommandSpec run_services_command() {
  return service("run", "capture and manage as two child processes, in the foreground until SIGTERM",
                 run_both);
}

}  // namespace walback
