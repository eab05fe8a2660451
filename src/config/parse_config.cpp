#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/text.h"
#include "config/config.h"
#include "config/conninfo_password.h"
#include "config/yaml_section.h"

namespace walback {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kShortest{100};
constexpr milliseconds kLongest{3'600'000};
constexpr unsigned kMostJobs = 256;
constexpr unsigned kMostReserveMb = 1U << 20;

/// What a restored cluster's quarantine and exact stop depend on: walback sets these and nobody else.
constexpr std::array<std::string_view, 22> kOwnSettings = {"archive_cleanup_command",
                                                           "archive_command",
                                                           "archive_library",
                                                           "archive_mode",
                                                           "config_file",
                                                           "data_directory",
                                                           "external_pid_file",
                                                           "fsync",
                                                           "hba_file",
                                                           "ident_file",
                                                           "listen_addresses",
                                                           "log_directory",
                                                           "log_filename",
                                                           "port",
                                                           "primary_conninfo",
                                                           "primary_slot_name",
                                                           "promote_trigger_file",
                                                           "recovery_end_command",
                                                           "recovery_min_apply_delay",
                                                           "restore_command",
                                                           "synchronous_standby_names",
                                                           "unix_socket_directories"};

bool is_own_setting(const std::string& name) {
  return name.starts_with("recovery_target") ||
         std::find(kOwnSettings.begin(), kOwnSettings.end(), name) != kOwnSettings.end();
}

bool consists_of(std::string_view text, std::string_view allowed) {
  return !text.empty() && text.find_first_not_of(allowed) == std::string_view::npos;
}

constexpr std::string_view kLower = "abcdefghijklmnopqrstuvwxyz0123456789_";
constexpr std::string_view kWord = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

void read_server(YamlSection& section, std::string& conninfo, std::string& slot) {
  section.text("conninfo", conninfo);
  section.text("slot", slot);
  if (holds_password(conninfo)) {
    section.fault("conninfo",
                  "holds a password, expected none: it belongs into ~/.pgpass, a service file or PGPASSWORD");
  }
  if (!consists_of(slot, kLower) || slot.size() > 63) {
    section.fault("slot", fmt::format("is '{}', expected 1 to 63 of a-z, 0-9 and _", slot));
  }
}

void read_standbys(YamlSection& root, std::vector<Config::Standby>& standbys) {
  std::set<std::string> names;
  for (YamlSection& section : root.sections("standbys")) {
    Config::Standby standby;
    section.text("name", standby.name);
    if (!consists_of(standby.name, std::string(kWord) + "-.")) {
      section.fault("name", fmt::format("is '{}', expected letters, digits, _, - and .", standby.name));
    } else if (!names.insert(standby.name).second) {
      section.fault("name", fmt::format("is '{}', which another standby has too", standby.name));
    }
    read_server(section, standby.conninfo, standby.slot);
    if (standby.conninfo.empty()) section.fault("conninfo", "is missing");
    section.finish();
    standbys.push_back(std::move(standby));
  }
}

void read_capture(YamlSection section, Config::Capture& capture) {
  section.boolean("synchronous", capture.synchronous);
  section.duration("restart_min", capture.restart_min, kShortest, kLongest);
  section.duration("restart_max", capture.restart_max, kShortest, kLongest);
  section.number("reserve_mb", capture.reserve_mb, 0, kMostReserveMb);
  if (capture.restart_max < capture.restart_min) {
    section.fault("restart_max",
                  fmt::format("is {}, expected no less than restart_min ({})",
                              render_duration(capture.restart_max), render_duration(capture.restart_min)));
  }
  section.finish();
}

void read_manage(YamlSection section, Config::Manage& manage) {
  section.duration("interval", manage.interval, kShortest, kLongest);
  section.duration("scan_interval", manage.scan_interval, kShortest, kLongest);
  section.duration("watermark_interval", manage.watermark_interval, kShortest, kLongest);
  section.boolean("mirror", manage.mirror);
  section.finish();
}

void check_hba(YamlSection& section, const std::vector<std::string>& hba) {
  static const std::set<std::string_view> types = {"local",     "host",       "hostssl",
                                                   "hostnossl", "hostgssenc", "hostnogssenc"};
  for (std::size_t i = 0; i < hba.size(); ++i) {
    const std::string_view line = hba[i];
    const bool one_line = line.find_first_of("\n\r") == std::string_view::npos;
    if (one_line && types.contains(line.substr(0, line.find_first_of(" \t")))) continue;
    section.fault("hba", fmt::format("has '{}' as item {}, expected a line of pg_hba.conf", line, i + 1));
  }
}

void read_restore(YamlSection section, Config::Restore& restore) {
  section.number("jobs", restore.jobs, 0, kMostJobs);
  section.text("listen_addresses", restore.listen_addresses);
  if (restore.listen_addresses.find_first_of("\n\r") != std::string::npos) {
    section.fault("listen_addresses", "holds a line break");
  }
  section.texts("hba", restore.hba);
  check_hba(section, restore.hba);
  section.text_map("settings", restore.settings);
  for (const auto& [name, value] : restore.settings) {
    if (!consists_of(name, std::string(kWord) + ".")) {
      section.fault("settings", fmt::format("has '{}', which is no name of a PostgreSQL setting", name));
    } else if (is_own_setting(name)) {
      section.fault("settings", fmt::format("has {}, which walback sets itself in a restored cluster", name));
    } else if (value.find_first_of(std::string("\n\r\0", 3)) != std::string::npos) {
      section.fault("settings", fmt::format("has a line break in {}", name));
    }
  }
  section.finish();
}

void read_time_zone(YamlSection& root, std::string& zone) {
  root.text("time_zone", zone);
  const Path zones = "/usr/share/zoneinfo";
  FileSystem& files = real_file_system();
  const bool shaped = consists_of(zone, std::string(kWord) + "+-/") && !zone.starts_with('/');
  const bool known = zone == "UTC" || !exists(files, zones) || (shaped && exists(files, zones / zone));
  if (!shaped || !known) {
    root.fault("time_zone",
               fmt::format("is '{}', expected a zone's name such as Europe/Berlin or UTC", zone));
  }
}

Config read_config(const YAML::Node& document, const Path& file, const EnvironmentLookup& environment,
                   const std::string& default_time_zone, Faults& faults) {
  Config config;
  config.file = file;
  config.time_zone = default_time_zone;
  const Path base = file.parent_path();
  YamlSection root(document, "", faults, environment);
  root.path("archive", config.archive, base);
  if (config.archive.empty()) root.fault("archive", "is missing, expected the archive's directory");
  root.path("catalog", config.catalog, base);
  YamlSection primary = root.section("primary");
  read_server(primary, config.primary.conninfo, config.primary.slot);
  primary.finish();
  read_standbys(root, config.standbys);
  YamlSection postgres = root.section("postgres");
  postgres.path("bin", config.postgres.bin, base);
  postgres.finish();
  read_capture(root.section("capture"), config.capture);
  read_manage(root.section("manage"), config.manage);
  read_restore(root.section("restore"), config.restore);
  read_time_zone(root, config.time_zone);
  root.finish();
  return config;
}

}  // namespace

Result<Config> parse_config(std::string_view text, const Path& file, const EnvironmentLookup& environment,
                            const std::string& default_time_zone) {
  Faults faults;
  Config config;
  // yaml-cpp may take one for the end of the file, and would drop the rest without a word.
  if (text.find('\0') != std::string_view::npos)
    faults.add(YAML::Mark::null_mark(), "a zero byte, expected text");
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(text));
    const YAML::Node document = documents.empty() ? YAML::Node() : documents.front();
    config = read_config(document, file, environment, default_time_zone, faults);
    if (documents.size() > 1) faults.add(documents[1].Mark(), "a second document begins, expected one");
  } catch (const YAML::Exception& exception) {
    faults.add(exception.mark, fmt::format("no valid YAML: {}", exception.msg));
  }
  if (faults.lines().empty()) return config;
  const std::size_t count = faults.lines().size();
  return fail(ErrorKind::config,
              fmt::format("'{}' has {} fault{}\n{}", file.string(), count, count == 1 ? "" : "s",
                          join(faults.lines(), "\n")),
              "Mend the file; \"walback init\" writes one in which every key is explained.");
}

}  // namespace walback
