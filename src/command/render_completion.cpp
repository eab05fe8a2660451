#include <fmt/format.h>

#include "base/text.h"
#include "command/command_facts.h"

namespace walback {
namespace {

/// "lab up"; "" for walback itself.
std::string path_of(const CommandFact& command) {
  const auto blank = command.name.find(' ');
  return blank == std::string::npos ? "" : command.name.substr(blank + 1);
}

std::string last_word(const CommandFact& command) {
  return command.name.substr(command.name.rfind(' ') + 1);
}

/// How the shell finds the values: words of its own, or what it knows of the archive and of files.
std::string values_of(const OptionFact& option) {
  if (!option.words.empty()) return "words " + join(option.words, " ");
  if (option.value == "FILE") return "files";
  if (option.value == "DIR" || option.value == "DIRECTORY") return "directories";
  if (option.value == "CLUSTER") return "clusters";
  return "any";
}

struct Tables {
  std::string commands, options, values, arguments;
};

void collect(const CommandFact& command, Tables& tables) {
  const std::string path = path_of(command);
  std::vector<std::string> commands, options;
  int arguments = 0;
  for (const CommandFact& each : command.subcommands) commands.push_back(last_word(each));
  for (const OptionFact& option : command.options) {
    if (option.positional) {
      tables.arguments += fmt::format("    '{} {}') echo {} ;;\n", path, ++arguments, values_of(option));
      continue;
    }
    options.insert(options.end(), option.names.begin(), option.names.end());
    if (option.value.empty()) continue;
    for (const std::string& name : option.names)
      tables.values += fmt::format("    '{} {}') echo {} ;;\n", path, name, values_of(option));
  }
  if (!commands.empty()) tables.commands += fmt::format("    '{}') echo {} ;;\n", path, join(commands, " "));
  tables.options += fmt::format("    '{}') echo {} ;;\n", path, join(options, " "));
  for (const CommandFact& each : command.subcommands) collect(each, tables);
}

constexpr std::string_view kFunctions = R"bash(
# The value that an option of a command takes; options of walback itself may stand behind any command.
_walback_value() {
  local kind
  kind=$(_walback_values "$1 $2")
  [ -n "$kind" ] || kind=$(_walback_values " $2")
  echo "$kind"
}

# Asked of the archive that the command line names; silent where it has none.
_walback_clusters() {
  "${COMP_WORDS[0]}" "${_walback_config[@]}" clusters 2>/dev/null | awk 'NR > 1 { print $1 }'
}

_walback_reply() {
  local words=''
  case $1 in
    files) mapfile -t COMPREPLY < <(compgen -f -- "$2") ;;
    directories) mapfile -t COMPREPLY < <(compgen -d -- "$2") ;;
    clusters) words=$(_walback_clusters) ;;
    words\ *) words=${1#words } ;;
  esac
  case $1 in files | directories) compopt -o filenames 2>/dev/null || true ;; esac
  [ -z "$words" ] || mapfile -t COMPREPLY < <(compgen -W "$words" -- "$2")
}

_walback() {
  local current=${COMP_WORDS[COMP_CWORD]} path='' awaits='' word commands argument=1 i
  local _walback_config=()
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [ -n "$awaits" ]; then
      case ${COMP_WORDS[i - 1]} in -c | --config) _walback_config=(-c "$word") ;; esac
      awaits=''
      continue
    fi
    case $word in
      -*) awaits=$(_walback_value "$path" "$word") ;;
      *)
        case " $(_walback_commands "$path") " in
          *" $word "*) path="${path:+$path }$word" ;;
          *) argument=$((argument + 1)) ;;
        esac
        ;;
    esac
  done
  commands=$(_walback_commands "$path")
  if [ -n "$awaits" ]; then
    _walback_reply "$awaits" "$current"
  elif [ "${current:0:1}" = - ]; then
    _walback_reply "words $(_walback_options "$path") $(_walback_options '')" "$current"
  elif [ -n "$commands" ]; then
    _walback_reply "words $commands" "$current"
  else
    _walback_reply "$(_walback_arguments "$path $argument")" "$current"
  fi
}
complete -F _walback walback
)bash";

std::string table(std::string_view name, const std::string& cases) {
  return fmt::format("_walback_{}() {{\n  case $1 in\n{}  esac\n}}\n", name, cases);
}

}  // namespace

std::string render_bash_completion(const CommandFact& walback) {
  Tables tables;
  collect(walback, tables);
  return "# bash completion for walback, in zsh with bashcompinit. Made by `walback completion bash`.\n" +
         table("commands", tables.commands) + table("options", tables.options) +
         table("values", tables.values) + table("arguments", tables.arguments) + std::string(kFunctions);
}

}  // namespace walback
