#include "archive/wal_directory.h"

#include <algorithm>

namespace walback {
namespace {

/// pg_receivewal and we write these names besides; neither is news.
bool is_expected_extra(std::string_view name) {
  return name.starts_with(".") || name.ends_with(".tmp");
}

Result<std::optional<FoundSegment>> find_as(FileSystem& files, SegmentFile file) {
  auto info = files.stat(file.path);
  if (!info && info.error().kind == ErrorKind::not_found) return std::optional<FoundSegment>{};
  return std::optional<FoundSegment>{{std::move(file), TRY(std::move(info))}};
}

}  // namespace

SegmentFile segment_file(const ArchiveLayout& layout, std::uint32_t epoch, SegmentName name, bool partial,
                         SegmentSize size) {
  return {name, epoch, partial,
          layout.epoch(epoch) / (partial ? partial_file_name(name, size) : file_name(name, size))};
}

Result<EpochFiles> list_epoch(FileSystem& files, const ArchiveLayout& layout, std::uint32_t epoch,
                              SegmentSize size) {
  EpochFiles found{.epoch = epoch, .segments = {}, .histories = {}, .leftovers = {}, .unknown = {}};
  for (const DirectoryEntry& entry : TRY(files.list(layout.epoch(epoch)))) {
    const auto name = parse_wal_file_name(entry.name, size);
    if (!name || entry.kind != FileKind::regular) {
      if (!is_expected_extra(entry.name)) found.unknown.push_back(entry.name);
    } else if (name->kind == WalFileKind::history) {
      found.histories.push_back(name->timeline);
    } else {
      const bool partial = name->kind == WalFileKind::partial;
      found.segments.push_back(segment_file(layout, epoch, {name->timeline, name->number}, partial, size));
    }
  }
  std::ranges::sort(found.histories);
  std::ranges::sort(found.segments, [](const SegmentFile& a, const SegmentFile& b) {
    return a.name != b.name ? a.name < b.name : a.partial < b.partial;
  });
  std::vector<SegmentFile> single;
  for (SegmentFile& file : found.segments) {
    if (!single.empty() && single.back().name == file.name)
      found.leftovers.push_back(file.path.filename().string());
    else
      single.push_back(std::move(file));
  }
  found.segments = std::move(single);
  return found;
}

Result<std::optional<FoundSegment>> find_segment(FileSystem& files, const ArchiveLayout& layout,
                                                 std::uint32_t epoch, SegmentName name, SegmentSize size) {
  // The rename goes from partial to finished, so finished is asked for last again.
  for (const bool partial : {false, true, false})
    if (auto found = TRY(find_as(files, segment_file(layout, epoch, name, partial, size)))) return found;
  return std::optional<FoundSegment>{};
}

}  // namespace walback
