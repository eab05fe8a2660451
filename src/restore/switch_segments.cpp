#include "restore/switch_segments.h"

namespace walback {
namespace {

/// Whatever timeline it is read from.
std::optional<PlannedSegment> planned_with(const RestorePlan& plan, SegmentNumber number) {
  for (const SegmentRun& run : plan.segments) {
    if (run.first <= number && number <= run.last)
      return PlannedSegment{{run.timeline, number}, run.epoch, run.state};
  }
  return std::nullopt;
}

}  // namespace

Status lay_switch_segments(FileSystem& files, const RestorePlan& plan, const ArchiveLayout& archive,
                           const Path& data) {
  const SegmentSize size = plan.identity.segment_size;
  for (std::size_t i = 0; i + 1 < plan.history.size(); ++i) {
    const SegmentName old{plan.history[i].timeline, segment_of(plan.history[i].to, size)};
    const auto planned = planned_with(plan, old.number);
    if (!planned || planned->name == old) continue;
    TRY(files.copy_file(file_of(*planned, archive, size), data / "pg_wal" / file_name(old, size)));
  }
  return {};
}

}  // namespace walback
