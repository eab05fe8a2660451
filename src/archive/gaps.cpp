#include "archive/gaps.h"

#include <algorithm>

#include "archive/gap_impact.h"
#include "wal/page.h"

namespace walback {
namespace {

const GapRow* same_place(const std::vector<GapRow>& gaps, const GapRow& gap) {
  const auto found = std::ranges::find_if(
      gaps, [&](const GapRow& other) { return other.timeline == gap.timeline && other.from == gap.from; });
  return found == gaps.end() ? nullptr : &*found;
}

bool part_of_another(const std::vector<GapRow>& gaps, const GapRow& gap) {
  return std::ranges::any_of(gaps, [&](const GapRow& other) {
    return other.timeline == gap.timeline && other.from <= gap.from && gap.to <= other.to;
  });
}

/// Where the timeline's last sound row ends; nothing without one.
std::optional<Lsn> end_of(const std::vector<SegmentRow>& rows, TimelineId timeline) {
  std::optional<Lsn> end;
  for (const SegmentRow& row : rows)
    if (row.name.timeline == timeline && holds_valid_records(row)) end = std::max(end, {row.valid_end_lsn});
  return end;
}

bool nothing_behind(const std::vector<SegmentRow>& rows, const GapRow& gap) {
  return end_of(rows, gap.timeline).value_or(Lsn{}) < gap.to;
}

Result<std::vector<SegmentRow>> all_rows(const Catalog& catalog) {
  std::vector<SegmentRow> rows;
  TRY(catalog.each_segment([&](const SegmentRow& row) {
    rows.push_back(row);
    return true;
  }));
  return rows;
}

Status say_found(const ArchiveContext& archive, const Catalog& catalog, const std::vector<GapRow>& found) {
  if (found.empty()) return {};
  for (const GapImpact& impact : TRY(gap_impacts(catalog))) {
    if (!same_place(found, impact.gap)) continue;
    archive.log.error("archive", "gap_found",
                      {{key::timeline, std::to_string(impact.gap.timeline.value)},
                       {key::lsn, to_string(impact.gap.from)},
                       {key::end_lsn, to_string(impact.gap.to)},
                       {"reason", impact.gap.reason},
                       {"impact", describe(impact)},
                       {key::hint,
                        "Put the segment back into its epoch's directory if it exists anywhere, perhaps in "
                        "the primary's pg_wal; else take a new base backup now with walback backup."}});
  }
  return {};
}

/// Where a timeline's own beginning has expired, nothing is missing between it and what stayed.
Result<TimelineStarts> without_expired(const Catalog& catalog, TimelineStarts starts) {
  for (const ExpiredWal& expired : TRY(catalog.expired_wal())) {
    const auto start = starts.find(expired.timeline);
    if (start != starts.end() && expired.below_lsn > start->second.switch_lsn) starts.erase(start);
  }
  return starts;
}

}  // namespace

bool accepts(const GapRow& known, const GapRow& gap, SegmentSize size) {
  const Lsn reaches = start_of({segment_of(known.to, size).value + 1}, size);
  return known.accepted && known.timeline == gap.timeline && known.from <= gap.from && gap.to <= reaches;
}

Status keep_gaps(const ArchiveContext& archive, Catalog& catalog, const TimelineStarts& all_starts) {
  const SegmentSize size = archive.identity.segment_size;
  const TimelineStarts starts = TRY(without_expired(catalog, all_starts));
  const std::vector<SegmentRow> rows = TRY(all_rows(catalog));
  const std::vector<GapRow> found = find_gaps(rows, starts, size);
  const std::vector<GapRow> known = TRY(catalog.gaps());
  std::vector<GapRow> news;
  for (GapRow gap : found) {
    const GapRow* const stored = same_place(known, gap);
    if (stored && stored->to == gap.to && stored->reason == gap.reason) continue;
    gap.accepted = std::ranges::any_of(known, [&](const GapRow& one) { return accepts(one, gap, size); });
    gap.detected_at = archive.clock.now();
    TRY(catalog.put_gap(gap));
    const bool grew = stored && (stored->to < gap.to || stored->accepted);
    if (!gap.accepted && (!stored || grew)) news.push_back(gap);
  }
  for (const GapRow& gap : known) {
    if (same_place(found, gap) || (gap.accepted && nothing_behind(rows, gap))) continue;
    TRY(catalog.remove_gap(gap.timeline, gap.from));
    if (part_of_another(found, gap)) continue;
    archive.log.info("archive", "gap_healed",
                     {{key::timeline, std::to_string(gap.timeline.value)},
                      {key::lsn, to_string(gap.from)},
                      {key::end_lsn, to_string(gap.to)}});
  }
  return say_found(archive, catalog, news);
}

Result<std::optional<GapRow>> gap_up_to(const Catalog& catalog, TimelineId timeline, Lsn next,
                                        SegmentSize size) {
  const auto end = end_of(TRY(all_rows(catalog)), timeline);
  if (!end || skip_page_header(*end, size) >= skip_page_header(next, size)) return std::optional<GapRow>{};
  return std::optional<GapRow>{{timeline, *end, next, "the primary no longer had it", {}, false}};
}

}  // namespace walback
