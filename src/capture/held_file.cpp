#include "capture/held_file.h"

#include <algorithm>

namespace walback {
namespace {

/// Under any timeline's name: around a switch it may still be the old one's.
Result<bool> holds_segment(FileSystem& files, const Path& epoch, SegmentName name, SegmentSize size) {
  const std::string finished = file_name(name, size);
  // Finished last: it may be renamed in between.
  if (exists(files, epoch / (finished + ".partial")) || exists(files, epoch / finished)) return true;
  const auto entries = files.list(epoch);
  if (!entries && entries.error().kind == ErrorKind::not_found) return false;
  return std::ranges::any_of(TRY(entries), [&](const DirectoryEntry& entry) {
    const auto file = parse_wal_file_name(entry.name, size);
    return file && file->kind != WalFileKind::history && file->number == name.number;
  });
}

}  // namespace

Result<std::optional<std::string>> HeldFile::missed(FileSystem& files, const Path& epoch, TimelineId timeline,
                                                    Lsn write_lsn, SegmentSize size) {
  const SegmentName name{timeline, segment_of(write_lsn, size)};
  // Between two segments there need not be one: the next is made with its first byte.
  const bool inside = write_lsn.value % size.bytes() != 0;
  if (!inside || TRY(holds_segment(files, epoch, name, size))) {
    missed_ = 0;
    return std::optional<std::string>{};
  }
  if (++missed_ < 2) return std::optional<std::string>{};
  missed_ = 0;
  return std::optional<std::string>{file_name(name, size) + ".partial"};
}

}  // namespace walback
