#pragma once
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "os/file_system.h"

namespace walback {

/// Thrown where the process "dies" in a test: nothing between there and the test may catch it, and nothing
/// after it happens. Not for code that runs on threads of its own: it would end the test program.
struct Killed {
  std::string at;  ///< "rename /archive/x"
};

/// Another file system, with faults at chosen calls. An operation has its function's name ("rename",
/// "sync_file", …), "*" is any that changes something; a path is chosen by its end, "" is any. For rename and
/// copy_file the path is the new one.
class FaultyFileSystem final : public FileSystem {
 public:
  explicit FaultyFileSystem(FileSystem& files) : files_(files) {}

  /// The `nth` (from 1) matching call from now on fails and changes nothing; later ones work again.
  void fail_at(std::string operation, std::string path_end, Error error, int nth = 1);
  /// The `nth` matching call kills before it does anything; write() and append_durably() with `half` leave
  /// the first half of the new bytes.
  void kill_at(std::string operation, std::string path_end, int nth = 1, bool half = false);
  /// No fault any more.
  void heal();
  /// From a kill on every call fails and changes nothing: the destructors that the exception runs are not run
  /// in a process that was killed.
  void stay_dead() { stays_dead_ = true; }
  /// "rename /archive/x", in order, everything that changed something or would have.
  [[nodiscard]] std::vector<std::string> changes() const;

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
  struct Fault {
    std::string operation, path_end;
    int calls_left = 1;
    std::optional<Error> error;  ///< nothing: kill
    bool half = false;
  };

  /// The fault that this call meets, taken out of the list.
  std::optional<Fault> meet(std::string_view operation, const Path& path, bool change);
  Status pass(std::string_view operation, const Path& path);
  Status look(std::string_view operation, const Path& path);

  FileSystem& files_;
  mutable std::mutex mutex_;
  std::vector<Fault> faults_;
  std::vector<std::string> changes_;
  bool stays_dead_ = false, dead_ = false;
};

}  // namespace walback
