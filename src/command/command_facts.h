#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

/// What the parsers know, as values: the man page and the completion are made of the same table as `--help`.
namespace walback {

struct OptionFact {
  std::vector<std::string> names;  ///< "-c", "--config"; of an argument without a dash: its name alone
  bool positional = false, required = false;
  std::string value;               ///< "FILE", "TEXT", …; empty: takes none
  std::vector<std::string> words;  ///< the only values there are; empty: any
  std::string description;
};
struct CommandFact {
  std::string name;  ///< as it is typed: "walback lab up"
  std::string summary, footer;
  std::vector<OptionFact> options;
  std::vector<CommandFact> subcommands;
};
/// Not const: CLI11 shows validators only so.
[[nodiscard]] CommandFact command_facts(CLI::App& app);

/// What an option takes, as a person reads it: "N", "DIR"; empty where a name says it.
[[nodiscard]] std::string type_of(const CLI::Option& option);

/// walback.1 in the macros of man(7).
[[nodiscard]] std::string render_manual(const CommandFact& walback);
/// For bash, and for zsh with bashcompinit.
[[nodiscard]] std::string render_bash_completion(const CommandFact& walback);

}  // namespace walback
