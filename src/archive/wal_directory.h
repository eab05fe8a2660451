#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "catalog/archive_layout.h"
#include "os/file_system.h"
#include "wal/segment_name.h"

namespace walback {

/// A segment's file as pg_receivewal keeps it: the bare name is finished, `.partial` still grows.
struct SegmentFile {
  SegmentName name;
  std::uint32_t epoch = 1;
  bool partial = false;
  Path path;
};

/// What lies in one epoch's directory, by name alone.
struct EpochFiles {
  std::uint32_t epoch = 1;
  std::vector<SegmentFile>
      segments;  ///< in (timeline, number) order, one each: the finished before the partial
  std::vector<TimelineId> histories;   ///< ascending
  std::vector<std::string> leftovers;  ///< a `.partial` beside its finished segment
  std::vector<std::string> unknown;    ///< names that pg_receivewal does not write
};

[[nodiscard]] SegmentFile segment_file(const ArchiveLayout& layout, std::uint32_t epoch, SegmentName name,
                                       bool partial, SegmentSize size);
[[nodiscard]] Result<EpochFiles> list_epoch(FileSystem& files, const ArchiveLayout& layout,
                                            std::uint32_t epoch, SegmentSize size);

/// The file under either of its names, asked for by name: a listing that runs beside a rename may miss both.
/// Nothing: it is not there.
struct FoundSegment {
  SegmentFile file;
  FileInfo info;
};
[[nodiscard]] Result<std::optional<FoundSegment>> find_segment(FileSystem& files, const ArchiveLayout& layout,
                                                               std::uint32_t epoch, SegmentName name,
                                                               SegmentSize size);

}  // namespace walback
