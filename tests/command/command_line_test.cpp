#include <doctest/doctest.h>

#include "command/command.h"
#include "command/help_format.h"
#include "os/system.h"

using namespace walback;

namespace {

/// What the command line is answered before anything runs.
Error error_of(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "walback");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  Context context;
  context.clock = &real_clock();
  context.files = &real_file_system();
  context.processes = &real_processes();
  const Status status =
      run_command_line(static_cast<int>(arguments.size()), argv.data(), context, "walback 0");
  REQUIRE_FALSE(status.has_value());
  return status.error();
}

Error usage(std::string message, std::string hint) {
  return {ErrorKind::usage, std::move(message), std::move(hint)};
}

std::string called(const Error& error) {
  return std::string(name_of(error.kind)) + "|" + error.message + "|" + error.hint;
}

#define CHECK_SAYS(error, ...) CHECK(called(error) == called(usage(__VA_ARGS__)))

}  // namespace

TEST_CASE("command line: what is mistyped is told with what was probably meant") {
  CHECK_SAYS(error_of({"stauts"}), "'stauts' is no command of walback", "Did you mean `walback status`?");
  CHECK_SAYS(error_of({"-c", "x.yaml", "restor"}), "'restor' is no command of walback",
             "Did you mean `walback restore`?");
  CHECK_SAYS(error_of({"frobnicate"}), "'frobnicate' is no command of walback", "See `walback --help`.");
  CHECK_SAYS(error_of({"lab", "statsu"}), "'statsu' is no command of walback lab",
             "Did you mean `walback lab status`?");
  CHECK_SAYS(error_of({"plan", "--to-tiem", "10:00"}), "--to-tiem is no option of walback plan",
             "Did you mean --to-time?");
  CHECK_SAYS(error_of({"status", "--jsno"}), "--jsno is no option of walback status", "Did you mean --json?");
  CHECK_SAYS(error_of({"backup", "--keep", "3"}), "--keep is no option of walback backup",
             "See `walback backup --help`.");
  CHECK_SAYS(error_of({"--nonsense"}), "--nonsense is no option of walback", "See `walback --help`.");
  CHECK_SAYS(error_of({"list", "backup"}),
             "what: 'backup' is none of segments, backups, timelines, restores; did you mean backups?",
             "See `walback list --help`.");
}

TEST_CASE("command line: what is missing or too much is named") {
  CHECK_SAYS(error_of({"plan", "extra"}), "walback plan takes no argument 'extra'",
             "See `walback plan --help`.");
  CHECK_SAYS(error_of({"lab"}), "walback lab needs one of: up, down, status", "See `walback lab --help`.");
  CHECK_SAYS(error_of({"list"}), "walback list needs segments, backups, timelines or restores",
             "See `walback list --help`.");
  CHECK_SAYS(error_of({"restore", "--to-latest"}), "--into is required", "See `walback restore --help`.");
  CHECK_SAYS(error_of({"plan", "--into", "x"}), "--into requires --port", "See `walback plan --help`.");
  CHECK_SAYS(error_of({"-c"}), "--config needs a value", "See `walback --help`.");
  CHECK_SAYS(error_of({"-c", "", "status"}), "--config: the name is empty", "See `walback --help`.");
  CHECK_SAYS(error_of({"-q", "status", "-v"}), "--quiet excludes --verbose", "See `walback status --help`.");
  CHECK_SAYS(error_of({"restore", "--into", "x", "--port", "99999"}),
             "--port: '99999' is not a number from 1 to 65535", "See `walback restore --help`.");
  CHECK_SAYS(error_of({"load", "--ledger", "x", "--rate", "5", "--every", "1s"}), "--rate excludes --every",
             "See `walback load --help`.");
  CHECK_SAYS(error_of({"init", "--slot", "W b"}),
             "--slot: 'W b' is no slot's name, expected 1 to 63 of a-z, 0-9 and _",
             "See `walback init --help`.");
}

TEST_CASE("command line: help says what an option takes, and not how it is checked") {
  CLI::App app{"does it", "tool"};
  app.set_help_flag("-h,--help", "print this help");
  app.formatter(std::make_shared<HelpFormat>());
  std::string into, word;
  int port = 0;
  bool loud = false;
  auto* place = app.add_option("--into", into, "where")->type_name("DIR");
  app.add_option("--port", port, "listens there")->check(CLI::Range(1, 65535))->needs(place)->required();
  app.add_flag("--loud", loud, "tells all")->excludes(place);
  app.add_option("--how", word, "this or that")->type_name("")->check(one_of({"this", "that"}));
  app.add_option("word", word, "which")->type_name("")->check(one_of({"this", "that"}));
  CHECK(app.help() ==
        "does it\n"
        "Usage: tool [OPTIONS] [word]\n"
        "\n"
        "Positionals:\n"
        "  word                        which\n"
        "\n"
        "Options:\n"
        "  -h,--help                   print this help\n"
        "  --into DIR                  where\n"
        "  --port N (required)         listens there\n"
        "  --loud                      tells all\n"
        "  --how WORD                  this or that\n"
        "\n");
}

TEST_CASE("command line: --json is known before anything can go wrong") {
  std::string program = "walback", nonsense = "--nonsense", json = "--json";
  char* argv[] = {program.data(), nonsense.data(), json.data(), nullptr};
  Context context;
  CHECK_FALSE(run_command_line(3, argv, context, "walback 0").has_value());
  CHECK(context.json);
}

TEST_CASE("command line: every command lists its exit codes and describes itself in one line") {
  for (const CommandSpec& spec : command_table()) {
    CAPTURE(spec.name);
    CLI::App app;
    static_cast<void>(spec.declare(app));
    CHECK_FALSE(spec.endings.empty());
    CHECK(spec.summary.size() < 90);
    CHECK(spec.summary.back() != '.');
    for (const CLI::Option* option : app.get_options()) {
      CAPTURE(option->get_name());
      CHECK_FALSE(option->get_description().empty());
    }
  }
}
