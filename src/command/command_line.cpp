#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/text.h"
#include "command/command.h"
#include "command/help_format.h"
#include "command/usage_errors.h"
#include "os/system.h"

namespace walback {
namespace {

/// Empty where it cannot be told: it was removed under our feet.
Path current_directory() {
  std::error_code ignored;
  return std::filesystem::current_path(ignored);
}

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

/// Everything that depends on the directory and the user that a person is: settled before root is dropped.
Status prepare(const CommandSpec& spec, Context& context) {
  const bool root = ::geteuid() == 0;
  context.found_config = find_config(*context.files, context.config_option);
  if (root && spec.as_root) TRY(spec.as_root(context));
  if (spec.touches_nothing) return {};
  return drop_root();
}

/// "permission denied" alone leaves a person who typed sudo wondering, and is no defect of ours.
Error explain_denial(Error error, bool was_root) {
  if (!error.message.ends_with("permission denied")) return error;
  if (error.kind == ErrorKind::internal) error.kind = ErrorKind::conflict;
  error.hint = fmt::format("walback works as the user '{}'{}: let that user in, or name another place.",
                           user_name(), was_root ? ", which it becomes when root starts it" : "");
  return error;
}

Status run_command(const CommandSpec& spec, const Run& run, Context& context) {
  const bool was_root = ::geteuid() == 0;
  Status status = prepare(spec, context);
  if (status) {
    const auto log = make_log(STDERR_FILENO, context.verbose                  ? LogLevel::debug
                                             : spec.service && !context.quiet ? LogLevel::info
                                                                              : LogLevel::warn);
    context.log = log.get();
    status = run(context);
    context.log = nullptr;
  }
  if (status) return status;
  return tl::unexpected(explain_denial(std::move(status).error(), was_root));
}

/// Known before the parser has come to it: its own errors are answered in JSON too.
bool asks_for_json(const std::vector<std::string>& arguments) {
  const auto end = std::find(arguments.begin(), arguments.end(), "--");
  return std::find(arguments.begin(), end, "--json") != end;
}

}  // namespace

CLI::Validator absolute_path() {
  return {[](std::string& text) -> std::string {
            if (text.empty()) return "the name is empty";
            std::error_code failure;
            const auto path = std::filesystem::absolute(text, failure);
            if (failure) return fmt::format("'{}' is relative, and the current directory is gone", text);
            text = path.lexically_normal().string();
            return {};
          },
          ""};
}

CLI::Validator one_of(std::vector<std::string> words) {
  // As the validator's name, for words_of.
  const std::string name = join(words, "|");
  return {[words = std::move(words)](std::string& text) -> std::string {
            if (std::find(words.begin(), words.end(), text) != words.end()) return {};
            const auto near = nearest(text, words);
            return fmt::format("'{}' is none of {}{}", text, join(words, ", "),
                               near ? fmt::format("; did you mean {}?", *near) : "");
          },
          "", name};
}

std::vector<std::string> words_of(CLI::Option& option) {
  std::vector<std::string> words;
  try {
    for (const std::string_view word : split(option.get_validator(0)->get_name(), '|'))
      if (!word.empty()) words.emplace_back(word);
  } catch (const CLI::OptionNotFound&) {
    // It has no validator.
  }
  return words;
}

std::string count_of(std::size_t count, const std::string& thing) {
  return fmt::format("{} {}{}", count, thing, count == 1 ? "" : "s");
}

Status run_command_line(int argc, char** argv, Context& context, const std::string& version) {
  CLI::App app{
      "walback keeps a provably complete copy of a PostgreSQL cluster's WAL and base backups, and rebuilds\n"
      "the cluster as it was at any moment."};
  app.name("walback");
  app.set_help_flag("-h,--help", "print this help");
  app.formatter(std::make_shared<HelpFormat>());
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  context.json = asks_for_json(arguments);
  context.start_directory = current_directory();
  bool asks_version = false;
  app.add_flag("--version", asks_version, "print the version and the commit it was built from");
  std::string config;
  app.add_option("-c,--config", config,
                 "walback.yaml (else $WALBACK_CONFIG, ./walback.yaml, /etc/walback/walback.yaml)")
      ->type_name("FILE")
      ->transform(absolute_path());
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
  } catch (const CLI::Success&) {
    // --help, of the command that was named.
    context.answer({{"help", app.help()}}, app.help());
    return {};
  } catch (const CLI::ParseError& error) {
    return tl::unexpected(usage_error(app, error, arguments));
  }
  if (asks_version) {
    context.answer({{"version", version}}, version);
    return {};
  }
  if (!config.empty()) context.config_option = config;
  for (std::size_t i = 0; i < table.size(); ++i) {
    const auto& [command, run] = commands[i];
    if (command->parsed()) return run_command(table[i], run, context);
  }
  context.answer({{"help", app.help()}}, app.help());
  return {};
}

}  // namespace walback
