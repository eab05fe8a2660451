#include <doctest/doctest.h>
#include <fmt/format.h>

#include "base/text.h"
#include "os/process.h"
#include "os/system.h"
#include "support/temporary_directory.h"

/// What is installed beside the programs: the manual, the shell's completion, the units. No server is needed.
using namespace walback;

namespace {

std::string required_variable(const std::string& name) {
  const auto value = environment_variable(name);
  REQUIRE_MESSAGE(value, name << " is not set");
  return *value;
}

/// Everything that a shell script says; its failure fails the test.
std::string shell(const std::string& script, const Path& directory) {
  const auto output =
      run(Command{"/bin/bash", {"-euo", "pipefail", "-c", script}, {}, directory}, std::chrono::seconds(60));
  REQUIRE(output);
  CHECK_MESSAGE(output->status.code == 0, script << "\n" << output->out << output->err);
  return output->out + output->err;
}

}  // namespace

TEST_CASE("packaging: the manual is in order for troff") {
  const TemporaryDirectory directory;
  const std::string walback = required_variable("WALBACK");
  CHECK(shell(fmt::format("'{}' man >walback.1; groff -ww -man -z walback.1", walback), directory.path()) ==
        "");
  const std::string page =
      shell("groff -man -Tascii -P-cbou walback.1 | sed 's/[^ -~]//g'", directory.path());
  CHECK(page.find("walback - exact point-in-time restore for PostgreSQL") != std::string::npos);
  CHECK(page.find("walback sync on") != std::string::npos);
}

TEST_CASE("packaging: bash completes commands, options, their words, files, and the names of clusters") {
  const TemporaryDirectory directory;
  const std::string walback = required_variable("WALBACK");
  REQUIRE(real_file_system().write(directory.path() / "walback.yaml", ""));
  // A stand-in that shows what it is asked, as `walback clusters` shows its table.
  REQUIRE(real_file_system().write(directory.path() / "walback",
                                   "#!/bin/sh\necho NAME STATE\necho \"alpha $*\"\necho \"$2-$3 x\"\n"));
  shell("chmod 755 walback", directory.path());
  const auto completed = [&](const std::string& words) {
    return std::string(trim(shell(fmt::format(R"(
      source <('{}' completion bash)
      COMP_WORDS=({})
      COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
      _walback 2>/dev/null
      echo "${{COMPREPLY[*]}}")",
                                              walback, words),
                                  directory.path())));
  };
  CHECK(completed("walback sta") == "status");
  CHECK(completed("walback ''").starts_with("init check capture manage run status"));
  CHECK(completed("walback sync ''") == "on off status watch");
  CHECK(completed("walback sync on --ti") == "--timeout");
  CHECK(completed("walback --json sync on --with") == "--with-others");
  CHECK(completed("walback -q restore --to-l") == "--to-lsn --to-latest");
  CHECK(completed("walback status --qui") == "--quiet");
  CHECK(completed("walback lab up --fsync ''") == "on off");
  CHECK(completed("walback list seg") == "segments");
  CHECK(completed("walback -c walback.") == "walback.yaml");
  // The name of a file is no command.
  CHECK(completed("walback -c sync li") == "list");
  CHECK(completed("./walback -c walback.yaml clusters st") == "start stop");
  CHECK(completed("./walback -c walback.yaml clusters stop ''") == "alpha walback.yaml-clusters");
}

TEST_CASE("packaging: systemd finds nothing to say about the units") {
  const TemporaryDirectory directory;
  const std::string script = fmt::format(
      R"(
      cp -r '{}/.' .
      for unit in *@.*; do
        sed 's|^ExecStart=[^ ]*/walback |ExecStart={} |' "$unit" >"${{unit/@./@prod.}}"
        rm "$unit"
      done
      ls -d *
      systemd-analyze verify --man=no ./*@prod.*)",
      required_variable("WALBACK_UNITS"), required_variable("WALBACK"));
  // Its complaints about a key that it does not know are no failure to it.
  CHECK(shell(script, directory.path()) == R"(walback-.service.d
walback-backup@prod.service
walback-backup@prod.timer
walback-capture@prod.service
walback-drill@prod.service
walback-drill@prod.timer
walback-expire@prod.service
walback-expire@prod.timer
walback-manage@prod.service
walback-sync-watch@prod.service
walback-verify@prod.service
walback-verify@prod.timer
)");
  // Each command line is one that walback understands: --help of it is an answer.
  const std::string lines = shell("sed -n 's/^ExecStart=//p' *.service", directory.path());
  std::size_t count = 0;
  for (std::string_view line : split(trim(lines), '\n')) {
    ++count;
    shell(fmt::format("WALBACK_KEEP=7; {} --help >/dev/null", line), directory.path());
  }
  CHECK(count == 7);
}
