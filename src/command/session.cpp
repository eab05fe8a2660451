#include "command/session.h"

#include <algorithm>

#include "archive/continuity.h"
#include "archive/freshness.h"
#include "backup/backup_files.h"
#include "os/system.h"
#include "pg/conninfo.h"

namespace walback {

ListBackups backups_on_disk(const ArchiveContext& archive) {
  return [archive] { return scan_backups(archive.files, archive.layout, archive.identity); };
}

Result<ArchiveContext> open_configured_archive(const Context& context, const Config& config) {
  return open_archive(config, *context.files, *context.clock, *context.log);
}

Result<ArchiveSession> open_fresh_archive(const Context& context) {
  Config config = TRY(context.config());
  const ArchiveContext archive = TRY(open_configured_archive(context, config));
  TRY(bring_index_up_to_date(archive, backups_on_disk(archive), context.stop));
  Catalog catalog = TRY(Catalog::open(archive.catalog_path));
  TRY(register_unknown_backups(*context.files, archive.layout, archive.identity, catalog));
  return ArchiveSession{std::move(config), archive, std::move(catalog)};
}

Result<std::function<std::optional<std::uint32_t>(const PlannedSegment&)>> checksums_of(
    const Path& catalog_path) {
  auto catalog = std::make_shared<Catalog>(TRY(Catalog::open_read_only(catalog_path)));
  return [catalog](const PlannedSegment& segment) -> std::optional<std::uint32_t> {
    const auto row = catalog->segment(segment.name);
    if (!row || !*row || (*row)->epoch != segment.epoch) return std::nullopt;
    return (*row)->file_crc32c;
  };
}

std::function<void(const PlannedSegment&, const std::string&)> damage_recorder(
    const ArchiveContext& archive) {
  return [archive](const PlannedSegment& segment, const std::string& problem) {
    const auto record = [&]() -> Status {
      Catalog catalog = TRY(Catalog::open(archive.catalog_path));
      return catalog.set_segment_problem(segment.name, segment.epoch,
                                         std::string(kUnreadable) + ": " + problem);
    };
    if (const Status recorded = record(); !recorded) {
      archive.log.warn("restore", "damage_not_recorded", {{key::error, recorded.error().message}});
    }
  };
}

std::vector<std::string> likely_superusers(const Config& config) {
  std::vector<std::string> roles;
  const auto add = [&](const std::string& role) {
    if (!role.empty() && std::find(roles.begin(), roles.end(), role) == roles.end()) roles.push_back(role);
  };
  if (const auto keywords = parse_conninfo(config.primary.conninfo, "primary.conninfo"))
    add(keyword(*keywords, "user"));
  add("postgres");
  add(user_name());
  return roles;
}

}  // namespace walback
