#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "os/file_system.h"

/// The tablespaces of a base backup, as they lie in it:
///
///     <id>/tablespaces/<oid>/    what the tablespace holds
///     <id>/pg_tblspc/<oid>       a link to ../tablespaces/<oid>
///
/// The links are for pg_verifybackup, whose manifest knows the files as pg_tblspc/<oid>/…. They are relative,
/// so that a backup may be renamed and an archive moved; nothing else follows them. An in-place tablespace is
/// a directory pg_tblspc/<oid>: a part of the data directory like any other.
namespace walback {

[[nodiscard]] Path tablespace_in_backup(const Path& backup, std::uint32_t oid);
/// What pg_tblspc/<oid> has to point to.
[[nodiscard]] std::string tablespace_link(std::uint32_t oid);
/// "16385"; nothing for any other name.
[[nodiscard]] std::optional<std::uint32_t> parse_oid(std::string_view name);

/// By OID. Nothing below pg_tblspc is none. Errors: corrupt for a link that points elsewhere (what stands
/// there would be shared with whoever owns it) or to a directory that is missing.
[[nodiscard]] Result<std::vector<std::uint32_t>> tablespaces_in_backup(FileSystem& files, const Path& backup);

/// Where a file of the manifest lies: pg_tblspc/<oid>/… of one of `oids` below tablespaces/<oid>.
[[nodiscard]] Path file_in_backup(const Path& backup, const std::vector<std::uint32_t>& oids,
                                  const std::string& manifest_path);

/// For pg_verifybackup of a backup without WAL. The tablespaces' directories are left out: their files are
/// held against the manifest through the links.
[[nodiscard]] std::vector<std::string> verifybackup_arguments(const Path& backup,
                                                              const std::vector<std::uint32_t>& oids);

}  // namespace walback
