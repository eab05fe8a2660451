#include "capture/epochs.h"

#include "catalog/archive.h"
#include "catalog/journal.h"

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
  if (!epochs.empty()) return epochs.back();
  TRY(files.create_directories(archive.epoch(1)));
  TRY(files.sync_directory(archive.wal()));
  TRY(files.sync_directory(archive.root));
  return 1U;
}

Result<std::uint32_t> open_epoch(FileSystem& files, const ArchiveLayout& archive, Timestamp at,
                                 const std::string& reason) {
  const SegmentSize size = TRY(read_archive_identity(files, archive)).segment_size;
  const std::uint32_t newest = TRY(open_newest_epoch(files, archive));
  const std::uint32_t epoch = TRY(holds_segments(files, archive.epoch(newest), size)) ? newest + 1 : newest;
  TRY(append_journal(files, archive.journal(), epoch_opened_entry(at, epoch, reason)));
  TRY(files.create_directories(archive.epoch(epoch)));
  TRY(files.sync_directory(archive.wal()));
  return epoch;
}

}  // namespace walback
