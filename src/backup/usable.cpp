#include "backup/usable.h"

#include <fmt/format.h>

#include <algorithm>

#include "os/system.h"

namespace walback {
namespace {

constexpr std::chrono::milliseconds kAskEvery{200};

}  // namespace

Lsn unbroken_until(const BackupRow& backup, const std::vector<SegmentRow>& segments,
                   const std::vector<GapRow>& gaps, SegmentSize size) {
  Lsn reached = backup.start_lsn;
  std::uint64_t expected = segment_of(backup.start_lsn, size).value;
  for (const auto& segment : segments) {
    if (segment.name.timeline != backup.timeline) continue;
    const auto number = segment.name.number.value;
    if (number > expected) break;
    // The one before again: another epoch's copy, which may reach further.
    if (number + 1 < expected || !segment.problem.empty()) continue;
    reached = std::max(reached, segment.valid_end_lsn);
    expected = number + 1;
  }
  for (const auto& gap : gaps) {
    if (gap.timeline == backup.timeline && gap.to > backup.start_lsn) {
      reached = std::min(reached, std::max(gap.from, backup.start_lsn));
    }
  }
  return reached;
}

Result<Lsn> indexed_until(const Catalog& catalog, const BackupRow& backup, SegmentSize size) {
  std::vector<SegmentRow> segments;
  const auto last = segment_of({backup.stop_lsn.value - 1}, size);
  TRY(catalog.each_segment(backup.timeline, segment_of(backup.start_lsn, size), last,
                           [&](const SegmentRow& segment) {
                             segments.push_back(segment);
                             return true;
                           }));
  const auto gaps = TRY(catalog.gaps());
  return unbroken_until(backup, segments, gaps, size);
}

Result<bool> is_usable(const Catalog& catalog, const BackupRow& backup, SegmentSize size) {
  return backup.problem.empty() && TRY(indexed_until(catalog, backup, size)) >= backup.stop_lsn;
}

Status wait_until_usable(const BackupRow& backup, const std::function<Result<Lsn>()>& reached,
                         std::chrono::milliseconds bound, const Clock& clock, Progress& progress,
                         std::stop_token stop) {
  const auto deadline = clock.monotonic_us() + bound.count() * 1000;
  Lsn last;
  while (true) {
    last = TRY(reached());
    if (last >= backup.stop_lsn) break;
    if (clock.monotonic_us() >= deadline) {
      progress.finish();
      return fail(
          ErrorKind::unavailable,
          fmt::format("base backup '{}' is not usable yet: it needs the WAL from {} to {}, and after {} the "
                      "index reaches {}",
                      backup.id, to_string(backup.start_lsn), to_string(backup.stop_lsn),
                      render_duration_us(bound.count() * 1000), to_string(last)),
          "The backup is complete and is used as soon as its WAL is indexed. Do walback capture and walback "
          "manage run? walback status tells.");
    }
    progress.report(
        {"waiting for its WAL", last - std::min(last, backup.start_lsn), backup.stop_lsn - backup.start_lsn,
         fmt::format("indexed to {}, needed to {}", to_string(last), to_string(backup.stop_lsn))});
    if (!sleep_for(stop, kAskEvery)) {
      progress.finish();
      return fail(ErrorKind::interrupted,
                  fmt::format("stopped while base backup '{}' waited for its WAL", backup.id),
                  "The backup is complete and is used as soon as its WAL is indexed.");
    }
  }
  progress.finish();
  return {};
}

}  // namespace walback
