#include "support/faulty_file_system.h"

namespace walback {
namespace {

std::string describe(std::string_view operation, const Path& path) {
  return std::string(operation) + " " + path.string();
}

}  // namespace

void FaultyFileSystem::fail_at(std::string operation, std::string path_end, Error error, int nth) {
  const std::lock_guard lock(mutex_);
  faults_.push_back({std::move(operation), std::move(path_end), nth, std::move(error), false});
}

void FaultyFileSystem::kill_at(std::string operation, std::string path_end, int nth, bool half) {
  const std::lock_guard lock(mutex_);
  faults_.push_back({std::move(operation), std::move(path_end), nth, std::nullopt, half});
}

void FaultyFileSystem::heal() {
  const std::lock_guard lock(mutex_);
  faults_.clear();
}

std::vector<std::string> FaultyFileSystem::changes() const {
  const std::lock_guard lock(mutex_);
  return changes_;
}

std::optional<FaultyFileSystem::Fault> FaultyFileSystem::meet(std::string_view operation, const Path& path,
                                                              bool change) {
  const std::lock_guard lock(mutex_);
  if (dead_) return Fault{"", "", 0, Error{ErrorKind::interrupted, "the process is dead", ""}, false};
  if (change) changes_.push_back(describe(operation, path));
  for (auto fault = faults_.begin(); fault != faults_.end(); ++fault) {
    const bool named = fault->operation == operation || (change && fault->operation == "*");
    if (!named || !path.string().ends_with(fault->path_end) || --fault->calls_left > 0) continue;
    Fault met = *fault;
    dead_ = stays_dead_ && !met.error;
    faults_.erase(fault);
    return met;
  }
  return std::nullopt;
}

Status FaultyFileSystem::pass(std::string_view operation, const Path& path) {
  const auto fault = meet(operation, path, true);
  if (!fault) return {};
  if (!fault->error) throw Killed{describe(operation, path)};
  return tl::unexpected<Error>(*fault->error);
}

Status FaultyFileSystem::look(std::string_view operation, const Path& path) {
  const auto fault = meet(operation, path, false);
  if (!fault) return {};
  if (!fault->error) throw Killed{describe(operation, path)};
  return tl::unexpected<Error>(*fault->error);
}

Result<FileInfo> FaultyFileSystem::stat(const Path& path) {
  TRY(look("stat", path));
  return files_.stat(path);
}
Result<std::vector<DirectoryEntry>> FaultyFileSystem::list(const Path& directory) {
  TRY(look("list", directory));
  return files_.list(directory);
}
Result<std::string> FaultyFileSystem::read(const Path& path, std::uint64_t limit_bytes) {
  TRY(look("read", path));
  return files_.read(path, limit_bytes);
}
Result<std::size_t> FaultyFileSystem::read_at(const Path& path, std::uint64_t offset,
                                              std::span<char> buffer) {
  TRY(look("read_at", path));
  return files_.read_at(path, offset, buffer);
}
Result<std::string> FaultyFileSystem::read_link(const Path& path) {
  TRY(look("read_link", path));
  return files_.read_link(path);
}
Status FaultyFileSystem::create_directories(const Path& path) {
  TRY(pass("create_directories", path));
  return files_.create_directories(path);
}
Status FaultyFileSystem::create_symlink(const Path& target, const Path& link) {
  TRY(pass("create_symlink", link));
  return files_.create_symlink(target, link);
}
Status FaultyFileSystem::set_mode(const Path& path, std::uint32_t mode) {
  TRY(pass("set_mode", path));
  return files_.set_mode(path, mode);
}
Status FaultyFileSystem::write(const Path& path, std::string_view content) {
  if (const auto fault = meet("write", path, true)) {
    if (fault->error) return tl::unexpected<Error>(*fault->error);
    if (fault->half) static_cast<void>(files_.write(path, content.substr(0, content.size() / 2)));
    throw Killed{describe("write", path)};
  }
  return files_.write(path, content);
}
Status FaultyFileSystem::append_durably(const Path& path, std::string_view content) {
  if (const auto fault = meet("append_durably", path, true)) {
    if (fault->error) return tl::unexpected<Error>(*fault->error);
    if (fault->half) static_cast<void>(files_.append_durably(path, content.substr(0, content.size() / 2)));
    throw Killed{describe("append_durably", path)};
  }
  return files_.append_durably(path, content);
}
Status FaultyFileSystem::rename(const Path& from, const Path& to) {
  TRY(pass("rename", to));
  return files_.rename(from, to);
}
Status FaultyFileSystem::remove(const Path& path) {
  TRY(pass("remove", path));
  return files_.remove(path);
}
Status FaultyFileSystem::remove_tree(const Path& path) {
  TRY(pass("remove_tree", path));
  return files_.remove_tree(path);
}
Status FaultyFileSystem::sync_file(const Path& path) {
  TRY(pass("sync_file", path));
  return files_.sync_file(path);
}
Status FaultyFileSystem::sync_directory(const Path& path) {
  TRY(pass("sync_directory", path));
  return files_.sync_directory(path);
}
Status FaultyFileSystem::sync_file_system(const Path& path) {
  TRY(pass("sync_file_system", path));
  return files_.sync_file_system(path);
}
Status FaultyFileSystem::copy_file(const Path& from, const Path& to) {
  TRY(pass("copy_file", to));
  return files_.copy_file(from, to);
}
Result<DiskSpace> FaultyFileSystem::space(const Path& path) {
  TRY(look("space", path));
  return files_.space(path);
}

}  // namespace walback
