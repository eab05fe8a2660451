#include "command/command_facts.h"

#include "base/text.h"
#include "command/command.h"

namespace walback {
namespace {

OptionFact option_fact(CLI::Option& option) {
  OptionFact fact;
  fact.positional = option.get_positional();
  fact.required = option.get_required();
  fact.description = option.get_description();
  if (fact.positional) {
    fact.names.push_back(option.get_name(true));
  } else {
    for (const std::string& name : option.get_snames()) fact.names.push_back("-" + name);
    for (const std::string& name : option.get_lnames()) fact.names.push_back("--" + name);
  }
  if (option.get_items_expected_max() == 0) return fact;
  fact.words = words_of(option);
  const std::string type = type_of(option);
  fact.value = !fact.words.empty() ? join(fact.words, "|") : type.empty() ? "VALUE" : type;
  return fact;
}

CommandFact facts_below(CLI::App& app, const std::string& parent, const std::string& parents_footer) {
  CommandFact fact;
  fact.name = parent.empty() ? app.get_name() : parent + " " + app.get_name();
  fact.summary = app.get_description();
  // CLI11 hands it down.
  if (app.get_footer() != parents_footer) fact.footer = app.get_footer();
  for (CLI::Option* option : app.get_options()) fact.options.push_back(option_fact(*option));
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; }))
    fact.subcommands.push_back(facts_below(*command, fact.name, app.get_footer()));
  return fact;
}

}  // namespace

std::string type_of(const CLI::Option& option) {
  // "INT:INT in [1 - 9]": the type, then what the validators say.
  std::string type(split(option.get_type_name(), ':').front());
  if (type == "INT" || type == "UINT" || type == "FLOAT") type = "N";
  return type;
}

CommandFact command_facts(CLI::App& app) {
  return facts_below(app, "", "");
}

}  // namespace walback
