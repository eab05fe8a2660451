#include "catalog/held_wal.h"

#include <algorithm>
#include <tuple>
#include <vector>

#include "catalog/archive.h"

namespace walback {
namespace {

/// The newest epoch's wins: pg_receivewal fetched it last.
TimelineHistory history_of(FileSystem& files, const ArchiveLayout& archive,
                           const std::vector<std::uint32_t>& epochs, TimelineId timeline) {
  for (auto epoch = epochs.rbegin(); epoch != epochs.rend(); ++epoch) {
    const auto text = files.read(archive.epoch(*epoch) / history_file_name(timeline));
    if (!text) continue;
    if (auto history = parse_timeline_history(timeline, *text)) return std::move(*history);
  }
  return {timeline, {}};
}

}  // namespace

std::optional<ResumePoint> resume_point(const std::vector<DirectoryEntry>& entries, SegmentSize size) {
  std::optional<WalFileName> newest;
  for (const auto& entry : entries) {
    const auto name = parse_wal_file_name(entry.name, size);
    if (!name || name->kind == WalFileKind::history) continue;
    const auto rank = [](const WalFileName& file) {
      return std::tuple(file.number, file.timeline, file.kind == WalFileKind::segment);
    };
    if (!newest || rank(*newest) < rank(*name)) newest = name;
  }
  if (!newest) return std::nullopt;
  const Lsn start = start_of(newest->number, size);
  return ResumePoint{newest->timeline, newest->kind == WalFileKind::segment ? start + size.bytes() : start};
}

Result<std::optional<ResumePoint>> newest_resume_point(FileSystem& files, const ArchiveLayout& archive) {
  const SegmentSize size = TRY(read_archive_identity(files, archive)).segment_size;
  const auto epochs = TRY(list_epochs(files, archive)).numbers;
  for (auto epoch = epochs.rbegin(); epoch != epochs.rend(); ++epoch)
    if (auto point = resume_point(TRY(files.list(archive.epoch(*epoch))), size)) return std::optional{*point};
  return std::optional<ResumePoint>{};
}

Result<std::optional<TimelineHistory>> newest_history(FileSystem& files, const ArchiveLayout& archive) {
  const SegmentSize size = TRY(read_archive_identity(files, archive)).segment_size;
  const auto epochs = TRY(list_epochs(files, archive)).numbers;
  TimelineId newest;
  for (const std::uint32_t epoch : epochs) {
    for (const DirectoryEntry& entry : TRY(files.list(archive.epoch(epoch)))) {
      const auto name = parse_wal_file_name(entry.name, size);
      if (name && name->kind != WalFileKind::history) newest = std::max(newest, name->timeline);
    }
  }
  if (newest.value == 0) return std::optional<TimelineHistory>{};
  return std::optional{history_of(files, archive, epochs, newest)};
}

}  // namespace walback
