#include "archive/gaps.h"

#include <algorithm>

namespace walback {
namespace {

const GapRow* same_place(const std::vector<GapRow>& gaps, const GapRow& gap) {
  const auto found = std::ranges::find_if(
      gaps, [&](const GapRow& other) { return other.timeline == gap.timeline && other.from == gap.from; });
  return found == gaps.end() ? nullptr : &*found;
}

std::string out_of_reach(const std::vector<SegmentRow>& rows, const GapRow& gap) {
  const SegmentRow* before = nullptr;
  const SegmentRow* after = nullptr;
  for (const SegmentRow& row : rows) {
    if (row.name.timeline != gap.timeline || !row.last_time) continue;
    if (row.valid_end_lsn <= gap.from) before = &row;
    if (!after && row.first_record_lsn && *row.first_record_lsn >= gap.to) after = &row;
  }
  std::string text = "every moment from " + to_string(gap.from) + " to " + to_string(gap.to);
  if (before || after)
    text += " (" + (before ? "after " + to_rfc3339(*before->last_time) : std::string("from the beginning")) +
            (after ? ", before " + to_rfc3339(*after->first_time) : std::string(", to the end")) + ")";
  return text + ", and every later one from base backups taken before";
}

}  // namespace

Status keep_gaps(const ArchiveContext& archive, Catalog& catalog, const TimelineStarts& starts) {
  std::vector<SegmentRow> rows;
  TRY(catalog.each_segment([&](const SegmentRow& row) {
    rows.push_back(row);
    return true;
  }));
  const std::vector<GapRow> found = find_gaps(rows, starts, archive.identity.segment_size);
  const std::vector<GapRow> known = TRY(catalog.gaps());
  for (GapRow gap : found) {
    const GapRow* const stored = same_place(known, gap);
    if (stored && stored->to == gap.to && stored->reason == gap.reason) continue;
    gap.detected_at = archive.clock.now();
    TRY(catalog.put_gap(gap));
    if (stored) continue;
    archive.log.error("archive", "gap_found",
                      {{key::timeline, std::to_string(gap.timeline.value)},
                       {key::lsn, to_string(gap.from)},
                       {key::end_lsn, to_string(gap.to)},
                       {"reason", gap.reason},
                       {"out_of_reach", out_of_reach(rows, gap)},
                       {key::hint,
                        "Put the segment back into its epoch's directory if it exists anywhere; take a "
                        "new base backup now, so that what comes is safe."}});
  }
  for (const GapRow& gap : known) {
    if (same_place(found, gap)) continue;
    TRY(catalog.remove_gap(gap.timeline, gap.from));
    archive.log.info("archive", "gap_healed",
                     {{key::timeline, std::to_string(gap.timeline.value)},
                      {key::lsn, to_string(gap.from)},
                      {key::end_lsn, to_string(gap.to)}});
  }
  return {};
}

}  // namespace walback
