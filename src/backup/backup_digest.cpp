#include "backup/backup_digest.h"

#include <array>
#include <string>

#include "base/crc32c.h"

namespace walback {
namespace {

Status walk(FileSystem& files, const Path& directory, const std::string& below, std::uint32_t& crc,
            std::uint64_t& size_bytes) {
  for (const DirectoryEntry& entry : TRY(files.list(directory))) {
    const std::string name = below + entry.name;
    const FileInfo info = TRY(files.stat(directory / entry.name));
    const bool is_directory = info.kind == FileKind::directory;
    crc = crc32c_extend(crc, name.c_str(), name.size() + 1);
    const std::array<std::uint64_t, 3> values{static_cast<std::uint64_t>(info.kind),
                                              is_directory ? 0 : info.size_bytes,
                                              is_directory ? 0 : static_cast<std::uint64_t>(info.mtime_ns)};
    crc = crc32c_extend(crc, reinterpret_cast<const char*>(values.data()), sizeof values);
    if (is_directory) TRY(walk(files, directory / entry.name, name + "/", crc, size_bytes));
    if (info.kind == FileKind::regular) size_bytes += info.size_bytes;
  }
  return {};
}

}  // namespace

Result<BackupDigest> digest_of_backup(FileSystem& files, const Path& directory) {
  std::uint32_t crc = kCrc32cInit;
  BackupDigest digest;
  TRY(walk(files, directory, "", crc, digest.size_bytes));
  digest.value = crc32c_finish(crc);
  return digest;
}

}  // namespace walback
