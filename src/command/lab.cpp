#include <fmt/format.h>

#include "command/commands.h"
#include "lab/local_lab.h"

namespace walback {
namespace {

struct Options {
  std::string directory, fsync = "on";
  bool no_standby = false, synchronous = false, keep = false;
  std::uint16_t port = 0;
  unsigned segment_size_mb = 16;
};

void add_directory(CLI::App& command, const std::shared_ptr<Options>& options) {
  command.add_option("--dir", options->directory, "the lab's directory")
      ->required()
      ->type_name("DIR")
      ->transform(absolute_path());
}

Json to_json(const LabStatus& status) {
  Json parts = Json::array();
  for (const LabPart& part : status.parts) {
    Json json{{"name", part.name}, {"running", part.running}};
    json["pid"] = part.running ? Json(part.pid) : Json(nullptr);
    json["port"] = part.port != 0 ? Json(part.port) : Json(nullptr);
    json["directory"] = part.directory.string();
    json["log"] = part.log.string();
    parts.push_back(std::move(json));
  }
  const LabState& state = status.state;
  return {{"directory", state.directory.string()},
          {"config", state.config().string()},
          {"archive", state.archive().string()},
          {"primary_conninfo", state.primary_conninfo()},
          {"standby_conninfo", state.standby ? Json(state.standby_conninfo()) : Json(nullptr)},
          {"synchronous", state.synchronous},
          {"fsync", state.fsync},
          {"all_running", status.all_running()},
          {"parts", std::move(parts)}};
}

std::string to_table(const LabStatus& status) {
  std::string text = fmt::format("lab       {}\nconfig    {}\n", status.state.directory.string(),
                                 status.state.config().string());
  for (const LabPart& part : status.parts) {
    const std::string port = part.port != 0 ? fmt::format(", port {}", part.port) : "";
    text += fmt::format("{:9} {}{}, log {}\n", part.name,
                        part.running ? fmt::format("running, pid {}", part.pid) : "not running", port,
                        part.log.string());
  }
  return text + fmt::format("psql      psql \"{}\"\n", status.state.primary_conninfo());
}

Status answer_status(Context& context, const Path& directory) {
  const LabStatus status = TRY(lab_status(directory));
  context.answer(to_json(status), to_table(status));
  return {};
}

Status run_up(Context& context, const Options& options) {
  LabSetup setup;
  setup.directory = options.directory;
  setup.standby = !options.no_standby;
  if (options.port != 0) setup.port = options.port;
  setup.segment_size_mb = options.segment_size_mb;
  setup.synchronous = options.synchronous;
  setup.fsync = options.fsync == "on";
  TRY(lab_up(
      setup, [&](const std::string& text) { context.say(text); }, context.stop));
  return answer_status(context, setup.directory);
}

Status run_down(Context& context, const Options& options) {
  TRY(lab_down(options.directory, options.keep, [&](const std::string& text) { context.say(text); }));
  context.answer({{"directory", options.directory}, {"removed", !options.keep}},
                 options.keep ? "the lab is down, its directory is kept" : "the lab is down and gone");
  return {};
}

void declare_up(CLI::App& command, const std::shared_ptr<Options>& options) {
  add_directory(command, options);
  command.add_flag("--no-standby", options->no_standby, "a primary alone");
  command
      .add_option("--port", options->port,
                  "the primary's; the standby's is the next (else free ones by chance)")
      ->check(CLI::Range(1024, 65534));
  command.add_option("--segment-size", options->segment_size_mb,
                     "WAL segment size in MB, a power of two (16)");
  command.add_flag("--synchronous", options->synchronous, "commits wait for the capturer");
  command
      .add_option("--fsync", options->fsync,
                  "on (default), or off: faster, with figures that no real primary reaches")
      ->type_name("")
      ->check(one_of({"on", "off"}));
}

}  // namespace

CommandSpec lab_command() {
  return {.name = "lab",
          .summary = "a throwaway primary, standby, capturer and WAL manager as local processes",
          .endings = {ErrorKind::not_found, ErrorKind::conflict, ErrorKind::unavailable, ErrorKind::disk_full,
                      ErrorKind::interrupted},
          .declare = [](CLI::App& app) -> Run {
            auto options = std::make_shared<Options>();
            CLI::App* up = app.add_subcommand("up", "start a lab, or what of it is not running");
            CLI::App* down =
                app.add_subcommand("down", "stop all that runs below the directory, and remove it");
            CLI::App* status = app.add_subcommand("status", "which part runs, and where");
            app.require_subcommand(1);
            declare_up(*up, options);
            add_directory(*down, options);
            down->add_flag("--keep", options->keep, "leave the directory");
            add_directory(*status, options);
            return [options, up, down](Context& context) {
              if (up->parsed()) return run_up(context, *options);
              if (down->parsed()) return run_down(context, *options);
              return answer_status(context, options->directory);
            };
          }};
}

}  // namespace walback
