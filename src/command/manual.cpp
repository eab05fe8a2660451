#include "command/command_facts.h"
#include "command/commands.h"

namespace walback {
namespace {

/// Of the whole program, whose parser owns this command's.
CommandFact all_facts(CLI::App& command) {
  return command_facts(*command.get_parent());
}

}  // namespace

CommandSpec man_command() {
  return {.name = "man",
          .summary = "print the manual page, in troff: walback man | man -l -",
          .endings = {ErrorKind::internal},
          .declare = [](CLI::App& app) -> Run {
            return [&app](Context& context) -> Status {
              const std::string text = render_manual(all_facts(app));
              context.answer({{"manual", text}}, text);
              return {};
            };
          },
          .touches_nothing = true};
}

CommandSpec completion_command() {
  return {.name = "completion",
          .summary = "print what lets a shell complete commands: source <(walback completion bash)",
          .endings = {ErrorKind::internal},
          .declare = [](CLI::App& app) -> Run {
            auto shell = std::make_shared<std::string>();
            app.add_option("shell", *shell, "bash; zsh understands it with bashcompinit")
                ->required()
                ->check(one_of({"bash"}));
            return [&app, shell](Context& context) -> Status {
              const std::string text = render_bash_completion(all_facts(app));
              context.answer({{"script", text}}, text);
              return {};
            };
          },
          .touches_nothing = true};
}

}  // namespace walback
