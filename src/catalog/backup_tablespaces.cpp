#include "catalog/backup_tablespaces.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace walback {
namespace {

constexpr std::string_view kLinks = "pg_tblspc";
constexpr std::string_view kDirectories = "tablespaces";

Status check_link(FileSystem& files, const Path& backup, const DirectoryEntry& entry) {
  const Path link = backup / kLinks / entry.name;
  const auto oid = parse_oid(entry.name);
  const std::string target = TRY(files.read_link(link));
  if (!oid || target != tablespace_link(*oid)) {
    return fail(ErrorKind::corrupt,
                fmt::format("the base backup has a link where its own files should be: '{}' points to '{}'",
                            link.string(), target),
                "A copy of it would share what it points to; take another base backup.");
  }
  const Path directory = tablespace_in_backup(backup, *oid);
  const auto info = files.stat(directory);
  if (info && info->kind == FileKind::directory) return {};
  return fail(ErrorKind::corrupt,
              fmt::format("the base backup's tablespace {} is missing: '{}'", *oid, directory.string()),
              "Put it back if there is a copy, or take another base backup.");
}

}  // namespace

Path tablespace_in_backup(const Path& backup, std::uint32_t oid) {
  return backup / kDirectories / std::to_string(oid);
}

std::string tablespace_link(std::uint32_t oid) {
  return fmt::format("../{}/{}", kDirectories, oid);
}

std::optional<std::uint32_t> parse_oid(std::string_view name) {
  const auto number = parse_decimal(name);
  if (!number || *number == 0 || *number > UINT32_MAX || std::to_string(*number) != name) return std::nullopt;
  return static_cast<std::uint32_t>(*number);
}

Result<std::vector<std::uint32_t>> tablespaces_in_backup(FileSystem& files, const Path& backup) {
  std::vector<std::uint32_t> oids;
  const auto entries = files.list(backup / kLinks);
  if (!entries && entries.error().kind == ErrorKind::not_found) return oids;
  if (!entries) return tl::unexpected(entries.error());
  for (const DirectoryEntry& entry : *entries) {
    if (entry.kind != FileKind::symlink) continue;
    TRY(check_link(files, backup, entry));
    oids.push_back(*parse_oid(entry.name));
  }
  std::ranges::sort(oids);
  return oids;
}

Path file_in_backup(const Path& backup, const std::vector<std::uint32_t>& oids,
                    const std::string& manifest_path) {
  std::string_view rest = manifest_path;
  if (!rest.starts_with(kLinks) || rest.substr(kLinks.size(), 1) != "/") return backup / manifest_path;
  rest.remove_prefix(kLinks.size() + 1);
  const auto slash = rest.find('/');
  const auto oid = slash == std::string_view::npos ? std::nullopt : parse_oid(rest.substr(0, slash));
  if (!oid || !std::ranges::binary_search(oids, *oid)) return backup / manifest_path;
  return tablespace_in_backup(backup, *oid) / rest.substr(slash + 1);
}

std::vector<std::string> verifybackup_arguments(const Path& backup, const std::vector<std::uint32_t>& oids) {
  std::vector<std::string> arguments{"--no-parse-wal", "--quiet"};
  for (const std::uint32_t oid : oids) arguments.push_back(fmt::format("--ignore={}/{}", kDirectories, oid));
  arguments.push_back(backup.string());
  return arguments;
}

}  // namespace walback
