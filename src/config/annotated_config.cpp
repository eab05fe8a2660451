#include <fmt/format.h>

#include "config/config.h"
#include "config/yaml_section.h"

namespace walback {
namespace {

/// In double quotes, so that no value is ever taken for a number, a comment or a variable.
std::string yaml_string(std::string_view value) {
  std::string text = "\"";
  for (std::size_t i = 0; i < value.size(); ++i) {
    const char c = value[i];
    if (c == '"' || c == '\\') text += '\\';
    if (c == '$' && value.substr(i).starts_with("${")) text += '$';
    if (c == '\n') {
      text += "\\n";
    } else if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') {
      text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      text += c;
    }
  }
  return text + "\"";
}

std::string optional_path(const char* key, const Path& path, const char* example, const char* indent) {
  return path.empty() ? fmt::format("{}# {}: {}\n", indent, key, example)
                      : fmt::format("{}{}: {}\n", indent, key, yaml_string(path.string()));
}

std::string standbys_text(const Config& config) {
  std::string text = "# Servers that may become the primary one day.\n";
  if (config.standbys.empty()) {
    return text +
           "# standbys:\n#   - name: db2\n#     conninfo: \"host=db2 user=walback dbname=postgres\"\n"
           "#     slot: walback\n";
  }
  text += "standbys:\n";
  for (const Config::Standby& standby : config.standbys) {
    text += fmt::format("  - name: {}\n    conninfo: {}\n    slot: {}\n", yaml_string(standby.name),
                        yaml_string(standby.conninfo), yaml_string(standby.slot));
  }
  return text;
}

std::string restore_text(const Config::Restore& restore) {
  std::string text =
      fmt::format(R"(restore:
  # Threads that lay down a base backup; 0: as many as there are cores.
  jobs: {}
  # Where a restored cluster listens once its proof is written.
  listen_addresses: {}
  # Its pg_hba.conf from then on. Until then only walback itself gets in.
  hba:{}
)",
                  restore.jobs, yaml_string(restore.listen_addresses), restore.hba.empty() ? " []" : "");
  for (const std::string& line : restore.hba) text += fmt::format("    - {}\n", yaml_string(line));
  text += "  # More settings for its postgresql.conf.\n";
  if (restore.settings.empty()) return text + "  # settings:\n  #   shared_buffers: 2GB\n";
  text += "  settings:\n";
  for (const auto& [name, value] : restore.settings) {
    text += fmt::format("    {}: {}\n", yaml_string(name), yaml_string(value));
  }
  return text;
}

}  // namespace

std::string annotated_config(const Config& config) {
  std::string text = fmt::format(
      R"(# walback.yaml. ${{NAME}} in a value reads the environment; $${{ is a plain ${{. Durations: ms, s, min, h.
# Relative paths start at this file's directory. Commented keys show an example; without them walback decides.

# The archive: WAL, base backups and journal of ONE cluster.
archive: {}
# The index; it can be rebuilt from the archive. By default inside it.
{}
primary:
  # As libpq reads it. No password here: it belongs into ~/.pgpass, a service file or PGPASSWORD. Name every host
  # that may become the primary (host=db1,db2): the one that is not in recovery is followed.
  conninfo: {}
  # The physical replication slot that makes the primary keep what is not yet captured.
  slot: {}

{}
postgres:
  # Where PostgreSQL's programs are. By default the newest of the wanted major version that is found.
{}
capture:
  # Confirm each commit's WAL once it is on disk here: nothing that reached us is lost if both machines die.
  synchronous: {}
  # The pause before pg_receivewal is started again; it doubles from the first to the second.
  restart_min: {}
  restart_max: {}
  # With less room than this in the archive's file system capturing pauses, until there is half as much again: what
  # is held is kept whole, the slot keeps the rest on the primary. 0: three segments, at least 64 MB.
  reserve_mb: {}

manage:
  # The longest wait for news of the open segment, and how often everything is looked at for safety's sake.
  interval: {}
  scan_interval: {}
  # How often an idle database's present moment is made reachable. Writes nothing on the primary.
  watermark_interval: {}
  # Keep the table walback.wal_segments on the primary, for people with psql.
  mirror: {}

)",
      yaml_string(config.archive.string()),
      optional_path("catalog", config.catalog, "/var/lib/walback/catalog.sqlite", ""),
      yaml_string(config.primary.conninfo), yaml_string(config.primary.slot), standbys_text(config),
      optional_path("bin", config.postgres.bin, "/usr/lib/postgresql/15/bin", "  "),
      config.capture.synchronous, render_duration(config.capture.restart_min),
      render_duration(config.capture.restart_max), config.capture.reserve_mb,
      render_duration(config.manage.interval), render_duration(config.manage.scan_interval),
      render_duration(config.manage.watermark_interval), config.manage.mirror);
  text += restore_text(config.restore);
  text += fmt::format("\n# For times that you write without a zone.\ntime_zone: {}\n",
                      yaml_string(config.time_zone));
  return text;
}

}  // namespace walback
