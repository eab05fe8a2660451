#pragma once
#include <optional>
#include <vector>

#include "base/result.h"
#include "catalog/archive_layout.h"
#include "os/file_system.h"
#include "wal/timeline_history.h"

/// What the archive holds, by the names of the files under wal/ alone: a server is held against it before it
/// is followed, with or without a catalog.
namespace walback {

/// Where pg_receivewal goes on in an epoch: behind the newest finished segment, or at the start of the newest
/// `.partial`; as pg_receivewal itself ranks them, by number, then by timeline. Everything before it is on
/// the disk for good: pg_receivewal renames a segment only when it is synced.
struct ResumePoint {
  TimelineId timeline;
  Lsn lsn;
  bool operator==(const ResumePoint&) const = default;
};
/// Nothing for an epoch without segments: pg_receivewal begins at the slot's restart LSN.
[[nodiscard]] std::optional<ResumePoint> resume_point(const std::vector<DirectoryEntry>& entries,
                                                      SegmentSize size);
/// Of the newest epoch that holds segments.
[[nodiscard]] Result<std::optional<ResumePoint>> newest_resume_point(FileSystem& files,
                                                                     const ArchiveLayout& archive);

/// The path to the newest timeline of which the archive holds WAL. Nothing: no WAL yet. Without entries,
/// above timeline 1: its history file is not in the archive, or cannot be read as one.
[[nodiscard]] Result<std::optional<TimelineHistory>> newest_history(FileSystem& files,
                                                                    const ArchiveLayout& archive);

}  // namespace walback
