#include "archive/earlier_segments.h"

#include "archive/wal_directory.h"

namespace walback {

SegmentSource::Locate earlier_segments(const ArchiveContext& archive, const Catalog& catalog,
                                       const TimelineHistory& history, std::uint32_t epoch) {
  return [archive, &catalog, history, epoch](SegmentNumber number) -> Result<std::optional<Path>> {
    const SegmentSize size = archive.identity.segment_size;
    const SegmentName wanted{owner_of(history, Lsn{start_of({number.value + 1}, size).value - 1}), number};
    if (const auto there = TRY(find_segment(archive.files, archive.layout, epoch, wanted, size)))
      return std::optional<Path>{there->file.path};
    const auto elsewhere = TRY(catalog.segment(wanted));
    if (!elsewhere) return std::optional<Path>{};
    const auto there = TRY(find_segment(archive.files, archive.layout, elsewhere->epoch, wanted, size));
    return there ? std::optional<Path>{there->file.path} : std::nullopt;
  };
}

}  // namespace walback
