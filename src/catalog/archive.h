#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "catalog/archive_layout.h"
#include "os/file_system.h"

namespace walback {

/// Whose archive this is. Errors: not_found where no archive is, corrupt for a damaged identity, conflict for
/// one that a newer walback wrote.
[[nodiscard]] Result<ArchiveIdentity> read_archive_identity(FileSystem& files, const ArchiveLayout& layout);

/// Makes the directory an archive of this cluster, durably. The identity is published first and the
/// directories follow, so whatever a crash leaves is either nothing or an archive that the next call
/// completes. Again with the same identity: success. Errors: foreign_system where the archive is another
/// cluster's, conflict where the directory holds anything that is not ours.
[[nodiscard]] Status create_archive(FileSystem& files, const ArchiveLayout& layout,
                                    const ArchiveIdentity& identity);

/// The directories under wal/. A name that is no epoch is for the caller to report: nobody but walback writes
/// there.
struct EpochList {
  std::vector<std::uint32_t> numbers;  ///< ascending
  std::vector<std::string> unknown;
};
[[nodiscard]] Result<EpochList> list_epochs(FileSystem& files, const ArchiveLayout& layout);

}  // namespace walback
