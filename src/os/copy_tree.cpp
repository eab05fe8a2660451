#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "os/file_system.h"

namespace walback {
namespace {

struct File {
  Path relative;
  std::uint64_t size_bytes = 0;
};

struct Directory {
  Path relative;
  std::uint32_t mode = 0;
};

/// One copy_tree: a walk that makes directories and links and notes the files, then workers that copy those.
class TreeCopy {
 public:
  TreeCopy(FileSystem& files, Path from, Path to, const CopyTreeOptions& options)
      : files_(files), from_(std::move(from)), to_(std::move(to)), options_(options) {}

  Status run() {
    TRY(walk({}));
    // Largest first: the last worker to finish then holds a small file, not a big one.
    std::stable_sort(queue_.begin(), queue_.end(),
                     [](const File& a, const File& b) { return a.size_bytes > b.size_bytes; });
    copy_files();
    if (failure_) return tl::unexpected<Error>(*failure_);
    // Deepest first, and only now: a directory may well forbid writing.
    for (auto directory = directories_.rbegin(); directory != directories_.rend(); ++directory) {
      TRY(files_.set_mode(to_ / directory->relative, directory->mode));
    }
    return {};
  }

 private:
  /// `relative` is empty for the root itself; `from_ / ""` would end in a slash.
  static Path below(const Path& root, const Path& relative) {
    return relative.empty() ? root : root / relative;
  }

  Status walk(const Path& relative) {
    if (stopped()) return interrupted();
    const FileInfo info = TRY(files_.stat(below(from_, relative)));
    TRY(files_.create_directories(below(to_, relative)));
    directories_.push_back({relative, info.mode});
    for (const DirectoryEntry& entry : TRY(files_.list(below(from_, relative)))) {
      const Path name = relative / entry.name;
      if (options_.skip && options_.skip(name)) continue;
      if (entry.kind == FileKind::directory) {
        TRY(walk(name));
      } else if (entry.kind == FileKind::symlink) {
        const std::string target = TRY(files_.read_link(from_ / name));
        TRY(files_.create_symlink(target, to_ / name));
      } else if (entry.kind == FileKind::regular) {
        queue_.push_back({name, TRY(files_.stat(from_ / name)).size_bytes});
      }
    }
    return {};
  }

  void copy_files() {
    const std::size_t wanted =
        std::clamp<std::size_t>(options_.threads, 1, std::max<std::size_t>(1, queue_.size()));
    std::vector<std::jthread> workers;
    for (std::size_t i = 1; i < wanted; ++i) workers.emplace_back([this] { work(); });
    work();
  }

  void work() {
    while (!failed_) {
      const std::size_t mine = next_++;
      if (mine >= queue_.size()) return;
      const File& file = queue_[mine];
      const Status copied =
          stopped() ? interrupted() : files_.copy_file(from_ / file.relative, to_ / file.relative);
      if (!copied) {
        const std::lock_guard lock(mutex_);
        if (!failed_.exchange(true)) failure_ = copied.error();
        return;
      }
      if (options_.on_bytes) options_.on_bytes(file.size_bytes);
    }
  }

  [[nodiscard]] bool stopped() const { return options_.stop && options_.stop(); }
  [[nodiscard]] Status interrupted() const {
    return fail(ErrorKind::interrupted, "the copy of '" + from_.string() + "' was stopped before its end");
  }

  FileSystem& files_;
  Path from_, to_;
  const CopyTreeOptions& options_;
  std::vector<File> queue_;
  std::vector<Directory> directories_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<bool> failed_ = false;
  std::mutex mutex_;
  std::optional<Error> failure_;
};

}  // namespace

Status copy_tree(FileSystem& files, const Path& from, const Path& to, const CopyTreeOptions& options) {
  return TreeCopy(files, from, to, options).run();
}

}  // namespace walback
