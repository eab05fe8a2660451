#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>

#include "base/text.h"
#include "command/command.h"
#include "os/system.h"

namespace walback {
namespace {

constexpr ErrorKind kAlways[] = {ErrorKind::internal, ErrorKind::usage};

std::string describe_endings(const std::vector<ErrorKind>& endings) {
  std::vector<ErrorKind> all(std::begin(kAlways), std::end(kAlways));
  all.insert(all.end(), endings.begin(), endings.end());
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  std::string text = "Exit codes:\n   0  success\n";
  for (const ErrorKind kind : all) {
    text += fmt::format("  {:2}  {}: {}\n", exit_code(kind), name_of(kind), meaning_of(kind));
  }
  return text;
}

/// A misspelt command is answered with the one that was probably meant.
std::string suggest(const std::vector<CommandSpec>& table, int argc, char** argv) {
  std::vector<std::string> names;
  for (const CommandSpec& spec : table) names.push_back(spec.name);
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "-c" || word == "--config") ++i;
    if (word.starts_with('-')) continue;
    if (std::find(names.begin(), names.end(), word) != names.end())
      return "See `walback " + word + " --help`.";
    if (const auto near = nearest(word, names)) return "Did you mean `walback " + *near + "`?";
    break;
  }
  return "See `walback --help`.";
}

Error usage_error(const CLI::ParseError& error, const std::string& hint) {
  std::string message = error.what();
  std::replace(message.begin(), message.end(), '\n', ' ');
  if (!message.empty()) message[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(message[0])));
  while (!message.empty() && (message.back() == '.' || message.back() == ' ')) message.pop_back();
  return {ErrorKind::usage, message, hint};
}

Status run_command(const CommandSpec& spec, const Run& run, Context& context) {
  TRY(drop_root());
  const auto log = make_log(STDERR_FILENO, context.verbose                  ? LogLevel::debug
                                           : spec.service && !context.quiet ? LogLevel::info
                                                                            : LogLevel::warn);
  context.log = log.get();
  return run(context);
}

}  // namespace

Status run_command_line(int argc, char** argv, Context& context, const std::string& version) {
  CLI::App app{
      "walback keeps a provably complete copy of a PostgreSQL cluster's WAL and base backups, and rebuilds\n"
      "the cluster as it was at any moment."};
  app.name("walback");
  app.set_version_flag("--version", version, "print the version and the commit it was built from");
  std::string config;
  app.add_option("-c,--config", config,
                 "walback.yaml (else $WALBACK_CONFIG, ./walback.yaml, /etc/walback/walback.yaml)");
  app.add_flag("--json", context.json, "answer in JSON on stdout, errors too");
  auto* quiet =
      app.add_flag("-q,--quiet", context.quiet, "no progress, no remarks: errors and answers alone");
  app.add_flag("-v,--verbose", context.verbose, "more detail")->excludes(quiet);
  app.require_subcommand(0, 1);
  app.fallthrough();

  const std::vector<CommandSpec> table = command_table();
  std::vector<std::pair<CLI::App*, Run>> commands;
  for (const CommandSpec& spec : table) {
    CLI::App* command = app.add_subcommand(spec.name, spec.summary);
    command->footer(describe_endings(spec.endings));
    commands.emplace_back(command, spec.declare(*command));
  }
  app.footer("`walback COMMAND --help` lists a command's options and exit codes.");

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    app.exit(help);
    return {};
  } catch (const CLI::Success& success) {
    app.exit(success);
    return {};
  } catch (const CLI::ParseError& error) {
    return tl::unexpected(usage_error(error, suggest(table, argc, argv)));
  }
  if (!config.empty()) context.config_option = config;
  for (std::size_t i = 0; i < table.size(); ++i) {
    const auto& [command, run] = commands[i];
    if (command->parsed()) return run_command(table[i], run, context);
  }
  std::fputs(app.help().c_str(), stdout);
  return {};
}

}  // namespace walback
