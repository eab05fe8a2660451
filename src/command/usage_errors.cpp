#include "command/usage_errors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <regex>

#include "base/text.h"

namespace walback {
namespace {

std::vector<std::string> names_of(const std::vector<const CLI::App*>& commands) {
  std::vector<std::string> names;
  for (const CLI::App* command : commands) names.push_back(command->get_name());
  return names;
}

std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

/// The command that the arguments reached, however far the parser came.
struct Reached {
  const CLI::App* app = nullptr;
  std::string called = "walback";
  std::vector<const CLI::App*> way;
};
Reached reach(const CLI::App& app, const std::vector<std::string>& arguments) {
  Reached reached{.app = &app, .way = {&app}};
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "-c" || arguments[i] == "--config") ++i;
    if (i >= arguments.size() || arguments[i].starts_with('-')) continue;
    const auto below = commands_of(*reached.app);
    const auto found = std::find_if(below.begin(), below.end(), [&](const CLI::App* command) {
      return command->get_name() == arguments[i];
    });
    if (found == below.end()) break;
    reached.app = *found;
    reached.called += " " + arguments[i];
    reached.way.push_back(*found);
  }
  return reached;
}

std::vector<std::string> options_of(const Reached& reached) {
  std::vector<std::string> names;
  for (const CLI::App* app : reached.way) {
    for (const CLI::Option* option : app->get_options()) {
      // Who wanted help typed it right; for what else is short, it is the nearest too often.
      for (const std::string& name : option->get_lnames())
        if (name != "help") names.push_back("--" + name);
      for (const std::string& name : option->get_snames()) names.push_back("-" + name);
    }
  }
  return names;
}

Error unexpected(const Reached& reached, const std::string& word) {
  const std::string see = fmt::format("See `{} --help`.", reached.called);
  if (word.starts_with('-')) {
    const std::string name = word.substr(0, word.find('='));
    const auto near = nearest(name, options_of(reached));
    return {ErrorKind::usage, fmt::format("{} is no option of {}", name, reached.called),
            near ? fmt::format("Did you mean {}?", *near) : see};
  }
  const std::vector<std::string> below = names_of(commands_of(*reached.app));
  if (below.empty() || !reached.app->get_subcommands().empty())
    return {ErrorKind::usage, fmt::format("{} takes no argument '{}'", reached.called, word), see};
  const auto near = nearest(word, below);
  return {ErrorKind::usage, fmt::format("'{}' is no command of {}", word, reached.called),
          near ? fmt::format("Did you mean `{} {}`?", reached.called, *near) : see};
}

/// The parser's own sentence in our spelling.
std::string plain(std::string message) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  static const std::regex missing(": 1 required [A-Z]+ missing"), range(": Value (.*) not in range (.*)");
  message = std::regex_replace(message, missing, " needs a value");
  message = std::regex_replace(message, range, ": '$1' is not a number from $2");
  if (!message.empty()) message[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(message[0])));
  while (!message.empty() && (message.back() == '.' || message.back() == ' ')) message.pop_back();
  return message;
}

}  // namespace

Error usage_error(const CLI::App& app, const CLI::ParseError& error,
                  const std::vector<std::string>& arguments) {
  const Reached reached = reach(app, arguments);
  const std::vector<std::string> below = names_of(commands_of(*reached.app));
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    // The parser's message ends with the words it could not place; the first of them is what went wrong.
    // A misspelt option comes before its value there only sometimes, and explains it.
    const std::string message = error.what();
    const auto colon = message.find(": ");
    const auto words =
        split(std::string_view(message).substr(colon == std::string::npos ? 0 : colon + 2), ' ');
    const auto option =
        std::find_if(words.begin(), words.end(), [](std::string_view word) { return word.starts_with('-'); });
    return unexpected(reached, std::string(option != words.end() ? *option : words.front()));
  }
  if (!below.empty() && reached.app->get_subcommands().empty() && reached.app != &app &&
      dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
    for (auto word = arguments.rbegin(); word != arguments.rend(); ++word) {
      if (*word == reached.app->get_name()) break;
      if (!word->starts_with('-')) return unexpected(reached, *word);
    }
    return {ErrorKind::usage, fmt::format("{} needs one of: {}", reached.called, join(below, ", ")),
            fmt::format("See `{} --help`.", reached.called)};
  }
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
    // "what is required" says little; what the argument is stands in its description.
    const std::string message = error.what();
    const auto* option = reached.app->get_option_no_throw(message.substr(0, message.find(' ')));
    if (option != nullptr && option->get_positional())
      return {ErrorKind::usage, fmt::format("{} needs {}", reached.called, option->get_description()),
              fmt::format("See `{} --help`.", reached.called)};
  }
  return {ErrorKind::usage, plain(error.what()), fmt::format("See `{} --help`.", reached.called)};
}

}  // namespace walback
