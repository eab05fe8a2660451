#include "restore/restored_tablespace.h"

#include <fmt/format.h>

#include <algorithm>

#include "catalog/backup_tablespaces.h"

namespace walback {
namespace {

Result<std::uint64_t> bytes_below(FileSystem& files, const Path& directory) {
  std::uint64_t bytes = 0;
  for (const DirectoryEntry& entry : TRY(files.list(directory))) {
    const Path path = directory / entry.name;
    if (entry.kind == FileKind::directory) bytes += TRY(bytes_below(files, path));
    if (entry.kind == FileKind::regular) bytes += TRY(files.stat(path)).size_bytes;
  }
  return bytes;
}

/// BackupRow's "<oid> <path>".
std::string path_on_primary(const RestorePlan& plan, std::uint32_t oid) {
  const std::string prefix = std::to_string(oid) + " ";
  for (const std::string& tablespace : plan.backup.tablespaces) {
    if (tablespace.starts_with(prefix)) return tablespace.substr(prefix.size());
  }
  return {};
}

}  // namespace

Json to_json(const RestoredTablespace& tablespace) {
  return {{"oid", tablespace.oid},
          {"primary_path", tablespace.primary_path},
          {"directory", tablespace.directory.string()},
          {"bytes", tablespace.bytes},
          {"created_at", tablespace.created_at ? Json(to_string(*tablespace.created_at)) : Json(nullptr)},
          {"dropped", tablespace.dropped}};
}

Json to_json(const std::vector<RestoredTablespace>& tablespaces) {
  Json json = Json::array();
  for (const RestoredTablespace& tablespace : tablespaces) json.push_back(to_json(tablespace));
  return json;
}

Result<RestoredTablespace> parse_restored_tablespace(const Json& json, const std::string& what) {
  const auto oid = member<std::uint64_t>(json, "oid");
  const auto directory = member<std::string>(json, "directory");
  if (!oid || *oid > UINT32_MAX || !directory || !directory->starts_with('/')) {
    return fail(ErrorKind::corrupt, fmt::format("{} names a tablespace without its place", what));
  }
  RestoredTablespace tablespace;
  tablespace.oid = static_cast<std::uint32_t>(*oid);
  tablespace.primary_path = member<std::string>(json, "primary_path").value_or("");
  tablespace.directory = *directory;
  tablespace.bytes = member<std::uint64_t>(json, "bytes").value_or(0);
  if (const auto lsn = member<std::string>(json, "created_at")) tablespace.created_at = parse_lsn(*lsn);
  tablespace.dropped = member<bool>(json, "dropped").value_or(false);
  return tablespace;
}

std::string render_text(const RestoredTablespace& tablespace) {
  std::string text = std::to_string(tablespace.oid);
  if (!tablespace.primary_path.empty()) text += fmt::format(" '{}'", tablespace.primary_path);
  if (tablespace.dropped) return text + " was dropped by the WAL";
  text += fmt::format(" lies in '{}'", tablespace.directory.string());
  if (tablespace.created_at)
    text += fmt::format(", created by the WAL at {}", to_string(*tablespace.created_at));
  return text;
}

Result<std::vector<RestoredTablespace>> restored_tablespaces(FileSystem& files, const RestorePlan& plan,
                                                             const Path& base, const Path& directory) {
  std::vector<RestoredTablespace> found;
  const auto created = [&](std::uint32_t oid) {
    return std::ranges::any_of(plan.tablespaces_created, [&](const auto& one) { return one.oid == oid; });
  };
  for (const std::uint32_t oid : TRY(tablespaces_in_backup(files, base))) {
    if (created(oid)) continue;
    found.push_back({.oid = oid,
                     .primary_path = path_on_primary(plan, oid),
                     .directory = directory / std::to_string(oid),
                     .bytes = TRY(bytes_below(files, tablespace_in_backup(base, oid))),
                     .created_at = std::nullopt});
  }
  for (const PlannedTablespace& one : plan.tablespaces_created) {
    if (one.in_place()) continue;
    found.push_back(
        {.oid = one.oid, .primary_path = one.path, .directory = one.path, .bytes = 0, .created_at = one.lsn});
  }
  std::ranges::stable_sort(found, {}, &RestoredTablespace::oid);
  return found;
}

Result<std::vector<TablespaceLink>> tablespace_links(FileSystem& files, const Path& data) {
  std::vector<TablespaceLink> links;
  for (const DirectoryEntry& entry : TRY(files.list(data / "pg_tblspc"))) {
    const auto oid = parse_oid(entry.name);
    if (entry.kind != FileKind::symlink || !oid) continue;
    links.push_back({*oid, TRY(files.read_link(data / "pg_tblspc" / entry.name))});
  }
  return links;
}

std::vector<std::string> mind_links(const std::vector<TablespaceLink>& links,
                                    std::vector<RestoredTablespace>& tablespaces) {
  std::vector<std::string> found;
  for (RestoredTablespace& tablespace : tablespaces) {
    const auto link = std::ranges::find(links, tablespace.oid, &TablespaceLink::oid);
    tablespace.dropped = link == links.end();
    if (tablespace.dropped || link->target == tablespace.directory) continue;
    found.push_back(fmt::format("tablespace {} lies in '{}', expected '{}'", tablespace.oid,
                                link->target.string(), tablespace.directory.string()));
  }
  for (const TablespaceLink& link : links) {
    if (std::ranges::find(tablespaces, link.oid, &RestoredTablespace::oid) != tablespaces.end()) continue;
    found.push_back(fmt::format("tablespace {} lies in '{}', expected none", link.oid, link.target.string()));
  }
  return found;
}

}  // namespace walback
