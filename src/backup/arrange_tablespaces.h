#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "os/file_system.h"
#include "pg/server.h"

/// pg_basebackup puts each tablespace where it is told to, and leaves absolute links to it; the links of a
/// tablespace that it was not told about lead to the primary's own path. Here the first become relative, and
/// the second go.
namespace walback {

struct TablespaceMapping {
  std::uint32_t oid = 0;
  std::string from;  ///< the path on the primary
  Path to;
  bool operator==(const TablespaceMapping&) const = default;
};
/// Those that need one: an in-place tablespace (its location is no absolute path) is part of the data
/// directory. `directory`: the backup's.
[[nodiscard]] std::vector<TablespaceMapping> map_tablespaces(const std::vector<Tablespace>& tablespaces,
                                                             const Path& directory);
/// pg_basebackup's `--tablespace-mapping=OLD=NEW`; an equals sign in a path is escaped.
[[nodiscard]] std::string mapping_argument(const TablespaceMapping& mapping);

/// After pg_basebackup. `listed`: how many tablespaces it announced, pg_default among them; nothing: it did
/// not say.
///
/// One that was dropped while the copy ran has its files and no link: it gets one, because the manifest names
/// its files (the WAL drops it again). One that was created after the copy had begun has a link and no files:
/// its link goes, because the WAL creates it. One that was created between our look and the copy's beginning
/// was copied to the primary's path on this machine, or its WAL lies before the backup: unavailable, as is
/// one that took another's place meanwhile.
[[nodiscard]] Status arrange_tablespaces(FileSystem& files, const Path& directory,
                                         const std::vector<TablespaceMapping>& mappings,
                                         std::optional<std::uint64_t> listed);

}  // namespace walback
