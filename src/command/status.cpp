#include <fmt/format.h>

#include "command/commands.h"
#include "command/status_report.h"

namespace walback {
namespace {

struct Options {
  bool exit_code = false;
  std::string metrics;
};

Status run_status(Context& context, const Options& options) {
  const StatusReport report = TRY(take_status(context));
  if (!options.metrics.empty()) TRY(publish(*context.files, options.metrics, render_metrics(report)));
  context.answer(to_json(report), render_text(report, TRY(context.config()).time_zone, context.verbose));
  if (!options.exit_code || report.problems.empty()) return {};
  return fail(ErrorKind::findings,
              count_of(report.problems.size(), "thing") + (report.problems.size() == 1 ? " needs" : " need") +
                  " a look",
              "`walback status` shows each with a '!', --json under `problems`.");
}

}  // namespace

CommandSpec status_command() {
  return {.name = "status",
          .summary = "one screen: what can be recovered, what would be lost now, what needs a look",
          .endings = {ErrorKind::config, ErrorKind::not_found, ErrorKind::findings},
          .declare = [](CLI::App& app) -> Run {
            auto options = std::make_shared<Options>();
            app.add_flag("--exit-code", options->exit_code, "end with 13 when something needs a look");
            app.add_option("--metrics", options->metrics,
                           "also write Prometheus text to this file, atomically")
                ->type_name("FILE")
                ->transform(absolute_path());
            return [options](Context& context) { return run_status(context, *options); };
          }};
}

}  // namespace walback
