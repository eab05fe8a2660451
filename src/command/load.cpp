#include "lab/load.h"

#include <fmt/format.h>

#include "base/text.h"
#include "command/commands.h"
#include "lab/ledger.h"
#include "pg/connection.h"
#include "pg/find_primary.h"
#include "pg/server.h"

namespace walback {
namespace {

struct Options {
  LoadSetup setup;
  std::string every, conninfo, ledger;
  double rate = 0;
  bool settle = false;
};

/// "1s", "250ms", "0.5" (seconds).
Result<double> parse_interval(const std::string& text) {
  std::string number = text;
  double factor = 1;
  if (number.ends_with("ms")) {
    number.resize(number.size() - 2);
    factor = 0.001;
  } else if (number.ends_with("s")) {
    number.pop_back();
  }
  std::size_t read = 0;
  double value = 0;
  try {
    value = std::stod(number, &read);
  } catch (const std::exception&) {
    read = 0;
  }
  if (read == 0 || read != number.size() || !(value > 0)) {
    return fail(ErrorKind::usage, fmt::format("--every '{}' is no interval", text),
                "Write 1s, 250ms or 0.5.");
  }
  return value * factor;
}

Json to_json(const LoadFigures& figures) {
  return {{"elapsed_seconds", figures.elapsed_seconds},
          {"acknowledged", figures.acknowledged},
          {"acknowledged_durable", figures.durable},
          {"in_doubt", figures.in_doubt},
          {"failed", figures.failed},
          {"reconnects", figures.reconnects},
          {"commits_per_second", figures.commits_per_second},
          {"latency_p50_us", figures.latency_p50_us},
          {"latency_p99_us", figures.latency_p99_us},
          {"latency_max_us", figures.latency_max_us},
          {"last_error", figures.last_error}};
}

/// Asks the primary what became of the commits in doubt; writes nothing else.
Status run_settle(Context& context, const std::string& conninfo, const Path& ledger) {
  if (!exists(*context.files, ledger)) {
    return fail(ErrorKind::not_found, fmt::format("there is no ledger '{}'", ledger.string()),
                "`walback load --ledger FILE` writes one.");
  }
  Connection primary = TRY(Connection::open(conninfo));
  if (TRY(server_identity(primary)).in_recovery) {
    return fail(ErrorKind::conflict, "the server that was asked about commits in doubt is a standby",
                "Only the primary knows how each of them ended: name it with --conninfo.");
  }
  const SettleReport report = TRY(settle_ledger(primary, ledger));
  context.answer({{"ledger", ledger.string()},
                  {"in_doubt", report.in_doubt},
                  {"committed", report.committed},
                  {"aborted", report.aborted},
                  {"undecided", report.undecided}},
                 report.in_doubt == 0
                     ? "no commit is in doubt"
                     : fmt::format("{} in doubt: {} had committed, {} had not, {} cannot be told yet",
                                   count_of(report.in_doubt, "commit"), report.committed, report.aborted,
                                   report.undecided));
  return {};
}

/// As an application would: whichever of several hosts takes writes.
Result<std::string> writable_host(const std::string& conninfo) {
  if (TRY(hosts_of(conninfo)).size() < 2) return conninfo;
  return with_keywords(conninfo, {{"target_session_attrs", "read-write"}});
}

Status run_load_command(Context& context, Options& options) {
  LoadSetup setup = options.setup;
  setup.conninfo = options.conninfo.empty() ? TRY(writable_host(TRY(context.config()).primary.conninfo))
                                            : options.conninfo;
  TRY(check_conninfo(setup.conninfo, "--conninfo"));
  if (options.settle) return run_settle(context, setup.conninfo, options.ledger);
  setup.ledger = options.ledger;
  if (options.rate > 0) setup.rate = options.rate;
  if (!options.every.empty()) setup.every = TRY(parse_interval(options.every));
  TRY(check_load_setup(setup));
  const auto progress = context.progress();
  const LoadFigures figures = TRY(run_load(
      setup,
      [&](const LoadFigures& now) {
        progress->report(
            {"load", 0, 0,
             fmt::format("{}, {:.0f} a second, {} connected", count_of(now.acknowledged, "commit"),
                         now.commits_per_second, count_of(now.connected, "writer"))});
      },
      context.stop));
  progress->finish();
  context.answer(
      to_json(figures),
      fmt::format("{} commits acknowledged in {:.1f} s ({:.0f} a second), {} in doubt, {} failed; latency "
                  "p50 {} us, p99 {} us; ledger '{}'\n",
                  figures.acknowledged, figures.elapsed_seconds, figures.commits_per_second, figures.in_doubt,
                  figures.failed, figures.latency_p50_us, figures.latency_p99_us, setup.ledger.string()));
  return {};
}

}  // namespace

CommandSpec load_command() {
  return {.name = "load",
          .summary = "write numbered rows and keep a ledger of what was acknowledged",
          .endings = {ErrorKind::config, ErrorKind::not_found, ErrorKind::unreachable, ErrorKind::conflict,
                      ErrorKind::disk_full},
          .declare = [](CLI::App& app) -> Run {
            auto options = std::make_shared<Options>();
            app.add_option("--writers", options->setup.writers,
                           "sessions that write at the same time (default: 1)")
                ->check(CLI::Range(1, kMaxLedgerWriters));
            app.add_option("--seconds", options->setup.seconds,
                           "how long, in seconds; 0: until stopped (default: 10)")
                ->check(CLI::NonNegativeNumber);
            auto* rate = app.add_option("--rate", options->rate, "commits a second, of all writers together")
                             ->check(CLI::PositiveNumber);
            app.add_option("--every", options->every,
                           "pause between two commits of one writer: 1s, 250ms, 0.5 (seconds)")
                ->excludes(rate);
            app.add_option("--ledger", options->ledger,
                           "the file that says what was acknowledged, one JSON object a line")
                ->required()
                ->type_name("FILE")
                ->transform(absolute_path());
            app.add_flag("--settle", options->settle,
                         "write no load: ask the primary what became of the commits in doubt, note it in the "
                         "ledger");
            app.add_option("--conninfo", options->conninfo, "another server than walback.yaml's primary");
            app.add_option("--synchronous-commit", options->setup.synchronous_commit,
                           "of the writing sessions: on (default), off, local, remote_write, remote_apply")
                ->type_name("")
                ->check(one_of({"on", "off", "local", "remote_write", "remote_apply"}));
            app.add_option("--seed", options->setup.seed,
                           "of the random payloads (default: another one each time)");
            return [options](Context& context) { return run_load_command(context, *options); };
          }};
}

}  // namespace walback
