#include <fmt/format.h>

#include "base/text.h"
#include "command/command_facts.h"

namespace walback {
namespace {

/// Text that troff shows as it stands.
std::string plain(std::string_view text) {
  std::string result;
  bool line_begins = true;
  for (const char c : text) {
    if (line_begins && (c == '.' || c == '\'')) result += "\\&";
    line_begins = c == '\n';
    if (c == '\\') {
      result += "\\e";
    } else if (c == '-') {
      result += "\\-";
    } else if (c == '"') {
      result += "\\(dq";
    } else {
      result += c;
    }
  }
  return result;
}

std::string usage_of(const OptionFact& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.names) names.push_back("\\fB" + plain(name) + "\\fR");
  const std::string value = option.value.empty() ? "" : " \\fI" + plain(option.value) + "\\fR";
  return option.positional ? value.substr(1) : join(names, ", ") + value;
}

/// Every command has it; said once.
bool is_help(const OptionFact& option) {
  return option.names.back() == "--help";
}

void add_options(const CommandFact& command, bool whole, std::string& text) {
  for (const OptionFact& option : command.options) {
    if (is_help(option) && !whole) continue;
    text += ".TP\n" + usage_of(option) + "\n";
    text += plain(option.description.empty() ? option.names.front() : option.description);
    text += option.required && !option.positional ? " (required)\n" : "\n";
  }
}

void add_command(const CommandFact& command, std::string& text) {
  text += ".SS " + plain(command.name) + "\n" + plain(command.summary) + ".\n";
  add_options(command, false, text);
  if (!command.footer.empty()) text += ".PP\n.nf\n" + plain(trim(command.footer)) + "\n.fi\n";
  for (const CommandFact& each : command.subcommands) add_command(each, text);
}

constexpr std::string_view kEnd = R"(.SH ENVIRONMENT
.TP
.B WALBACK_CONFIG
The configuration, where \-c names none.
.TP
.B PGPASSFILE, PGSERVICEFILE, PGPASSWORD
As libpq reads them: passwords stand nowhere else.
.SH FILES
.TP
.I /etc/walback/walback.yaml
The configuration, where neither \-c nor the environment names one and the current directory holds none.
.SH SEE ALSO
.BR pg_receivewal (1),
.BR pg_basebackup (1),
.BR pg_verifybackup (1)
)";

}  // namespace

std::string render_manual(const CommandFact& walback) {
  std::string text =
      ".TH WALBACK 1 \"\" walback \"User Commands\"\n.SH NAME\nwalback \\- exact "
      "point\\-in\\-time restore for PostgreSQL\n";
  text += ".SH SYNOPSIS\n.B walback\n[\\fIOPTION\\fR...] \\fICOMMAND\\fR [\\fIOPTION\\fR...]\n";
  text += ".SH DESCRIPTION\n" + plain(walback.summary) + "\n.SH OPTIONS\nBefore or behind the command:\n";
  add_options(walback, true, text);
  text += ".SH COMMANDS\n";
  for (const CommandFact& command : walback.subcommands) add_command(command, text);
  return text + std::string(kEnd);
}

}  // namespace walback
