#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <boost/filesystem.hpp>
#include <cerrno>
#include <cstdio>

#include "os/copy_bytes.h"
#include "os/descriptor.h"
#include "os/file_system.h"
#include "os/system_error.h"

namespace walback {
namespace {

constexpr mode_t kFileMode = 0600;
constexpr mode_t kDirectoryMode = 0700;

FileKind kind_of(mode_t mode) {
  if (S_ISREG(mode)) return FileKind::regular;
  if (S_ISDIR(mode)) return FileKind::directory;
  if (S_ISLNK(mode)) return FileKind::symlink;
  return FileKind::other;
}

FileKind kind_of(boost::filesystem::file_type type) {
  switch (type) {
    case boost::filesystem::regular_file:
      return FileKind::regular;
    case boost::filesystem::directory_file:
      return FileKind::directory;
    case boost::filesystem::symlink_file:
      return FileKind::symlink;
    default:
      return FileKind::other;
  }
}

Descriptor open_file(const Path& path, int flags, mode_t mode = 0) {
  return Descriptor(retry([&] { return ::open(path.c_str(), flags | O_CLOEXEC, mode); }));
}

/// 0, or the errno. `written` tells how far it came.
int write_all(int descriptor, std::string_view content, std::size_t& written) {
  for (written = 0; written < content.size();) {
    const auto count =
        retry([&] { return ::write(descriptor, content.data() + written, content.size() - written); });
    if (count == -1) return errno;
    written += static_cast<std::size_t>(count);
  }
  return 0;
}

/// fsync fails once and then forgets: it is never repeated, and its error is never swallowed.
Status sync_opened(const Path& path, int flags) {
  const Descriptor file = open_file(path, flags);
  if (!file.valid()) return system_error("open", path, errno);
  if (::fsync(file.get()) != 0) return system_error("fsync", path, errno);
  return {};
}

/// Removes what `directory` holds, by descriptors: a link that somebody puts in the way is removed, not
/// followed. 0, or the errno with the path in `culprit`.
int remove_contents(int directory, const Path& path, Path& culprit) {
  DIR* stream = ::fdopendir(directory);
  if (stream == nullptr) {
    const int number = errno;
    ::close(directory);
    culprit = path;
    return number;
  }
  int result = 0;
  while (result == 0) {
    errno = 0;
    const dirent* entry = ::readdir(stream);
    if (entry == nullptr) {
      result = errno;
      if (result != 0) culprit = path;
      break;
    }
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (::unlinkat(::dirfd(stream), entry->d_name, 0) == 0 || errno == ENOENT) continue;
    if (errno == EISDIR || errno == EPERM) {
      const int below =
          ::openat(::dirfd(stream), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
      if (below >= 0) {
        result = remove_contents(below, path / name, culprit);
        if (result != 0) break;
        if (::unlinkat(::dirfd(stream), entry->d_name, AT_REMOVEDIR) == 0 || errno == ENOENT) continue;
      }
    }
    result = errno;
    culprit = path / name;
  }
  ::closedir(stream);
  return result;
}

class RealFileSystem final : public FileSystem {
 public:
  Result<FileInfo> stat(const Path& path) override {
    struct stat found {};
    if (::lstat(path.c_str(), &found) != 0) return system_error("look at", path, errno);
    return FileInfo{.kind = kind_of(found.st_mode),
                    .size_bytes = static_cast<std::uint64_t>(found.st_size),
                    .mtime_ns = found.st_mtim.tv_sec * 1'000'000'000 + found.st_mtim.tv_nsec,
                    .inode = found.st_ino,
                    .mode = found.st_mode & 07777};
  }

  Result<std::vector<DirectoryEntry>> list(const Path& directory) override {
    boost::system::error_code error;
    std::vector<DirectoryEntry> entries;
    boost::filesystem::directory_iterator entry(directory.c_str(), error);
    for (; !error && entry != boost::filesystem::directory_iterator(); entry.increment(error)) {
      boost::system::error_code gone;
      const auto type = entry->symlink_status(gone).type();
      if (type == boost::filesystem::file_not_found) continue;
      entries.push_back({entry->path().filename().string(), kind_of(type)});
    }
    if (error) return system_error("list", directory, error.value());
    std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    return entries;
  }

  Result<std::string> read(const Path& path, std::uint64_t limit_bytes) override {
    const Descriptor file = open_file(path, O_RDONLY);
    if (!file.valid()) return system_error("open", path, errno);
    std::string content;
    constexpr std::size_t kStep = 256U << 10;
    while (true) {
      const std::size_t before = content.size();
      content.resize(before + kStep);
      const auto count = retry([&] { return ::read(file.get(), content.data() + before, kStep); });
      if (count == -1) return system_error("read", path, errno);
      content.resize(before + static_cast<std::size_t>(count));
      if (content.size() > limit_bytes) return file_too_large(path, limit_bytes);
      if (count == 0) return content;
    }
  }

  Result<std::size_t> read_at(const Path& path, std::uint64_t offset, std::span<char> buffer) override {
    const Descriptor file = open_file(path, O_RDONLY);
    if (!file.valid()) return system_error("open", path, errno);
    std::size_t done = 0;
    while (done < buffer.size()) {
      const auto count = retry([&] {
        return ::pread(file.get(), buffer.data() + done, buffer.size() - done,
                       static_cast<off_t>(offset + done));
      });
      if (count == -1) return system_error("read", path, errno);
      if (count == 0) break;
      done += static_cast<std::size_t>(count);
    }
    return done;
  }

  Result<std::string> read_link(const Path& path) override {
    std::string target(4096, '\0');
    const auto count = ::readlink(path.c_str(), target.data(), target.size());
    if (count == -1) return system_error("read the link", path, errno);
    target.resize(static_cast<std::size_t>(count));
    return target;
  }

  Status create_directories(const Path& path) override {
    if (::mkdir(path.c_str(), kDirectoryMode) == 0) return {};
    if (errno == ENOENT && path.has_relative_path() && path.has_parent_path() && path.parent_path() != path) {
      TRY(create_directories(path.parent_path()));
      if (::mkdir(path.c_str(), kDirectoryMode) == 0) return {};
    }
    const int number = errno;
    struct stat found {};
    if (number == EEXIST && ::stat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode)) return {};
    return system_error("create the directory", path, number);
  }

  Status create_symlink(const Path& target, const Path& link) override {
    if (::symlink(target.c_str(), link.c_str()) != 0) return system_error("create the link", link, errno);
    return {};
  }

  Status set_mode(const Path& path, std::uint32_t mode) override {
    // fchmodat refuses AT_SYMLINK_NOFOLLOW before Linux 6.6 and glibc 2.39; a descriptor does not follow
    // either.
    const Descriptor file = open_file(path, O_PATH | O_NOFOLLOW);
    const std::string name = "/proc/self/fd/" + std::to_string(file.get());
    if (!file.valid() || ::chmod(name.c_str(), mode) != 0)
      return system_error("set the mode of", path, errno);
    return {};
  }

  Status write(const Path& path, std::string_view content) override {
    Descriptor file = open_file(path, O_WRONLY | O_CREAT | O_TRUNC, kFileMode);
    if (!file.valid()) return system_error("create", path, errno);
    std::size_t written = 0;
    if (const int number = write_all(file.get(), content, written))
      return system_error("write", path, number);
    if (const int number = file.reset()) return system_error("write", path, number);
    return {};
  }

  Status append_durably(const Path& path, std::string_view content) override {
    bool created = false;
    Descriptor file = open_file(path, O_WRONLY | O_APPEND);
    if (!file.valid() && errno == ENOENT) {
      file = open_file(path, O_WRONLY | O_APPEND | O_CREAT, kFileMode);
      created = true;
    }
    if (!file.valid()) return system_error("open", path, errno);
    // What a full disk left of it stays: cutting it off could cut off what another process appended
    // meanwhile.
    std::size_t written = 0;
    if (const int number = write_all(file.get(), content, written))
      return system_error("append to", path, number);
    if (::fsync(file.get()) != 0) return system_error("fsync", path, errno);
    if (created) return sync_directory(path.has_parent_path() ? path.parent_path() : ".");
    return {};
  }

  Status rename(const Path& from, const Path& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) {
      return system_error("rename '" + from.string() + "' to", to, errno);
    }
    return {};
  }

