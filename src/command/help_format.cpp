#include "command/help_format.h"

#include "command/command_facts.h"

namespace walback {

std::string HelpFormat::make_option_opts(const CLI::Option* option) const {
  if (option->get_items_expected_max() == 0) return "";
  std::string value = type_of(*option);
  // One of a few words, which the description lists.
  if (value.empty() && !option->get_positional()) value = "WORD";
  return (value.empty() ? "" : " " + value) + (option->get_required() ? " (required)" : "");
}

}  // namespace walback
