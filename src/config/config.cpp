#include "config/config.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/text.h"
#include "os/system.h"

namespace walback {
namespace {

constexpr std::uint64_t kLargestFile = 1U << 20;
constexpr std::string_view kZoneDirectory = "/zoneinfo/";

Path absolute_path(const Path& path) {
  std::error_code ignored;
  const Path result = std::filesystem::absolute(path, ignored);
  return ignored ? path : result.lexically_normal();
}

/// "/usr/share/zoneinfo/Europe/Berlin" → "Europe/Berlin"; nothing for what is no name of a zone.
std::optional<std::string> zone_of_path(const std::string& path) {
  const auto at = path.rfind(kZoneDirectory);
  if (at == std::string::npos) return std::nullopt;
  std::string zone = path.substr(at + kZoneDirectory.size());
  if (zone.empty()) return std::nullopt;
  return zone;
}

bool is_zone(const std::string& name) {
  return !name.empty() && name.front() != '/' && name.find("..") == std::string::npos &&
         exists(real_file_system(), Path("/usr/share/zoneinfo") / name);
}

}  // namespace

Result<Path> find_config(FileSystem& files, const std::optional<Path>& named) {
  if (named) return absolute_path(*named);
  if (const auto from_environment = environment_variable("WALBACK_CONFIG");
      from_environment && !from_environment->empty()) {
    return absolute_path(*from_environment);
  }
  for (const char* place : {"walback.yaml", "/etc/walback/walback.yaml"}) {
    const Path candidate = absolute_path(place);
    if (exists(files, candidate)) return candidate;
  }
  return fail(ErrorKind::not_found,
              fmt::format("no configuration: neither '{}' nor '/etc/walback/walback.yaml' exists",
                          absolute_path("walback.yaml").string()),
              "Name one with -c or WALBACK_CONFIG, or let \"walback init\" write one.");
}

Result<Config> load_config(FileSystem& files, const Path& file) {
  const Path path = absolute_path(file);
  const Result<std::string> text = files.read(path, kLargestFile);
  if (!text) {
    return fail(text.error().kind == ErrorKind::not_found ? ErrorKind::not_found : ErrorKind::config,
                fmt::format("the configuration cannot be read: {}", text.error().message),
                "Name another with -c or WALBACK_CONFIG, or let \"walback init\" write one.");
  }
  return parse_config(*text, path, environment_variable, system_time_zone());
}

std::string system_time_zone() {
  if (const auto tz = environment_variable("TZ"); tz && !tz->empty()) {
    const std::string name = tz->front() == ':' ? tz->substr(1) : *tz;
    if (is_zone(name)) return name;
    if (const auto zone = zone_of_path(name); zone && is_zone(*zone)) return *zone;
  }
  if (const auto link = real_file_system().read_link("/etc/localtime")) {
    if (const auto zone = zone_of_path(*link); zone && is_zone(*zone)) return *zone;
  }
  if (const auto text = real_file_system().read("/etc/timezone", kLargestFile)) {
    if (const std::string zone(trim(*text)); is_zone(zone)) return zone;
  }
  return "UTC";
}

}  // namespace walback