  Status remove(const Path& path) override {
    if (std::remove(path.c_str()) != 0) return system_error("remove", path, errno);
    return {};
  }

  Status remove_tree(const Path& path) override {
    if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
    if (errno != EISDIR && errno != EPERM) return system_error("remove", path, errno);
    const int directory = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (directory < 0) return system_error("remove", path, errno);
    Path culprit;
    if (const int number = remove_contents(directory, path, culprit))
      return system_error("remove", culprit, number);
    if (::rmdir(path.c_str()) != 0 && errno != ENOENT) return system_error("remove", path, errno);
    return {};
  }

  Status sync_file(const Path& path) override { return sync_opened(path, O_RDONLY); }
  Status sync_directory(const Path& path) override { return sync_opened(path, O_RDONLY | O_DIRECTORY); }

  Status sync_file_system(const Path& path) override {
    const Descriptor file = open_file(path, O_RDONLY);
    if (!file.valid()) return system_error("open", path, errno);
    if (::syncfs(file.get()) != 0) return system_error("sync the file system of", path, errno);
    return {};
  }

  Status copy_file(const Path& from, const Path& to) override {
    const Descriptor source = open_file(from, O_RDONLY);
    if (!source.valid()) return system_error("open", from, errno);
    struct stat found {};
    if (::fstat(source.get(), &found) != 0) return system_error("look at", from, errno);
    // An existing `to` may be a link, or the same file: its bytes are never written over, its name is taken.
    Path written = to;
    Descriptor target = open_file(written, O_WRONLY | O_CREAT | O_EXCL, kFileMode);
    if (!target.valid() && errno == EEXIST) {
      written += ".copy";
      ::unlink(written.c_str());
      target = open_file(written, O_WRONLY | O_CREAT | O_EXCL, kFileMode);
    }
    if (!target.valid()) return system_error("create", written, errno);
    int number = copy_bytes(source.get(), target.get(), static_cast<std::uint64_t>(found.st_size));
    if (number == 0 && ::fchmod(target.get(), found.st_mode & 07777) != 0) number = errno;
    if (const int closed = target.reset(); number == 0) number = closed;
    if (number == 0 && written != to && ::rename(written.c_str(), to.c_str()) != 0) number = errno;
    if (number == 0) return {};
    ::unlink(written.c_str());
    return system_error("copy '" + from.string() + "' to", to, number);
  }

  Result<DiskSpace> space(const Path& path) override {
    boost::system::error_code error;
    const auto found = boost::filesystem::space(path.c_str(), error);
    if (error) return system_error("ask for the free space of", path, error.value());
    return DiskSpace{.total_bytes = found.capacity, .available_bytes = found.available};
  }
};

}  // namespace

FileSystem& real_file_system() {
  static RealFileSystem files;
  return files;
}

}  // namespace walback
