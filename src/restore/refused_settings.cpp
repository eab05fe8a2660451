#include "restore/refused_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/text.h"
#include "os/process.h"
#include "restore/conf_file.h"

namespace walback {
namespace {

constexpr std::chrono::seconds kTimeout{30};

/// The text behind "LOG:  ", "FATAL:  ".
std::string_view message_of(std::string_view line) {
  for (const std::string_view mark : {"LOG:  ", "FATAL:  ", "ERROR:  ", "WARNING:  "}) {
    if (const auto at = line.find(mark); at != std::string_view::npos) return line.substr(at + mark.size());
  }
  return {};
}

}  // namespace

std::vector<RefusedSetting> parse_refusals(std::string_view said) {
  std::vector<RefusedSetting> refused;
  for (const std::string_view line : split(said, '\n')) {
    const std::string_view message = message_of(line);
    // "invalid value for parameter …", "… is outside the valid range for parameter …", "unrecognized
    // configuration parameter …"
    constexpr std::string_view kNamed = "parameter \"";
    const auto at = message.find(kNamed);
    if (at == std::string_view::npos) continue;
    const std::string_view rest = message.substr(at + kNamed.size());
    refused.push_back({setting_name(rest.substr(0, rest.find('"'))), std::string(trim(message))});
  }
  return refused;
}

Result<std::vector<RefusedSetting>> refused_settings(const Binaries& binaries, const Path& data) {
  // Any setting will do: they are all read first, and a value that lc_messages=C wins over is still judged.
  const Output output = TRY(run({.program = binaries.program("postgres"),
                                 .arguments = {"-D", data.string(), "-c", "lc_messages=C", "-C", "port"},
                                 .environment = {{"PGDATA", ""}, {"PGOPTIONS", ""}, {"TZ", ""}}},
                                kTimeout));
  if (output.status.success()) return std::vector<RefusedSetting>{};
  auto refused = parse_refusals(output.err);
  if (!refused.empty()) return refused;
  std::string words(trim(output.err));
  std::ranges::replace(words, '\n', ' ');
  return fail(ErrorKind::conflict,
              fmt::format("PostgreSQL does not accept the copy's configuration ({}): {}",
                          to_string(output.status), words),
              "Does restore.settings of walback.yaml ask for something that this host does not have?");
}

}  // namespace walback
