#include "restore/wal_path.h"

#include <fmt/format.h>

#include <algorithm>

#include "restore/path_segments.h"
#include "wal/page.h"
#include "wal/timeline_history.h"

namespace walback {
namespace {

Result<TimelineId> choose_timeline(const Catalog& catalog, std::optional<TimelineId> asked) {
  const auto rows = TRY(catalog.timelines());
  if (rows.empty() && !asked)
    return fail(ErrorKind::not_found, "the archive holds no WAL",
                "Is the capturer running? `walback check` says what is missing.");
  if (!asked) return std::ranges::max(rows, {}, &TimelineRow::timeline).timeline;
  const bool known = std::ranges::any_of(rows, [&](const auto& row) { return row.timeline == *asked; });
  if (known) return *asked;
  std::vector<std::uint32_t> numbers;
  for (const auto& row : rows) numbers.push_back(row.timeline.value);
  return fail(ErrorKind::not_found,
              fmt::format("timeline {} is not in the archive, which holds {}", asked->value,
                          numbers.empty()       ? "none"
                          : numbers.size() == 1 ? fmt::format("timeline {}", numbers.front())
                                                : fmt::format("timelines {}", fmt::join(numbers, ", "))),
              "`walback list timelines` shows them and where they part.");
}

Result<std::vector<TimelineRange>> ranges_to(const Catalog& catalog, TimelineId timeline) {
  if (timeline.value == 1) return std::vector<TimelineRange>{{timeline, Lsn{}, std::nullopt}};
  const auto rows = TRY(catalog.timelines());
  const auto row = std::ranges::find(rows, timeline, &TimelineRow::timeline);
  if (row == rows.end() || !row->history_captured)
    return fail(
        ErrorKind::not_found,
        fmt::format("the history of timeline {} ({}) is not in the archive: without it recovery would end "
                    "on the old timeline and say nothing",
                    timeline.value, history_file_name(timeline)),
        fmt::format("Copy {} from pg_wal of the server into the newest directory under wal/, or name an "
                    "older timeline with --timeline.",
                    history_file_name(timeline)));
  return ranges_of(TRY(parse_timeline_history(timeline, row->history)));
}

/// A part may have been captured less far than the path followed it; the next timeline's first segment
/// repeats the rest.
void hand_uncaptured_tails_on(std::vector<PathPart>& parts, const std::vector<Lsn>& captured,
                              SegmentSize size) {
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    const Lsn left_at = *parts[i].switch_lsn;
    if (skip_page_header(captured[i], size) >= skip_page_header(left_at, size)) continue;
    parts[i].range.to = std::max(captured[i], parts[i].range.from);
    parts[i + 1].range.from = parts[i].range.to;
  }
}

}  // namespace

Result<WalPath> wal_path(const Catalog& catalog, const ArchiveIdentity& identity,
                         std::optional<TimelineId> asked) {
  const auto timeline = TRY(choose_timeline(catalog, asked));
  WalPath path{&catalog, identity, timeline, {}};
  std::vector<Lsn> captured;
  for (const auto& range : TRY(ranges_to(catalog, timeline))) {
    const bool first = path.parts.empty();
    if (first && !TRY(catalog.oldest_segment(range.timeline))) continue;
    PathPart part{{range.timeline, range.begin, range.end.value_or(kMaxLsn)}, range.end, {}, {}, {}};
    TRY(read_part_segments(catalog, identity.segment_size, first, part));
    captured.push_back(TRY(captured_end(catalog, identity.segment_size, part)));
    path.parts.push_back(std::move(part));
  }
  if (path.parts.empty())
    return fail(ErrorKind::not_found, fmt::format("the archive holds no WAL of timeline {}", timeline.value),
                "Is the capturer running? `walback check` says what is missing.");
  hand_uncaptured_tails_on(path.parts, captured, identity.segment_size);
  const auto gaps = TRY(catalog.gaps());
  for (auto& part : path.parts) {
    add_recorded_gaps(gaps, part);
    part.last_record = TRY(last_record_of(catalog, identity.segment_size, part));
  }
  return path;
}

