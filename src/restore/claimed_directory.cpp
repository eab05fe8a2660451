#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "restore/restored_tablespace.h"

namespace walback {
namespace {

constexpr const char* kMark = "walback-tablespaces.json";

struct Claim {
  Path cluster;
  Path made_from;  ///< the topmost directory that was made with it; empty: it was there
};

std::optional<Claim> claim_in(FileSystem& files, const Path& directory) {
  const auto text = files.read(directory / kMark);
  const auto json = text ? parse_json(*text, kMark) : Result<Json>(tl::unexpected(text.error()));
  const auto cluster = json ? member<std::string>(*json, "cluster") : std::nullopt;
  if (!cluster) return std::nullopt;
  return Claim{*cluster, member<std::string>(*json, "made_from").value_or("")};
}

Status write_claim(FileSystem& files, const Path& directory, const Claim& claim) {
  return publish(
      files, directory / kMark,
      to_text(Json{{"cluster", claim.cluster.string()}, {"made_from", claim.made_from.string()}}) + "\n");
}

/// Where it grows, until its mark is in it.
Path growing(const Path& directory) {
  return directory.string() + ".walback";
}

Path topmost_missing(FileSystem& files, Path directory) {
  while (directory.has_relative_path() && !exists(files, directory.parent_path()))
    directory = directory.parent_path();
  return directory;
}

/// The mark last: what a crash leaves is still known as ours.
Status remove_claimed(FileSystem& files, const Path& directory) {
  for (const DirectoryEntry& entry : TRY(files.list(directory))) {
    if (entry.name != kMark) TRY(files.remove_tree(directory / entry.name));
  }
  return files.remove_tree(directory);
}

/// Up to the topmost one that was made; one in which there is something else by now ends it.
void remove_made_parents(FileSystem& files, const Path& directory, const Path& made_from) {
  for (Path at = directory; at != made_from && at.has_relative_path();) {
    at = at.parent_path();
    if (!files.remove(at)) return;
  }
}

}  // namespace

std::vector<Path> claimed_directories(const std::vector<RestoredTablespace>& tablespaces) {
  std::vector<Path> directories;
  for (const RestoredTablespace& tablespace : tablespaces) {
    directories.push_back(tablespace.created_at ? tablespace.directory : tablespace.directory.parent_path());
  }
  std::ranges::sort(directories);
  const auto [first, last] = std::ranges::unique(directories);
  directories.erase(first, last);
  return directories;
}

Status claim_directory(FileSystem& files, const Path& directory, const Path& cluster) {
  if (exists(files, directory)) {
    const auto entries = TRY(files.list(directory));
    if (entries.empty()) return write_claim(files, directory, {cluster, {}});
    return fail(ErrorKind::conflict,
                fmt::format("directory '{}' is not empty: found '{}', expected nothing", directory.string(),
                            entries.front().name),
                "Somebody began to use it meanwhile; nothing of it was touched.");
  }
  const Claim claim{cluster, topmost_missing(files, directory)};
  const Path temporary = growing(directory);
  if (const Status made = files.create_directories(temporary); !made) {
    return fail(made.error().kind == ErrorKind::internal ? ErrorKind::conflict : made.error().kind,
                fmt::format("a tablespace goes to '{}': {}", directory.string(), made.error().message),
                "Make its parent directory for the user that runs walback, but not that directory itself: "
                "what is there counts as the primary's.");
  }
  TRY(write_claim(files, temporary, claim));
  TRY(files.rename(temporary, directory));
  return files.sync_directory(directory.parent_path());
}

std::optional<Path> claimant(FileSystem& files, const Path& directory) {
  const auto claim = claim_in(files, directory);
  return claim ? std::optional(claim->cluster) : std::nullopt;
}

Status release_directory(FileSystem& files, const Path& directory, const Path& cluster) {
  // What a crash left before the mark was in it holds nothing but, perhaps, the mark.
  if (const auto unfinished = files.list(growing(directory))) {
    if (unfinished->empty() || claimant(files, growing(directory)) == cluster)
      TRY(files.remove_tree(growing(directory)));
  }
  const auto claim = claim_in(files, directory);
  if (!claim || claim->cluster != cluster) return {};
  TRY(remove_claimed(files, directory));
  if (!claim->made_from.empty()) remove_made_parents(files, directory, claim->made_from);
  return {};
}

}  // namespace walback
