#include "restore/restored_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "base/text.h"

namespace walback {
namespace {

/// Why a setting must not follow the copy. `always`: not from walback.yaml either, because it could reach out
/// of the copy, or make a proof untrue.
struct Rule {
  std::string_view pattern;  ///< a whole name, or a prefix that ends in '*'
  std::string_view reason;
  bool always = false;
};
constexpr std::array kDropped = {
    Rule{"include*", "another file", true},
    Rule{"recovery_*", "recovery is walback's", true},
    Rule{"restore_command", "recovery is walback's", true},
    Rule{"promote_trigger_file", "recovery is walback's", true},
    Rule{"trigger_file", "recovery is walback's", true},
    Rule{"archive_*", "archiving", true},
    Rule{"primary_*", "replication", true},
    Rule{"synchronous_standby_names", "replication", true},
    Rule{"walback.*", "replication", true},
    Rule{"synchronized_standby_slots", "replication", true},
    Rule{"sync_replication_slots", "replication", true},
    Rule{"hot_standby*", "replication", true},
    Rule{"synchronous_commit", "replication"},
    Rule{"wal_keep_size", "replication"},
    Rule{"max_slot_wal_keep_size", "replication"},
    Rule{"max_standby_*", "replication"},
    Rule{"max_logical_replication_workers", "subscriptions", true},
    Rule{"listen_addresses", "listening", true},
    Rule{"port", "listening", true},
    Rule{"unix_socket_*", "listening", true},
    Rule{"bonjour*", "listening", true},
    Rule{"data_directory", "a path of the primary's host", true},
    Rule{"hba_file", "a path of the primary's host", true},
    Rule{"ident_file", "a path of the primary's host", true},
    Rule{"external_pid_file", "a path of the primary's host", true},
    Rule{"dynamic_library_path", "a path of the primary's host"},
    Rule{"ssl*", "keys of the primary's host"},
    Rule{"krb_server_keyfile", "keys of the primary's host"},
    Rule{"cluster_name", "identity"},
    Rule{"logging_collector", "the copy logs to its own file", true},
    Rule{"log_destination", "the copy logs to its own file", true},
    Rule{"log_directory", "the copy logs to its own file"},
    Rule{"syslog_*", "the copy logs to its own file"},
    Rule{"shared_buffers", "sized for the primary's host"},
    Rule{"huge_page*", "sized for the primary's host"},
    Rule{"min_dynamic_shared_memory", "sized for the primary's host"},
    Rule{"fsync", "durability is walback's", true},
    Rule{"full_page_writes", "durability is walback's", true},
    Rule{"wal_level", "durability is walback's", true},
    Rule{"data_directory_mode", "durability is walback's", true},
    Rule{"max_wal_size", "checkpoints are walback's"},
    Rule{"min_wal_size", "checkpoints are walback's"},
    Rule{"checkpoint_timeout", "checkpoints are walback's"},
    Rule{"zero_damaged_pages", "it would hide damage", true},
    Rule{"ignore_checksum_failure", "it would hide damage", true},
    Rule{"ignore_invalid_pages", "it would hide damage", true},
    Rule{"cron.*", "jobs", true},
    Rule{"pg_partman_bgw.*", "jobs", true},
};

bool matches(std::string_view pattern, std::string_view name) {
  if (pattern.ends_with('*')) return name.starts_with(pattern.substr(0, pattern.size() - 1));
  return name == pattern;
}

const Rule* rule_for(const std::string& name) {
  for (const Rule& rule : kDropped) {
    if (matches(rule.pattern, name)) return &rule;
  }
  return nullptr;
}

std::string_view reason_to_drop(const ConfLine& setting, const std::set<std::string>& known) {
  if (setting.name.empty()) return "not a setting";
  if (const Rule* rule = rule_for(setting.name)) return rule->reason;
  const bool custom = setting.name.find('.') != std::string::npos;
  if (!known.empty() && !custom && !known.contains(setting.name)) return "this server does not know it";
  // A library's path is asked for where the place is checked.
  if (setting.value.starts_with('/') && !names_libraries(setting.name)) return "a path of the primary's host";
  return {};
}

using Settings = std::map<std::string, std::string>;

void raise(Settings& settings, const std::string& name, std::int32_t floor) {
  // A value that is no plain number ('1e2', '0x64') is legal, and pg_control knows what it came to.
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

std::string shown(const ConfLine& setting) {
  return setting.name.empty() ? setting.value : setting.name + " = '" + setting.value + "'";
}

Settings keep_of_base(const RestoredSettingsInput& input, std::vector<std::string>& dropped) {
  Settings kept;
  std::vector<ConfLine> base = parse_settings(input.base_conf);
  for (ConfLine& setting : parse_settings(input.base_auto_conf)) base.push_back(std::move(setting));
  for (const ConfLine& setting : base) {
    const auto refused = std::ranges::find(input.refused, setting.name, &RefusedSetting::name);
    if (const std::string_view reason = reason_to_drop(setting, input.known); !reason.empty()) {
      dropped.push_back(fmt::format("{} ({})", shown(setting), reason));
    } else if (refused != input.refused.end()) {
      dropped.push_back(fmt::format("{} (this host's server: {})", shown(setting), refused->why));
    } else {
      kept[setting.name] = setting.value;
    }
  }
  return kept;
}

void apply_overrides(const RestoredSettingsInput& input, Settings& kept, std::vector<std::string>& dropped) {
  for (const auto& [written, value] : input.overrides) {
    const ConfLine setting{setting_name(written), value};
    if (const Rule* rule = rule_for(setting.name); rule != nullptr && rule->always) {
      dropped.push_back(fmt::format("{} of walback.yaml ({})", shown(setting), rule->reason));
    } else {
      kept[setting.name] = setting.value;
    }
  }
}

/// Whoever names them: no job starts in the copy. And what is not installed here would keep it from starting.
void leave_out_libraries(const RestoredSettingsInput& input, Settings& kept,
                         std::vector<std::string>& dropped) {
  for (auto found = kept.begin(); found != kept.end();) {
    const auto& [setting, list] = *found;
    std::vector<std::string> left, quoted;
    for (const std::string& library :
         names_libraries(setting) ? all_libraries(list) : std::vector<std::string>{}) {
      const bool missing = std::ranges::any_of(input.missing_libraries, [&](const Preload& preload) {
        return preload.setting == setting && preload.library == library;
      });
      if (missing || starts_jobs(library)) {
        left.push_back(fmt::format("{}: {} ({})", setting, library, missing ? "not installed here" : "jobs"));
      } else {
        quoted.push_back('"' + library + '"');
      }
    }
    dropped.insert(dropped.end(), left.begin(), left.end());
    // jit_provider is one name, and no list.
    const bool list_of_them = names_libraries(setting) && setting != "jit_provider";
    if (list_of_them) found->second = join(quoted, ", ");
    found = left.empty() || list_of_them ? std::next(found) : kept.erase(found);
  }
}

}  // namespace

RestoredSettings restored_settings(const RestoredSettingsInput& input) {
  RestoredSettings result;
  Settings kept = keep_of_base(input, result.dropped);
  kept.try_emplace("shared_buffers", "256MB");
  // As initdb chooses them: PostgreSQL does not start where they hold fewer than two segments.
  const std::uint64_t segment_mb = std::max<std::uint64_t>(input.segment_bytes >> 20, 1);
  kept["min_wal_size"] = std::to_string(5 * segment_mb) + "MB";
  kept["max_wal_size"] = std::to_string(64 * segment_mb) + "MB";
  apply_overrides(input, kept, result.dropped);
  leave_out_libraries(input, kept, result.dropped);
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
      {"recovery_min_apply_delay", "0"},
      // Not yet precious: a crash only means that the restore begins again. Without fsync the initial sync of
      // the data directory is left out too.
      {"fsync", recovery.fsync ? "on" : "off"},
      {"full_page_writes", recovery.fsync ? "on" : "off"},
      {"synchronous_commit", "off"},
      // Nor would it come back by itself: it would replay, and crash, for ever on a full disk, say.
      {"restart_after_crash", "off"},
      // As few restartpoints as the disk allows: they write out what the end-of-recovery checkpoint writes
      // anyway.
      {"checkpoint_timeout", "1d"},
      {"max_wal_size", std::to_string(recovery.max_wal_size_mb) + "MB"},
      {"autovacuum", "off"},
      // Why it ended must be in its log, in words that are looked for.
      {"lc_messages", "C"},
      {"log_min_messages", "warning"},
  };
  std::string text = "# Written by walback for the time of the restore; emptied when it is finished.\n";
  for (const auto& [name, value] : lines) text += render_setting(name, value);
  // Without it a directory where a link is expected ends recovery at the consistent point.
  if (recovery.in_place_tablespaces) text += render_setting("allow_in_place_tablespaces", "on");
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
