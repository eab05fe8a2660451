#include "support/memory_file_system.h"

#include <algorithm>
#include <cerrno>
#include <random>

#include "os/system_error.h"

namespace walback {

struct MemoryFileSystem::Node {
  FileKind kind = FileKind::regular;
  std::uint64_t inode = 0;
  std::uint32_t mode = 0;
  std::int64_t mtime_ns = 0;
  std::string content;  ///< of a file; the target of a link
  std::string durable_content;
  Names names;  ///< of a directory
  Names durable_names;

  void settle_content() {
    // A link has no content of its own to sync: it is as durable as its name.
    durable_content = content;
  }
};

namespace {

/// Old, new, or a part of the new, as a disk may have it of a file that nobody synced.
std::string torn(const std::string& durable, const std::string& current, std::mt19937_64& dice) {
  switch (dice() % 4) {
    case 0:
      return durable;
    case 1:
      return current;
    case 2: {
      // The new size is there, and only the first part of its bytes.
      const std::size_t arrived = current.empty() ? 0 : dice() % current.size();
      return current.substr(0, arrived) + std::string(current.size() - arrived, '\0');
    }
    default:
      return current.substr(0, current.empty() ? 0 : dice() % current.size());
  }
}

}  // namespace

MemoryFileSystem::MemoryFileSystem() : root_(make_node(FileKind::directory, 0755)) {}
MemoryFileSystem::~MemoryFileSystem() = default;

MemoryFileSystem::NodePointer MemoryFileSystem::make_node(FileKind kind, std::uint32_t mode) {
  auto node = std::make_shared<Node>();
  node->kind = kind;
  node->mode = mode;
  node->inode = next_inode_++;
  node->mtime_ns = ++time_ns_;
  return node;
}

int MemoryFileSystem::find(const Path& path, Links links, Place& place, int depth) {
  if (depth > 40) return ELOOP;
  NodePointer at = root_;
  place = {root_, "/", root_};
  Path walked = "/";
  const Path relative = path.relative_path();
  for (auto part = relative.begin(); part != relative.end(); ++part) {
    const std::string name = part->string();
    if (name.empty() || name == ".") continue;
    if (!at) return ENOENT;
    if (at->kind != FileKind::directory) return ENOTDIR;
    const auto found = at->names.find(name);
    place = {at, name, found == at->names.end() ? nullptr : found->second};
    at = place.node;
    const bool last = std::next(part) == relative.end();
    if (at && at->kind == FileKind::symlink && (!last || links == Links::follow)) {
      const Path target = Path(at->content).is_absolute() ? Path(at->content) : walked / at->content;
      if (const int number = find(target.lexically_normal(), Links::follow, place, depth + 1)) return number;
      at = place.node;
    }
    walked /= name;
  }
  return 0;
}

int MemoryFileSystem::find_existing(const Path& path, Links links, Place& place) {
  if (const int number = find(path, links, place)) return number;
  return place.node ? 0 : ENOENT;
}

std::uint64_t MemoryFileSystem::bytes_below(const Node& node) {
  std::uint64_t bytes = node.content.size();
  for (const auto& [name, child] : node.names) bytes += bytes_below(*child);
  return bytes;
}

bool MemoryFileSystem::fits(std::uint64_t before, std::uint64_t after) const {
  return after <= before || bytes_below(*root_) - before + after <= capacity_bytes_;
}

Result<FileInfo> MemoryFileSystem::stat(const Path& path) {
  const std::lock_guard lock(mutex_);
  Place place;
  if (const int number = find_existing(path, Links::keep, place))
    return system_error("look at", path, number);
  const Node& node = *place.node;
  return FileInfo{node.kind, node.content.size(), node.mtime_ns, node.inode, node.mode};
}

Result<std::vector<DirectoryEntry>> MemoryFileSystem::list(const Path& directory) {
  const std::lock_guard lock(mutex_);
  Place place;
  int number = find_existing(directory, Links::follow, place);
  if (number == 0 && place.node->kind != FileKind::directory) number = ENOTDIR;
  if (number != 0) return system_error("list", directory, number);
  std::vector<DirectoryEntry> entries;
  for (const auto& [name, node] : place.node->names) entries.push_back({name, node->kind});
  return entries;
}

Result<std::string> MemoryFileSystem::read(const Path& path, std::uint64_t limit_bytes) {
  const std::lock_guard lock(mutex_);
  Place place;
  if (const int number = find_existing(path, Links::follow, place)) return system_error("open", path, number);
  if (place.node->kind == FileKind::directory) return system_error("read", path, EISDIR);
  if (place.node->content.size() > limit_bytes) return file_too_large(path, limit_bytes);
  return place.node->content;
}

Result<std::size_t> MemoryFileSystem::read_at(const Path& path, std::uint64_t offset,
                                              std::span<char> buffer) {
  const std::lock_guard lock(mutex_);
  Place place;
  if (const int number = find_existing(path, Links::follow, place)) return system_error("open", path, number);
  if (place.node->kind == FileKind::directory) return system_error("read", path, EISDIR);
  const std::string& content = place.node->content;
  if (offset >= content.size()) return std::size_t{0};
  return content.copy(buffer.data(), buffer.size(), offset);
}

Result<std::string> MemoryFileSystem::read_link(const Path& path) {
  const std::lock_guard lock(mutex_);
  Place place;
  int number = find_existing(path, Links::keep, place);
  if (number == 0 && place.node->kind != FileKind::symlink) number = EINVAL;
  if (number != 0) return system_error("read the link", path, number);
  return place.node->content;
}

Status MemoryFileSystem::create_directories(const Path& path) {
  const std::lock_guard lock(mutex_);
  Path walked = "/";
  for (const Path& part : path.relative_path()) {
    if (part.empty()) continue;
    walked /= part;
    Place place;
    int number = find(walked, Links::follow, place);
    // Like mkdir: a file at the end is in the way, a file before it is no directory.
    if (number == 0 && place.node && place.node->kind != FileKind::directory) {
      number = walked == path ? EEXIST : ENOTDIR;
    }
    if (number != 0) return system_error("create the directory", path, number);
    if (place.node) continue;
    place.directory->names[place.name] = make_node(FileKind::directory, 0700);
  }
  return {};
}

Status MemoryFileSystem::create_symlink(const Path& target, const Path& link) {
  const std::lock_guard lock(mutex_);
  Place place;
  int number = find(link, Links::keep, place);
  if (number == 0 && place.node) number = EEXIST;
  if (number != 0) return system_error("create the link", link, number);
  auto node = make_node(FileKind::symlink, 0777);
  node->content = node->durable_content = target.string();
  place.directory->names[place.name] = std::move(node);
  return {};
}

Status MemoryFileSystem::set_mode(const Path& path, std::uint32_t mode) {
  const std::lock_guard lock(mutex_);
  Place place;
  int number = find_existing(path, Links::keep, place);
  if (number == 0 && place.node->kind == FileKind::symlink) number = EOPNOTSUPP;
  if (number != 0) return system_error("set the mode of", path, number);
  place.node->mode = mode;
  return {};
}

Status MemoryFileSystem::put(const Path& path, std::string_view content, bool append) {
  Place place;
  int number = find(path, Links::follow, place);
  if (number == 0 && place.node && place.node->kind == FileKind::directory) number = EISDIR;
  if (number != 0) return system_error(append ? "open" : "create", path, number);
  const std::uint64_t before = place.node ? place.node->content.size() : 0;
  const bool room = fits(before, (append ? before : 0) + content.size());
  if (!place.node) place.directory->names[place.name] = place.node = make_node(FileKind::regular, 0600);
  place.node->mtime_ns = ++time_ns_;
  if (!append) place.node->content.clear();
  if (!room) return system_error(append ? "append to" : "write", path, ENOSPC);
  place.node->content += content;
  return {};
}

Status MemoryFileSystem::write(const Path& path, std::string_view content) {
  const std::lock_guard lock(mutex_);
  return put(path, content, false);
}

Status MemoryFileSystem::append_durably(const Path& path, std::string_view content) {
  const std::lock_guard lock(mutex_);
  Place before;
  const bool created = find(path, Links::follow, before) == 0 && !before.node;
  TRY(put(path, content, true));
  Place place;
  find_existing(path, Links::follow, place);
  place.node->settle_content();
  if (created) place.directory->durable_names[place.name] = place.node;
  return {};
}

Status MemoryFileSystem::rename(const Path& from, const Path& to) {
  const std::lock_guard lock(mutex_);
  Place source, target;
  int number = find_existing(from, Links::keep, source);
  if (number == 0) number = find(to, Links::keep, target);
  if (number == 0 && target.node && target.node != source.node) {
    const bool is_directory = source.node->kind == FileKind::directory;
    if (target.node->kind == FileKind::directory) {
      number = !is_directory ? EISDIR : target.node->names.empty() ? 0 : ENOTEMPTY;
    } else if (is_directory) {
      number = ENOTDIR;
    }
  }
  if (number != 0) return system_error("rename '" + from.string() + "' to", to, number);
  if (target.node == source.node) return {};
  source.directory->names.erase(source.name);
  target.directory->names[target.name] = source.node;
  return {};
}

Status MemoryFileSystem::remove(const Path& path) {
  const std::lock_guard lock(mutex_);
  Place place;
  int number = find_existing(path, Links::keep, place);
  if (number == 0 && !place.node->names.empty()) number = ENOTEMPTY;
  if (number != 0) return system_error("remove", path, number);
  place.directory->names.erase(place.name);
  return {};
}

Status MemoryFileSystem::remove_tree(const Path& path) {
  const std::lock_guard lock(mutex_);
  Place place;
  const int number = find(path, Links::keep, place);
  if (number == ENOENT || (number == 0 && !place.node)) return {};
  if (number != 0) return system_error("remove", path, number);
  place.directory->names.erase(place.name);
  return {};
}

Status MemoryFileSystem::sync_file(const Path& path) {
  const std::lock_guard lock(mutex_);
  Place place;
  if (const int number = find_existing(path, Links::follow, place)) return system_error("open", path, number);
  place.node->settle_content();
  return {};
}

Status MemoryFileSystem::sync_directory(const Path& path) {
  const std::lock_guard lock(mutex_);
  Place place;
  int number = find_existing(path, Links::follow, place);
  if (number == 0 && place.node->kind != FileKind::directory) number = ENOTDIR;
  if (number != 0) return system_error("open", path, number);
  place.node->durable_names = place.node->names;
  return {};
}

Status MemoryFileSystem::sync_file_system(const Path& path) {
  {
    const std::lock_guard lock(mutex_);
    Place place;
    if (const int number = find_existing(path, Links::follow, place))
      return system_error("open", path, number);
  }
  settle();
  return {};
}

Status MemoryFileSystem::copy_file(const Path& from, const Path& to) {
  const std::lock_guard lock(mutex_);
  Place source, target;
  if (const int number = find_existing(from, Links::follow, source))
    return system_error("open", from, number);
  int number = find(to, Links::keep, target);
  if (number != 0) return system_error("create", to, number);
  if (target.node && target.node->kind == FileKind::directory) number = EISDIR;
  if (source.node->kind == FileKind::directory) number = EISDIR;
  if (number == 0 && !fits(0, source.node->content.size())) number = ENOSPC;
  if (number != 0) return system_error("copy '" + from.string() + "' to", to, number);
  auto copy = make_node(FileKind::regular, source.node->mode);
  copy->content = source.node->content;
  target.directory->names[target.name] = std::move(copy);
  return {};
}

Result<DiskSpace> MemoryFileSystem::space(const Path& path) {
  const std::lock_guard lock(mutex_);
  Place place;
  if (const int number = find_existing(path, Links::follow, place)) {
    return system_error("ask for the free space of", path, number);
  }
  const std::uint64_t used = bytes_below(*root_);
  return DiskSpace{capacity_bytes_, used < capacity_bytes_ ? capacity_bytes_ - used : 0};
}

void MemoryFileSystem::power_cut() {
  const std::lock_guard lock(mutex_);
  const auto lose = [](auto& self, Node& node) -> void {
    node.content = node.durable_content;
    node.names = node.durable_names;
    for (const auto& [name, child] : node.names) self(self, *child);
  };
  lose(lose, *root_);
}

void MemoryFileSystem::power_cut(std::uint64_t seed) {
  const std::lock_guard lock(mutex_);
  std::mt19937_64 dice(seed);
  const auto gamble = [&dice](auto& self, Node& node) -> void {
    if (node.content != node.durable_content) node.content = torn(node.durable_content, node.content, dice);
    node.durable_content = node.content;
    Names both = node.durable_names;
    both.insert(node.names.begin(), node.names.end());
    for (const auto& [name, ignored] : both) {
      const auto now = node.names.find(name);
      const auto durable = node.durable_names.find(name);
      const Names& winner = dice() % 2 == 0 ? node.names : node.durable_names;
      const bool same =
          now != node.names.end() && durable != node.durable_names.end() && now->second == durable->second;
      const auto kept = winner.find(name);
      if (same || kept != winner.end()) {
        both[name] = same ? now->second : kept->second;
      } else {
        both[name] = nullptr;
      }
    }
    std::erase_if(both, [](const auto& entry) { return entry.second == nullptr; });
    node.names = node.durable_names = both;
    for (const auto& [name, child] : node.names) self(self, *child);
  };
  gamble(gamble, *root_);
}

void MemoryFileSystem::settle() {
  const std::lock_guard lock(mutex_);
  const auto keep = [](auto& self, Node& node) -> void {
    node.settle_content();
    node.durable_names = node.names;
    for (const auto& [name, child] : node.names) self(self, *child);
  };
  keep(keep, *root_);
}

void MemoryFileSystem::set_capacity(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  capacity_bytes_ = bytes;
}

std::vector<std::string> MemoryFileSystem::files() {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> found;
  const auto walk = [&found](auto& self, const Node& node, const Path& path) -> void {
    for (const auto& [name, child] : node.names) {
      if (child->kind == FileKind::regular) found.push_back((path / name).string());
      self(self, *child, path / name);
    }
  };
  walk(walk, *root_, "/");
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace walback