std::vector<Obstacle> WalPath::obstacles(std::size_t owner) const {
  const auto size = identity.segment_size;
  std::vector<Obstacle> found;
  if (parts.empty()) return found;
  found.push_back({Lsn{}, begin(), ErrorKind::not_found,
                   fmt::format("the WAL before {} was never captured", to_string(begin()))});
  for (std::size_t i = 0; i <= owner && i < parts.size(); ++i) {
    const Lsn until =
        i == owner || !parts[i].switch_lsn ? kMaxLsn : start_of(segment_of(*parts[i].switch_lsn, size), size);
    for (const auto& obstacle : parts[i].obstacles)
      if (obstacle.from < until) found.push_back(obstacle);
  }
  std::ranges::sort(found, {}, &Obstacle::from);
  return found;
}

std::size_t WalPath::part_at(Lsn lsn) const {
  std::size_t at = 0;
  while (at + 1 < parts.size() && parts[at].range.to <= lsn) ++at;
  return at;
}

std::optional<std::size_t> WalPath::part_of(TimelineId id, Lsn lsn) const {
  for (std::size_t i = 0; i < parts.size(); ++i)
    if (parts[i].range.timeline == id && parts[i].range.from <= lsn && lsn < parts[i].range.to) return i;
  return std::nullopt;
}

std::optional<std::size_t> WalPath::last_part_with_records() const {
  for (std::size_t i = parts.size(); i-- > 0;)
    if (parts[i].last_record) return i;
  return std::nullopt;
}

Lsn WalPath::begin() const {
  return parts.empty() || parts.front().runs.empty()
             ? Lsn{}
             : start_of(parts.front().runs.front().first, identity.segment_size);
}

std::vector<WalRange> WalPath::ranges(Lsn from, Lsn to) const {
  std::vector<WalRange> cut;
  for (const auto& part : parts) {
    const WalRange range{part.range.timeline, std::max(part.range.from, from), std::min(part.range.to, to)};
    if (range.from < range.to) cut.push_back(range);
  }
  return cut;
}

Result<std::optional<WalPath::FoundOnPath>> WalPath::first_end_stamped_after(Timestamp time) const {
  for (std::size_t i = 0; i < parts.size(); ++i)
    if (auto end = TRY(catalog->first_end_stamped_after(parts[i].range, time)))
      return FoundOnPath{i, std::move(*end)};
  return std::nullopt;
}

Result<std::optional<TransactionEnd>> first_end_in(const Catalog& catalog,
                                                   const std::vector<WalRange>& ranges, bool commits_only) {
  for (const auto& range : ranges)
    if (auto end = TRY(catalog.first_end_at_or_after(range, commits_only))) return end;
  return std::nullopt;
}

Result<std::optional<TransactionEnd>> last_end_in(const Catalog& catalog, const std::vector<WalRange>& ranges,
                                                  bool commits_only) {
  for (auto range = ranges.rbegin(); range != ranges.rend(); ++range)
    if (auto end = TRY(catalog.last_end_before(*range, commits_only))) return end;
  return std::nullopt;
}

Result<std::optional<TransactionEnd>> WalPath::first_end_at_or_after(Lsn lsn, bool commits_only) const {
  return first_end_in(*catalog, ranges(lsn, kMaxLsn), commits_only);
}

Result<std::optional<TransactionEnd>> WalPath::last_end_before(Lsn lsn, bool commits_only) const {
  return last_end_in(*catalog, ranges({}, lsn), commits_only);
}

Result<std::vector<MomentRow>> WalPath::moments(Lsn from, Lsn to, MomentKind kind) const {
  std::vector<MomentRow> all;
  for (const auto& range : ranges(from, to)) {
    auto rows = TRY(catalog->moments(range, kind));
    std::ranges::move(rows, std::back_inserter(all));
  }
  return all;
}

}  // namespace walback
