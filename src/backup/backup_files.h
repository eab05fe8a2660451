#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/timestamp.h"
#include "catalog/archive_layout.h"
#include "catalog/catalog.h"
#include "catalog/rows.h"
#include "os/file_system.h"

/// Base backups as they lie in `<archive>/backups`:
///
///     <id>/               what pg_basebackup wrote and pg_verifybackup expects, not a file more; its
///                         tablespaces in it (catalog/backup_tablespaces.h)
///     <id>.json           what cannot be read from it (times, full server version), written before the
///     rename
///     .<id>.unfinished/   being taken, or left behind by a crash
namespace walback {

/// "20261120T104207Z": the moment at which it was begun, in UTC.
[[nodiscard]] std::string backup_id(Timestamp started);
/// That moment; "-2", "-3", … may follow. Nothing for any other name.
[[nodiscard]] std::optional<Timestamp> parse_backup_id(std::string_view id);
/// The id of a backup begun at `started`; numbered when it is taken.
[[nodiscard]] Result<std::string> free_backup_id(FileSystem& files, const ArchiveLayout& archive,
                                                 Timestamp started);

/// The content of <id>.json.
struct BackupFacts {
  Timestamp started_at, finished_at;
  std::uint32_t server_version_num = 0;
  std::vector<std::string> tablespaces;  ///< "<oid> <path on the primary>"
  bool operator==(const BackupFacts&) const = default;
};
/// Of a row that read_backup filled. A fact about a tablespace that the backup does not have is no fact.
void add_facts(BackupRow& row, const BackupFacts& facts);
[[nodiscard]] std::string to_text(const BackupFacts& facts);
[[nodiscard]] Result<BackupFacts> parse_backup_facts(const std::string& text, const std::string& what);
[[nodiscard]] Path backup_facts_file(const ArchiveLayout& archive, const std::string& id);

/// Reads one backup's directory: backup_label, backup_manifest, PG_VERSION, the tablespaces (their
/// OIDs: the primary's paths are facts) and the system identifier in global/pg_control. Checks that they fit
/// each other and the archive, not the files' bytes.
[[nodiscard]] Result<BackupRow> read_backup(FileSystem& files, const Path& directory, const std::string& id,
                                            const ArchiveIdentity& identity);

/// What can be seen of a base backup without reading its data: what read_backup sees, and that every file of
/// the manifest is there at its size. Before a plan counts on it. Errors: not_found where its directory is
/// gone, corrupt, foreign_system.
[[nodiscard]] Status check_backup(FileSystem& files, const ArchiveLayout& archive, const std::string& id,
                                  const ArchiveIdentity& identity);

/// Every base backup on disk, in the order of the WAL, from the disk alone: what the catalog's rows are
/// rebuilt from. A damaged one is a row with `problem` set, so that it is seen and never used. Unfinished
/// ones are no backups and no problems; names that are none of ours are passed over.
[[nodiscard]] Result<std::vector<BackupRow>> scan_backups(FileSystem& files, const ArchiveLayout& archive,
                                                          const ArchiveIdentity& identity);

/// Brings backups into the catalog that are on disk and not in it: one whose command was killed between its
/// rename and its row. Costs a directory listing.
[[nodiscard]] Status register_unknown_backups(FileSystem& files, const ArchiveLayout& archive,
                                              const ArchiveIdentity& identity, Catalog& catalog);

/// What a crash left: `.<id>.unfinished` directories, and `<id>.json` files without their directory. Only for
/// the holder of the backup lock. Returns the names that were removed.
[[nodiscard]] Result<std::vector<std::string>> remove_leftovers(FileSystem& files,
                                                                const ArchiveLayout& archive);

}  // namespace walback
