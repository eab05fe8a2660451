#include "capture/epochs.h"

#include <fmt/format.h>

#include <algorithm>

#include "catalog/archive.h"
#include "catalog/journal.h"
#include "os/crash_point.h"

namespace walback {
namespace {

/// Segments and `.partial` files make an epoch; a history file alone, which pg_receivewal fetches first, does
/// not tell it where to go on.
Result<bool> holds_segments(FileSystem& files, const Path& epoch, SegmentSize size) {
  for (const DirectoryEntry& entry : TRY(files.list(epoch))) {
    const auto name = parse_wal_file_name(entry.name, size);
    if (name && name->kind != WalFileKind::history) return true;
  }
  return false;
}

}  // namespace

Result<std::uint32_t> open_newest_epoch(FileSystem& files, const ArchiveLayout& archive) {
  TRY(files.create_directories(archive.wal()));
  const auto epochs = TRY(list_epochs(files, archive)).numbers;
  const std::uint32_t newest = epochs.empty() ? 1U : epochs.back();
  if (epochs.empty()) TRY(files.create_directories(archive.epoch(newest)));
  // Also of one that is there: whoever made it may have been killed before its name was durable, and every
  // acknowledged byte will lie in it.
  TRY(files.sync_directory(archive.wal()));
  TRY(files.sync_directory(archive.root));
  return newest;
}

Result<std::uint32_t> open_epoch(FileSystem& files, const ArchiveLayout& archive, Timestamp at,
                                 const std::string& reason) {
  const SegmentSize size = TRY(read_archive_identity(files, archive)).segment_size;
  const std::uint32_t newest = TRY(open_newest_epoch(files, archive));
  const std::uint32_t epoch = TRY(holds_segments(files, archive.epoch(newest), size)) ? newest + 1 : newest;
  TRY(append_journal(files, archive.journal(), epoch_opened_entry(at, epoch, reason)));
  crash_point("epoch.recorded");
  TRY(files.create_directories(archive.epoch(epoch)));
  TRY(files.sync_directory(archive.wal()));
  return epoch;
}

Result<std::optional<std::string>> reason_for_new_epoch(const ResumePoint& resume,
                                                        const TimelineHistory& server) {
  if (resume.timeline == server.timeline) return std::optional<std::string>{};
  const auto left = std::ranges::find(server.entries, resume.timeline, &TimelineHistory::Entry::timeline);
  if (left == server.entries.end()) {
    return fail(ErrorKind::conflict,
                fmt::format("the newest epoch ends on timeline {}, which is not among those of the primary "
                            "(timeline {})",
                            resume.timeline.value, server.timeline.value),
                "Was the archive's newest directory under wal/ changed by hand? Compare it with the server's "
                "history files.");
  }
  if (resume.lsn <= left->switch_lsn) return std::optional<std::string>{};
  return std::optional{
      fmt::format("the primary's history left timeline {} at {}, before {}, up to where it "
                  "was captured",
                  resume.timeline.value, to_string(left->switch_lsn), to_string(resume.lsn))};
}

}  // namespace walback
