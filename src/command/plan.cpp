#include <fmt/format.h>

#include "base/text.h"
#include "command/commands.h"
#include "command/target_options.h"
#include "restore/place.h"

namespace walback {
namespace {

struct Options {
  std::shared_ptr<TargetOptions> target;
  std::string into, tablespaces;
  std::uint16_t port = 0;
};

Json place_json(const PlaceReport& report, const Place& place) {
  return {{"directory", place.directory.string()},
          {"port", place.port},
          {"unfinished_restore_there", report.occupancy == Occupancy::unfinished},
          {"needed_bytes", report.needed_bytes},
          {"available_bytes", report.available_bytes},
          {"binaries", report.binaries.directory.string()},
          {"preload_libraries", report.preload_libraries},
          {"tablespaces", to_json(report.tablespaces)}};
}

std::string place_text(const PlaceReport& report, const Place& place) {
  std::string text = fmt::format("place        '{}', port {}: {} needed, {} free, binaries in {}\n",
                                 place.directory.string(), place.port, render_bytes(report.needed_bytes),
                                 render_bytes(report.available_bytes), report.binaries.directory.string());
  if (report.occupancy == Occupancy::unfinished) {
    text += "             an unfinished restore of ours is there; it would be wiped\n";
  }
  for (const RestoredTablespace& tablespace : report.tablespaces)
    text += fmt::format("{:<12} {}\n", "tablespace", render_text(tablespace));
  for (const Preload& missing : report.missing_libraries)
    text += fmt::format("{:<12} {}: {} is not installed here and would be left out\n", "library",
                        missing.setting, missing.library);
  return text;
}

Status run_plan(Context& context, const Options& options) {
  const ArchiveSession session = TRY(open_fresh_archive(context));
  const RestorePlan plan = TRY(make_plan(context, session, *options.target));
  Json document = to_json(plan);
  std::string text = render_text(plan, session.config.time_zone);
  if (!options.into.empty()) {
    const Place place{std::filesystem::absolute(options.into), options.port, options.tablespaces};
    const PlaceReport report = TRY(check_place(*context.files, plan, session.archive.layout, place,
                                               session.config.postgres.bin, session.config.restore.settings));
    document["place"] = place_json(report, place);
    text += place_text(report, place);
  }
  context.answer(document, text);
  return {};
}

}  // namespace

CommandSpec plan_command() {
  return {
      .name = "plan",
      .summary = "say how a target would be reached, or why not and what can be reached instead",
      .endings = {ErrorKind::config, ErrorKind::not_found, ErrorKind::conflict, ErrorKind::corrupt,
                  ErrorKind::unavailable, ErrorKind::disk_full},
      .declare = [](CLI::App& app) -> Run {
        auto options = std::make_shared<Options>();
        options->target = add_target_options(app);
        auto* into = app.add_option("--into", options->into, "would this directory do?")
                         ->type_name("DIR")
                         ->transform(absolute_path());
        app.add_option("--port", options->port, "and this port?")->needs(into)->check(CLI::Range(1, 65535));
        into->needs("--port");
        app.add_option("--tablespaces", options->tablespaces,
                       "would this one do for the base backup's tablespaces? (else <into>.tablespaces)")
            ->needs(into)
            ->type_name("DIR")
            ->transform(absolute_path());
        return [options](Context& context) { return run_plan(context, *options); };
      }};
}

}  // namespace walback
