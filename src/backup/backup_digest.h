#pragma once
#include <cstdint>

#include "base/result.h"
#include "os/file_system.h"

namespace walback {

/// Over path, kind, size and change time of everything below a base backup's directory, in order: while it is
/// the same, nobody wrote there. Says nothing about bytes that a disk changed by itself.
struct BackupDigest {
  std::uint32_t value = 0;
  std::uint64_t size_bytes = 0;  ///< of all files
};
[[nodiscard]] Result<BackupDigest> digest_of_backup(FileSystem& files, const Path& directory);

}  // namespace walback
