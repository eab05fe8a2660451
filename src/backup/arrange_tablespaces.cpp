#include "backup/arrange_tablespaces.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "catalog/backup_tablespaces.h"

namespace walback {
namespace {

struct Link {
  std::uint32_t oid = 0;
  std::string target;
};

/// What stands in pg_tblspc after the copy.
struct Found {
  std::vector<Link> ours, others;
  std::uint64_t in_place = 0;
};

Error created_meanwhile(const std::vector<Link>& links) {
  std::vector<std::string> named;
  for (const Link& link : links) named.push_back(fmt::format("{} ('{}')", link.oid, link.target));
  return {ErrorKind::unavailable,
          fmt::format("a tablespace was created while the base backup began: {}", join(named, ", ")),
          "Take the backup again. If this machine is not the primary's, what was copied of it may lie under "
          "that path here: nothing needs it."};
}

Result<Found> look(FileSystem& files, const Path& directory) {
  Found found;
  for (const DirectoryEntry& entry : TRY(files.list(directory / "pg_tblspc"))) {
    const auto oid = parse_oid(entry.name);
    if (entry.kind == FileKind::directory) ++found.in_place;
    if (entry.kind != FileKind::symlink || !oid) continue;
    const Link link{*oid, TRY(files.read_link(directory / "pg_tblspc" / entry.name))};
    const bool inside = link.target.starts_with((directory / "tablespaces").string() + "/");
    if (inside && link.target != tablespace_in_backup(directory, *oid)) {
      return fail(ErrorKind::unavailable,
                  fmt::format("tablespace {} took the place of tablespace {} while the base backup ran", *oid,
                              Path(link.target).filename().string()),
                  "Take the backup again.");
    }
    (inside ? found.ours : found.others).push_back(link);
  }
  return found;
}

Status relink(FileSystem& files, const Path& directory, std::uint32_t oid) {
  const Path link = directory / "pg_tblspc" / std::to_string(oid);
  if (exists(files, link)) TRY(files.remove(link));
  return files.create_symlink(tablespace_link(oid), link);
}

}  // namespace

std::vector<TablespaceMapping> map_tablespaces(const std::vector<Tablespace>& tablespaces,
                                               const Path& directory) {
  std::vector<TablespaceMapping> mappings;
  for (const Tablespace& tablespace : tablespaces) {
    if (!tablespace.location.starts_with('/')) continue;
    mappings.push_back(
        {tablespace.oid, tablespace.location, tablespace_in_backup(directory, tablespace.oid)});
  }
  return mappings;
}

std::string mapping_argument(const TablespaceMapping& mapping) {
  const auto escaped = [](std::string_view path) {
    std::string text;
    for (const char c : path) {
      if (c == '=') text += '\\';
      text += c;
    }
    return text;
  };
  return fmt::format("--tablespace-mapping={}={}", escaped(mapping.from), escaped(mapping.to.string()));
}

Status arrange_tablespaces(FileSystem& files, const Path& directory,
                           const std::vector<TablespaceMapping>& mappings,
                           std::optional<std::uint64_t> listed) {
  const Found found = TRY(look(files, directory));
  std::vector<std::uint32_t> copied;
  for (const TablespaceMapping& mapping : mappings) {
    if (exists(files, mapping.to)) copied.push_back(mapping.oid);
  }
  if (!found.others.empty()) {
    // pg_default is among them, and so are those in place from 16 on.
    const bool all_were_mapped =
        listed && (*listed == copied.size() + 1 || *listed == copied.size() + found.in_place + 1);
    if (!all_were_mapped) return tl::unexpected(created_meanwhile(found.others));
    for (const Link& link : found.others) {
      TRY(files.remove(directory / "pg_tblspc" / std::to_string(link.oid)));
    }
  }
  for (const std::uint32_t oid : copied) TRY(relink(files, directory, oid));
  return {};
}

}  // namespace walback
