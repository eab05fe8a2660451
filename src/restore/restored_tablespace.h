#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "os/file_system.h"
#include "restore/plan.h"

/// A tablespace's path is absolute, in the primary's links and in its WAL: on the primary's own host it would
/// lead a copy into the live primary. Those of the base backup are laid out anew, in `<directory>/<oid>`. One
/// that replayed WAL creates goes where that WAL says, and only where that path is absent on this host.
namespace walback {

struct RestoredTablespace {
  std::uint32_t oid = 0;
  std::string primary_path;       ///< empty: not known any more
  Path directory;                 ///< where it lies here
  std::uint64_t bytes = 0;        ///< in the base backup
  std::optional<Lsn> created_at;  ///< by WAL that is replayed; nothing: it is the base's
  bool dropped = false;           ///< by WAL that was replayed
  bool operator==(const RestoredTablespace&) const = default;
};
[[nodiscard]] Json to_json(const RestoredTablespace& tablespace);
[[nodiscard]] Json to_json(const std::vector<RestoredTablespace>& tablespaces);
[[nodiscard]] Result<RestoredTablespace> parse_restored_tablespace(const Json& json, const std::string& what);
/// "16385 '/srv/fast' lies in '/restored.tablespaces/16385'"
[[nodiscard]] std::string render_text(const RestoredTablespace& tablespace);

/// What a restore with this plan would have, by OID. `directory`: for the base's. An in-place tablespace is a
/// part of the data directory and none of these. One of the base that the WAL creates once more counts as
/// created: replay makes the link anew, and everything in it.
[[nodiscard]] Result<std::vector<RestoredTablespace>> restored_tablespaces(FileSystem& files,
                                                                           const RestorePlan& plan,
                                                                           const Path& base,
                                                                           const Path& directory);

/// The links of a data directory's pg_tblspc.
struct TablespaceLink {
  std::uint32_t oid = 0;
  Path target;
};
[[nodiscard]] Result<std::vector<TablespaceLink>> tablespace_links(FileSystem& files, const Path& data);

/// Holds the links of the copy against `tablespaces`; those without a link were dropped. Every link to
/// somewhere else is a line, "tablespace 16385 lies in '/srv/fast', expected '/r.tablespaces/16385'".
[[nodiscard]] std::vector<std::string> mind_links(const std::vector<TablespaceLink>& links,
                                                  std::vector<RestoredTablespace>& tablespaces);

/// Directories outside the data directory that a restore makes: each is claimed by a mark in it,
/// `walback-tablespaces.json`, which names the data directory. Nothing without that mark is ever removed.
[[nodiscard]] std::vector<Path> claimed_directories(const std::vector<RestoredTablespace>& tablespaces);
/// Makes it with its missing parents, under its name only when the mark is in it; one that is there must be
/// empty.
[[nodiscard]] Status claim_directory(FileSystem& files, const Path& directory, const Path& cluster);
/// The data directory for which it was made; nothing: it is not there, or none of ours.
[[nodiscard]] std::optional<Path> claimant(FileSystem& files, const Path& directory);
/// Removes it, the mark last, and the parents that were made for it and are empty now. One that is not there
/// or that `cluster` does not claim is left as it is.
[[nodiscard]] Status release_directory(FileSystem& files, const Path& directory, const Path& cluster);

}  // namespace walback
