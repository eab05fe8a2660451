#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include "os/file_system.h"

namespace walback {

/// A file system in memory that remembers what a power cut would leave.
///
/// It keeps every file's content and every directory's names twice: as they are, and as they are on the disk.
/// sync_file moves a content there, sync_directory the names of that one directory, sync_file_system all.
/// Stricter than ext4, as strict as POSIX: a fsynced file whose directory was not synced is gone, and so is a
/// rename. Passes the conformance suite of the real one, with the same error texts. Thread safe; paths must
/// be absolute.
class MemoryFileSystem final : public FileSystem {
 public:
  MemoryFileSystem();
  ~MemoryFileSystem() override;

  /// What was not synced is lost, all of it.
  void power_cut();
  /// What was not synced is lost or not as the dice fall: each name by itself, each content old, new or torn.
  void power_cut(std::uint64_t seed);
  /// Everything there is becomes durable, as after a clean unmount.
  void settle();

  /// From now on writing fails with disk_full when it would bring the contents above this.
  void set_capacity(std::uint64_t bytes);
  /// The paths of all regular files, sorted.
  [[nodiscard]] std::vector<std::string> files();

  Result<FileInfo> stat(const Path& path) override;
  Result<std::vector<DirectoryEntry>> list(const Path& directory) override;
  Result<std::string> read(const Path& path, std::uint64_t limit_bytes = 64U << 20) override;
  Result<std::size_t> read_at(const Path& path, std::uint64_t offset, std::span<char> buffer) override;
  Result<std::string> read_link(const Path& path) override;
  Status create_directories(const Path& path) override;
  Status create_symlink(const Path& target, const Path& link) override;
  Status set_mode(const Path& path, std::uint32_t mode) override;
  Status write(const Path& path, std::string_view content) override;
  Status append_durably(const Path& path, std::string_view content) override;
  Status rename(const Path& from, const Path& to) override;
  Status remove(const Path& path) override;
  Status remove_tree(const Path& path) override;
  Status sync_file(const Path& path) override;
  Status sync_directory(const Path& path) override;
  Status sync_file_system(const Path& path) override;
  Status copy_file(const Path& from, const Path& to) override;
  Result<DiskSpace> space(const Path& path) override;

 private:
  struct Node;
  using NodePointer = std::shared_ptr<Node>;
  using Names = std::map<std::string, NodePointer>;
  /// Where a path leads: its directory, its last name, and what that is (nothing: absent).
  struct Place {
    NodePointer directory;
    std::string name;
    NodePointer node;
  };
  enum class Links { follow, keep };

  /// 0, or the errno. A missing last name is no error here: place.node is empty then.
  int find(const Path& path, Links links, Place& place, int depth = 0);
  int find_existing(const Path& path, Links links, Place& place);
  NodePointer make_node(FileKind kind, std::uint32_t mode);
  Status put(const Path& path, std::string_view content, bool append);
  [[nodiscard]] bool fits(std::uint64_t before, std::uint64_t after) const;
  static std::uint64_t bytes_below(const Node& node);

  std::mutex mutex_;
  NodePointer root_;
  std::uint64_t next_inode_ = 1;
  std::int64_t time_ns_ = 0;  ///< ticks with every change
  std::uint64_t capacity_bytes_ = std::uint64_t{1} << 40;
};

}  // namespace walback
