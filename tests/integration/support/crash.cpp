#include "integration/support/crash.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <csignal>

#include "os/process.h"

namespace walback::test {

WalbackRun killed_at(const LabFixture& lab, const std::string& label,
                     const std::vector<std::string>& arguments, int nth) {
  Command command = lab.command(arguments);
  command.environment.emplace_back("WALBACK_CRASH_AT", fmt::format("{}:{}", label, nth));
  const auto output = walback::run(command, std::chrono::minutes(2));
  REQUIRE_MESSAGE(output, output.error().message);
  WalbackRun run{output->status.code, output->out, output->err, nullptr};
  REQUIRE_MESSAGE(output->status.signal == SIGKILL, label << ": " << run.all());
  REQUIRE_MESSAGE(run.err.find("killed at crash point " + label + "\n") != std::string::npos, run.all());
  return run;
}

std::vector<std::string> names_in(const Path& directory) {
  std::vector<std::string> names;
  const auto entries = real_file_system().list(directory);
  REQUIRE_MESSAGE(entries, entries.error().message);
  for (const DirectoryEntry& entry : *entries) names.push_back(entry.name);
  return names;
}

}  // namespace walback::test
