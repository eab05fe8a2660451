#include "command/command_facts.h"

#include <doctest/doctest.h>

#include "command/command.h"

using namespace walback;

namespace {

/// The whole table, as the program declares it.
CommandFact all_facts() {
  CLI::App app{"all of it"};
  app.name("walback");
  bool quiet = false;
  app.add_flag("-q,--quiet", quiet, "no remarks");
  for (const CommandSpec& spec : command_table()) {
    CLI::App* command = app.add_subcommand(spec.name, spec.summary);
    static_cast<void>(spec.declare(*command));
  }
  return command_facts(app);
}

CommandFact example() {
  CLI::App app{"does it"};
  app.name("tool");
  bool verbose = false;
  app.add_flag("-v,--verbose", verbose, "more 'detail'");
  CLI::App* command = app.add_subcommand("make", "makes\n.things");
  command->footer("Exit codes:\n   0  success\n");
  std::string text;
  command->add_option("--into", text, "a path with a \\")->required()->type_name("DIR");
  command->add_option("what", text, "one of them")->type_name("")->check(one_of({"this", "that"}));
  CLI::App* below = command->add_subcommand("again", "once more");
  below->add_option("--fsync", text, "slow")->check(one_of({"on", "off"}));
  return command_facts(app);
}

void each_option(const CommandFact& command, const std::function<void(const OptionFact&)>& visit) {
  for (const OptionFact& option : command.options) visit(option);
  for (const CommandFact& below : command.subcommands) each_option(below, visit);
}

}  // namespace

TEST_CASE("manual: whole, with what troff would take for its own kept as text") {
  CHECK(render_manual(example()) == R"(.TH WALBACK 1 "" walback "User Commands"
.SH NAME
walback \- exact point\-in\-time restore for PostgreSQL
.SH SYNOPSIS
.B walback
[\fIOPTION\fR...] \fICOMMAND\fR [\fIOPTION\fR...]
.SH DESCRIPTION
does it
.SH OPTIONS
Before or behind the command:
.TP
\fB\-h\fR, \fB\-\-help\fR
Print this help message and exit
.TP
\fB\-v\fR, \fB\-\-verbose\fR
more 'detail'
.SH COMMANDS
.SS tool make
makes
\&.things.
.TP
\fB\-\-into\fR \fIDIR\fR
a path with a \e (required)
.TP
\fIthis|that\fR
one of them
.PP
.nf
Exit codes:
   0  success
.fi
.SS tool make again
once more.
.TP
\fB\-\-fsync\fR \fIon|off\fR
slow
.SH ENVIRONMENT
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
)");
}

TEST_CASE("manual and completion: every command and option of the table is in them") {
  const CommandFact all = all_facts();
  REQUIRE(all.subcommands.size() == command_table().size());
  const std::string manual = render_manual(all), script = render_bash_completion(all);
  std::size_t options = 0;
  each_option(all, [&](const OptionFact& option) {
    ++options;
    if (option.positional) return;
    std::string escaped;
    for (const char c : option.names.back()) escaped += c == '-' ? "\\-" : std::string(1, c);
    CAPTURE(option.names.back());
    CHECK(manual.find("\\fB" + escaped + "\\fR") != std::string::npos);
    CHECK(script.find(" " + option.names.back()) != std::string::npos);
  });
  CHECK(options > 50);
  for (const CommandFact& command : all.subcommands) {
    CAPTURE(command.name);
    CHECK(manual.find(".SS " + command.name + "\n") != std::string::npos);
    CHECK(script.find(command.name.substr(8)) != std::string::npos);
  }
}

TEST_CASE("completion: what an option takes is known: words, files, directories, anything") {
  const std::string script = render_bash_completion(example());
  for (const char* line :
       {"    '') echo make ;;\n", "    'make') echo again ;;\n", "    'make') echo -h --help --into ;;\n",
        "    'make --into') echo directories ;;\n", "    'make again --fsync') echo words on off ;;\n",
        "    'make 1') echo words this that ;;\n"}) {
    CAPTURE(line);
    CHECK(script.find(line) != std::string::npos);
  }
}
