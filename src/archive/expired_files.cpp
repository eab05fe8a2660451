#include "archive/expired_files.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <vector>

#include "archive/wal_directory.h"
#include "base/text.h"
#include "catalog/archive.h"
#include "os/crash_point.h"

namespace walback {
namespace {

struct SegmentOnDisk {
  SegmentName name;
  Path path;
};

/// As pg_receivewal looks for the place where it left off.
bool lies_further(const SegmentName& a, const SegmentName& b) {
  return std::tie(a.number, a.timeline) > std::tie(b.number, b.timeline);
}

/// Under both names, and both where both are there.
Result<std::vector<SegmentOnDisk>> segments_on_disk(const ArchiveContext& archive, std::uint32_t epoch) {
  std::vector<SegmentOnDisk> found;
  const Path directory = archive.layout.epoch(epoch);
  for (const DirectoryEntry& entry : TRY(archive.files.list(directory))) {
    const auto name = parse_wal_file_name(entry.name, archive.identity.segment_size);
    if (!name || entry.kind != FileKind::regular || name->kind == WalFileKind::history) continue;
    found.push_back({{name->timeline, name->number}, directory / entry.name});
  }
  return found;
}

std::vector<SegmentOnDisk> to_remove(std::vector<SegmentOnDisk> all, const std::vector<ExpiredWal>& expired,
                                     bool current) {
  std::optional<SegmentName> furthest;
  for (const SegmentOnDisk& segment : all)
    if (current && (!furthest || lies_further(segment.name, *furthest))) furthest = segment.name;
  std::erase_if(all, [&](const SegmentOnDisk& segment) {
    return segment.name == furthest || !has_expired(expired, segment.name);
  });
  return all;
}

}  // namespace

Result<ExpiredFiles> remove_expired_segments(const ArchiveContext& archive, const Catalog& catalog,
                                             Progress& progress, std::stop_token stop) {
  const std::vector<ExpiredWal> expired = TRY(catalog.expired_wal());
  const std::vector<std::uint32_t> epochs = TRY(list_epochs(archive.files, archive.layout)).numbers;
  ExpiredFiles removed;
  for (const std::uint32_t epoch : epochs) {
    const bool current = epoch == epochs.back();
    const auto segments = to_remove(TRY(segments_on_disk(archive, epoch)), expired, current);
    for (const SegmentOnDisk& segment : segments) {
      if (stop.stop_requested())
        return fail(ErrorKind::interrupted, "stopped while expired WAL was removed",
                    "What was let go stays so: the next `walback expire` removes the rest of its files.");
      const auto info = archive.files.stat(segment.path);
      TRY(archive.files.remove(segment.path));
      crash_point("expire.segment_removed");
      ++removed.files;
      removed.bytes += info ? info->size_bytes : 0;
      progress.report({"removing WAL", removed.bytes, 0, segment.path.filename().string()});
    }
    if (!segments.empty()) TRY(archive.files.sync_directory(archive.layout.epoch(epoch)));
  }
  return removed;
}

}  // namespace walback
