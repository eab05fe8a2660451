#include "restore/restored_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "base/text.h"

namespace walback {
namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

/// The value from its first character on: quoted ('' and \' are quotes inside) or up to a blank or a comment.
std::string read_value(std::string_view text) {
  if (!text.starts_with('\'')) return std::string(text.substr(0, text.find_first_of(" \t#")));
  std::string value;
  for (std::size_t i = 1; i < text.size(); ++i) {
    const bool escaped = (text[i] == '\\' || text[i] == '\'') && i + 1 < text.size() && text[i + 1] == '\'';
    if (escaped) {
      ++i;
    } else if (text[i] == '\'') {
      break;
    } else if (text[i] == '\\' && i + 1 < text.size()) {
      ++i;
    }
    value += text[i];
  }
  return value;
}

/// Why a setting of the base must not follow the copy, or nothing. First the families, then single names.
struct Rule {
  std::string_view pattern;  ///< a whole name, or a prefix that ends in '*'
  std::string_view reason;
};
constexpr std::array kDropped = {
    Rule{"include*", "another file"},
    Rule{"recovery_*", "recovery is walback's"},
    Rule{"restore_command", "recovery is walback's"},
    Rule{"archive_*", "archiving"},
    Rule{"promote_trigger_file", "recovery is walback's"},
    Rule{"primary_*", "replication"},
    Rule{"synchronous_standby_names", "replication"},
    Rule{"synchronous_commit", "replication"},
    Rule{"synchronized_standby_slots", "replication"},
    Rule{"sync_replication_slots", "replication"},
    Rule{"hot_standby*", "replication"},
    Rule{"max_logical_replication_workers", "subscriptions"},
    Rule{"listen_addresses", "listening"},
    Rule{"port", "listening"},
    Rule{"unix_socket_*", "listening"},
    Rule{"bonjour*", "listening"},
    Rule{"cluster_name", "identity"},
    Rule{"data_directory", "a path of the primary's host"},
    Rule{"hba_file", "a path of the primary's host"},
    Rule{"ident_file", "a path of the primary's host"},
    Rule{"external_pid_file", "a path of the primary's host"},
    Rule{"ssl*", "keys of the primary's host"},
    Rule{"krb_server_keyfile", "keys of the primary's host"},
    Rule{"logging_collector", "the copy logs to its own file"},
    Rule{"log_destination", "the copy logs to its own file"},
    Rule{"log_directory", "the copy logs to its own file"},
    Rule{"syslog_*", "the copy logs to its own file"},
    Rule{"shared_buffers", "sized for the primary's host"},
    Rule{"huge_pages*", "sized for the primary's host"},
    Rule{"min_dynamic_shared_memory", "sized for the primary's host"},
    Rule{"fsync", "durability is walback's"},
    Rule{"full_page_writes", "durability is walback's"},
    Rule{"wal_level", "durability is walback's"},
    Rule{"max_wal_size", "checkpoints are walback's"},
    Rule{"min_wal_size", "checkpoints are walback's"},
    Rule{"checkpoint_timeout", "checkpoints are walback's"},
    Rule{"cron.*", "jobs"},
    Rule{"pg_partman_bgw.*", "jobs"},
};

/// Libraries whose background workers would start jobs in the copy.
constexpr std::array<std::string_view, 4> kJobLibraries = {"pg_cron", "pg_partman_bgw", "pgagent",
                                                           "pg_timetable"};

bool matches(std::string_view pattern, std::string_view name) {
  if (pattern.ends_with('*')) return name.starts_with(pattern.substr(0, pattern.size() - 1));
  return name == pattern;
}

std::string_view reason_to_drop(const ConfLine& setting) {
  for (const Rule& rule : kDropped) {
    if (matches(rule.pattern, setting.name)) return rule.reason;
  }
  if (setting.name.empty()) return "not a setting";
  if (setting.value.starts_with('/')) return "a path of the primary's host";
  return {};
}

std::string without_jobs(const std::string& libraries, std::vector<std::string>& dropped) {
  std::vector<std::string> kept;
  for (const std::string_view part : split(libraries, ',')) {
    const std::string library(trim(part));
    if (library.empty()) continue;
    if (std::find(kJobLibraries.begin(), kJobLibraries.end(), library) != kJobLibraries.end()) {
      dropped.push_back(fmt::format("shared_preload_libraries: {} (jobs)", library));
    } else {
      kept.push_back(library);
    }
  }
  return join(kept, ", ");
}

using Settings = std::map<std::string, std::string>;

void raise(Settings& settings, const std::string& name, std::int32_t floor) {
  const auto own = settings.find(name);
  const std::uint64_t value = own == settings.end() ? 0 : parse_decimal(own->second).value_or(0);
  settings[name] =
      std::to_string(std::max<std::uint64_t>(value, static_cast<std::uint64_t>(std::max(floor, 0))));
}

void apply_floor(Settings& settings, const SettingsFloor& floor) {
  raise(settings, "max_connections", floor.max_connections);
  raise(settings, "max_worker_processes", floor.max_worker_processes);
  raise(settings, "max_wal_senders", floor.max_wal_senders);
  raise(settings, "max_prepared_transactions", floor.max_prepared_transactions);
  raise(settings, "max_locks_per_transaction", floor.max_locks_per_transaction);
}

}  // namespace

