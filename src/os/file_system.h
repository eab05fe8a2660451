#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace walback {

using Path = std::filesystem::path;  ///< a name as a value; only os/ asks the disk about it

enum class FileKind : std::uint8_t { regular, directory, symlink, other };
struct FileInfo {
  FileKind kind = FileKind::regular;
  std::uint64_t size_bytes = 0;
  std::int64_t mtime_ns = 0;
  std::uint64_t inode = 0;
  std::uint32_t mode = 0;  ///< permission bits only
};
struct DirectoryEntry {
  std::string name;
  FileKind kind = FileKind::regular;
};
struct DiskSpace {
  std::uint64_t total_bytes = 0;
  std::uint64_t available_bytes = 0;  ///< to an unprivileged process
};

/// The one door to the disk for whatever must survive a power cut or be tested with faults. Links are not
/// followed by stat, list and remove_tree. Errors: not_found for ENOENT, disk_full for ENOSPC and EDQUOT,
/// conflict for EEXIST where a new name was asked for, internal with the system's words for the rest; each
/// names the path.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  [[nodiscard]] virtual Result<FileInfo> stat(const Path& path) = 0;
  /// Sorted by name; "." and ".." left out.
  [[nodiscard]] virtual Result<std::vector<DirectoryEntry>> list(const Path& directory) = 0;
  /// The whole file; refused (corrupt) above `limit_bytes`.
  [[nodiscard]] virtual Result<std::string> read(const Path& path, std::uint64_t limit_bytes = 64U << 20) = 0;
  /// Up to buffer.size() bytes from `offset`; fewer only at the end of the file. Returns the count.
  [[nodiscard]] virtual Result<std::size_t> read_at(const Path& path, std::uint64_t offset,
                                                    std::span<char> buffer) = 0;
  [[nodiscard]] virtual Result<std::string> read_link(const Path& path) = 0;

  /// With all missing parents, mode 0700: PostgreSQL insists on it, and an archive holds what a cluster
  /// holds.
  [[nodiscard]] virtual Status create_directories(const Path& path) = 0;
  [[nodiscard]] virtual Status create_symlink(const Path& target, const Path& link) = 0;
  /// Permission bits only; follows no link.
  [[nodiscard]] virtual Status set_mode(const Path& path, std::uint32_t mode) = 0;
  /// Creates (mode 0600) or truncates; not durable by itself.
  [[nodiscard]] virtual Status write(const Path& path, std::string_view content) = 0;
  /// Appends in one write() and fsyncs; a file that it creates has a durable name too. A full disk or a power
  /// cut can leave the first part of it: readers must cope.
  [[nodiscard]] virtual Status append_durably(const Path& path, std::string_view content) = 0;
  [[nodiscard]] virtual Status rename(const Path& from, const Path& to) = 0;
  /// A file, a link, or an empty directory.
  [[nodiscard]] virtual Status remove(const Path& path) = 0;
  /// Removes what is there and does not follow links; absent is success.
  [[nodiscard]] virtual Status remove_tree(const Path& path) = 0;
  [[nodiscard]] virtual Status sync_file(const Path& path) = 0;
  [[nodiscard]] virtual Status sync_directory(const Path& path) = 0;
  /// syncfs(2) on the file system that holds `path`.
  [[nodiscard]] virtual Status sync_file_system(const Path& path) = 0;
  /// A copy that shares no bytes that a writer of the source could change: a reflink where the file system
  /// has them, else copied in the kernel. Mode is kept. The copy is not durable by itself. Replaces `to`.
  [[nodiscard]] virtual Status copy_file(const Path& from, const Path& to) = 0;
  [[nodiscard]] virtual Result<DiskSpace> space(const Path& path) = 0;
};

/// The real one.
[[nodiscard]] FileSystem& real_file_system();

/// Durable publish, the only one there is: write `<path>.tmp`, fsync, rename, fsync the directory. After a
/// crash the path holds the old content or the new, whole.
[[nodiscard]] Status publish(FileSystem& files, const Path& path, std::string_view content);

[[nodiscard]] bool exists(FileSystem& files, const Path& path);

/// Copies a tree with `threads` workers, the largest files first; regular files, directories and links, with
/// their modes; anything else (a socket) is left out. `on_bytes` hears of each file's size when it is copied
/// (from any worker). `skip` is asked with the path relative to `from`; a skipped directory is not entered. A
/// file that vanishes meanwhile is an error: a caller who copies what others write skips it. Not durable by
/// itself.
struct CopyTreeOptions {
  unsigned threads = 1;
  std::function<void(std::uint64_t)> on_bytes = {};
  std::function<bool(const Path&)> skip = {};
  std::function<bool()> stop = {};  ///< asked between files; true ends with `interrupted`
};
[[nodiscard]] Status copy_tree(FileSystem& files, const Path& from, const Path& to,
                               const CopyTreeOptions& options);

}  // namespace walback
