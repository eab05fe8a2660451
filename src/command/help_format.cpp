#include "command/help_format.h"

#include "command/command_facts.h"

namespace walback {

std::string HelpFormat::make_option_opts(const CLI::Option* option) const {
  if (option->get_items_expected_max() == 0) return "";
  const std::string value = type_of(*option);
  return (value.empty() ? "" : " " + value) + (option->get_required() ? " (required)" : "");
}

}  // namespace walback