std::vector<ConfLine> parse_settings(std::string_view text) {
  std::vector<ConfLine> settings;
  for (const std::string_view whole : split(text, '\n')) {
    const std::string_view line = trim(whole);
    if (line.empty() || line.starts_with('#')) continue;
    const auto name_end = line.find_first_of(" \t=");
    const std::string_view name = line.substr(0, name_end);
    const bool named = !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
      return std::isalnum(c) != 0 || c == '_' || c == '.' || c == '$';
    });
    if (!named || name_end == std::string_view::npos) {
      settings.push_back({"", std::string(line)});
      continue;
    }
    std::string_view rest = trim(line.substr(name_end));
    if (rest.starts_with('=')) rest = trim(rest.substr(1));
    settings.push_back({lower(name), read_value(rest)});
  }
  return settings;
}

std::string render_setting(std::string_view name, std::string_view value) {
  std::string quoted;
  for (const char c : value) {
    if (c == '\'' || c == '\\') quoted += c;
    quoted += c;
  }
  return fmt::format("{} = '{}'\n", name, quoted);
}

RestoredSettings restored_settings(const RestoredSettingsInput& input) {
  RestoredSettings result;
  Settings kept;
  std::vector<ConfLine> base = parse_settings(input.base_conf);
  for (ConfLine& setting : parse_settings(input.base_auto_conf)) base.push_back(std::move(setting));
  for (const ConfLine& setting : base) {
    if (const std::string_view reason = reason_to_drop(setting); !reason.empty()) {
      const std::string what =
          setting.name.empty() ? setting.value : setting.name + " = '" + setting.value + "'";
      result.dropped.push_back(fmt::format("{} ({})", what, reason));
    } else {
      kept[setting.name] = setting.value;
    }
  }
  if (const auto libraries = kept.find("shared_preload_libraries"); libraries != kept.end()) {
    libraries->second = without_jobs(libraries->second, result.dropped);
  }
  kept.try_emplace("shared_buffers", "256MB");
  for (const auto& [name, value] : input.overrides) kept[name] = value;
  apply_floor(kept, input.floor);
  if (input.track_commit_timestamp) kept["track_commit_timestamp"] = "on";

  // What must hold whatever the base or walback.yaml say comes last.
  kept["listen_addresses"] = input.listen_addresses;
  kept["port"] = std::to_string(input.port);
  kept["unix_socket_directories"] = input.socket_directory;
  kept["archive_mode"] = "off";
  kept["hot_standby"] = "on";
  kept["wal_level"] = "replica";
  kept["max_logical_replication_workers"] = "0";
  kept["synchronous_standby_names"] = "";
  kept["recovery_min_apply_delay"] = "0";
  kept["logging_collector"] = "off";

  result.postgresql_conf =
      "# Written by walback for this restored cluster. The base backup's own file is kept as\n"
      "# postgresql.conf.base; what was dropped of it is listed in walback-proof.json.\n";
  for (const auto& [name, value] : kept) result.postgresql_conf += render_setting(name, value);
  return result;
}

std::string recovery_auto_conf(const RecoverySettings& recovery) {
  const std::pair<std::string_view, std::string> lines[] = {
      {"restore_command", recovery.restore_command},
      {"recovery_target", ""},
      {"recovery_target_name", ""},
      {"recovery_target_time", ""},
      {"recovery_target_xid", ""},
      {"recovery_target_lsn", to_string(recovery.target)},
      {"recovery_target_inclusive", recovery.inclusive ? "on" : "off"},
      {"recovery_target_timeline", std::to_string(recovery.timeline.value)},
      {"recovery_target_action", "pause"},
      // Not yet precious: a crash only means that the restore begins again. Without fsync the initial sync of
      // the data directory is left out too.
      {"fsync", "off"},
      {"full_page_writes", "off"},
      {"synchronous_commit", "off"},
      // As few restartpoints as the disk allows: they write out what the end-of-recovery checkpoint writes
      // anyway.
      {"checkpoint_timeout", "1d"},
      {"max_wal_size", std::to_string(recovery.max_wal_size_mb) + "MB"},
      {"autovacuum", "off"},
  };
  std::string text = "# Written by walback for the time of the restore; emptied when it is finished.\n";
  for (const auto& [name, value] : lines) text += render_setting(name, value);
  return text;
}

std::string quarantine_hba() {
  return "# Written by walback: until the proof is written, nobody but the owner of the private socket "
         "directory.\n"
         "local all all trust\n";
}

std::string released_hba(const std::vector<std::string>& lines) {
  std::string text =
      "# Written by walback (restore.hba in walback.yaml). The socket directory is private to its owner.\n";
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

}  // namespace walback
