#include "catalog/archive.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.h"

namespace walback {
namespace {

/// What may lie in the directory before the identity does: a crash of create_archive left it, a lock was
/// taken first, or the directory is a file system's root.
bool may_precede_identity(std::string_view name) {
  constexpr std::array<std::string_view, 3> names{"walback-archive.json.tmp", "locks", "lost+found"};
  return std::ranges::find(names, name) != names.end();
}

Status refuse_foreign_content(FileSystem& files, const ArchiveLayout& layout) {
  for (const DirectoryEntry& entry : TRY(files.list(layout.root))) {
    if (may_precede_identity(entry.name)) continue;
    return fail(
        ErrorKind::conflict,
        fmt::format("{} is not empty (it holds '{}') and is no archive", layout.root.string(), entry.name),
        "Name an empty directory, or one that does not exist yet.");
  }
  return {};
}

Status refuse_other_cluster(const ArchiveIdentity& found, const ArchiveIdentity& expected,
                            const ArchiveLayout& layout) {
  if (found == expected) return {};
  if (found.system_identifier != expected.system_identifier) {
    return fail(
        ErrorKind::foreign_system,
        fmt::format("the archive {} belongs to system identifier {}, the primary has {}",
                    layout.root.string(), found.system_identifier, expected.system_identifier),
        "Was the primary initialised anew, or the connection string changed? An archive never mixes two "
        "clusters: give this one another directory.");
  }
  return fail(ErrorKind::foreign_system,
              fmt::format("the archive {} holds segments of {}, the primary writes segments of {}",
                          layout.root.string(), render_bytes(found.segment_size.bytes()),
                          render_bytes(expected.segment_size.bytes())),
              "pg_resetwal --wal-segsize was run: its WAL does not continue what is here. Give it another "
              "directory.");
}

/// How many directories of this path are not there yet.
int missing_levels(FileSystem& files, const Path& path) {
  if (exists(files, path) || !path.has_relative_path()) return 0;
  return 1 + missing_levels(files, path.parent_path());
}

/// The directories above the archive may be new as well: those that we made (the lowest `made`) must be
/// durable, those that a killed call before us may have made as far as we may open them.
Status sync_ancestors(FileSystem& files, const Path& path, int made) {
  TRY(files.sync_directory(path.parent_path()));
  for (Path above = path.parent_path(); above.has_relative_path(); above = above.parent_path()) {
    const Status synced = files.sync_directory(above.parent_path());
    if (!synced && --made > 0) return synced;
    if (!synced) break;
  }
  return {};
}

Status create_directory_durably(FileSystem& files, const Path& path) {
  TRY(files.create_directories(path));
  return files.sync_directory(path.parent_path());
}

}  // namespace

Result<ArchiveIdentity> read_archive_identity(FileSystem& files, const ArchiveLayout& layout) {
  const auto text = files.read(layout.identity());
  if (!text && text.error().kind == ErrorKind::not_found) {
    return fail(ErrorKind::not_found, fmt::format("there is no archive in {}", layout.root.string()),
                "Run `walback init` to make one, or correct `archive:` in walback.yaml.");
  }
  if (!text) return tl::unexpected(text.error());
  return parse_archive_identity(*text, layout.identity().string());
}

Status create_archive(FileSystem& files, const ArchiveLayout& layout, const ArchiveIdentity& identity) {
  const int made = missing_levels(files, layout.root);
  TRY(files.create_directories(layout.root));
  const auto found = read_archive_identity(files, layout);
  if (found) {
    TRY(refuse_other_cluster(*found, identity, layout));
  } else if (found.error().kind == ErrorKind::not_found) {
    TRY(refuse_foreign_content(files, layout));
    TRY(files.set_mode(layout.root, 0700));  // it will hold every row of the cluster
    TRY(sync_ancestors(files, layout.root, made));
    TRY(publish(files, layout.identity(), to_text(identity)));
  } else {
    return tl::unexpected(found.error());
  }
  TRY(create_directory_durably(files, layout.wal()));
  TRY(create_directory_durably(files, layout.backups()));
  TRY(create_directory_durably(files, layout.lock("any").parent_path()));
  // A later epoch means that the first one is history; it may have been removed by retention.
  if (TRY(list_epochs(files, layout)).numbers.empty()) TRY(files.create_directories(layout.epoch(1)));
  // Also where it is there already: who made it may have been killed before this.
  return files.sync_directory(layout.wal());
}

Result<EpochList> list_epochs(FileSystem& files, const ArchiveLayout& layout) {
  EpochList epochs;
  for (const DirectoryEntry& entry : TRY(files.list(layout.wal()))) {
    const auto number = parse_decimal(entry.name);
    const bool valid = entry.kind == FileKind::directory && number && *number >= 1 && *number <= UINT32_MAX &&
                       layout.epoch(static_cast<std::uint32_t>(*number)).filename() == entry.name;
    if (valid) {
      epochs.numbers.push_back(static_cast<std::uint32_t>(*number));
    } else {
      epochs.unknown.push_back(entry.name);
    }
  }
  std::ranges::sort(epochs.numbers);  // by name, 10000 stands before 9999
  return epochs;
}

}  // namespace walback
