#include "restore/path_segments.h"

#include <fmt/format.h>

#include <algorithm>

#include "wal/page.h"

namespace walback {
namespace {

/// Walks rows in ascending order and notes what recovery cannot read.
class Reader {
 public:
  Reader(SegmentSize size, PathPart& part) : size_(size), part_(part) {}

  void expect_from(SegmentNumber number) { next_ = number; }

  /// Finished segments without a problem.
  void add_sound(const Catalog::Run& run) {
    follow(run.first);
    part_.runs.push_back({part_.range.timeline, run.first, run.last, run.epoch, SegmentState::finished});
    next_ = SegmentNumber{run.last.value + 1};
  }

  void add(const SegmentRow& row) {
    follow(row.name.number);
    if (row.state != SegmentState::finished && row.problem.empty()) unfinished_ = row;
    if (!row.problem.empty()) damaged(row);
    part_.runs.push_back({row.name.timeline, row.name.number, row.name.number, row.epoch, row.state});
    next_ = SegmentNumber{row.name.number.value + 1};
  }

  /// Recovery goes on with the next timeline in segment `number`.
  void finish_before(SegmentNumber number) {
    if (!next_) return;
    if (*next_ < number) missing(*next_, number);
    if (unfinished_ && unfinished_->name.number < number) in_part(*unfinished_);
  }

 private:
  [[nodiscard]] Lsn end_of(SegmentNumber number) const { return start_of({number.value + 1}, size_); }
  [[nodiscard]] std::string name_of_segment(SegmentNumber number) const {
    return file_name({part_.range.timeline, number}, size_);
  }

  void follow(SegmentNumber number) {
    if (next_ && number > *next_) missing(*next_, number);
    if (unfinished_) in_part(*unfinished_);
    unfinished_.reset();
  }

  void missing(SegmentNumber from, SegmentNumber to) {
    const auto count = to.value - from.value;
    auto what = count == 1 ? fmt::format("segment {} is missing", name_of_segment(from))
                           : fmt::format("{} segments are missing, from {} to {}", count,
                                         name_of_segment(from), name_of_segment({to.value - 1}));
    part_.obstacles.push_back(
        {start_of(from, size_), start_of(to, size_), ErrorKind::not_found, std::move(what)});
  }

  void in_part(const SegmentRow& row) {
    part_.obstacles.push_back({row.valid_end_lsn, end_of(row.name.number), ErrorKind::not_found,
                               fmt::format("segment {} was captured only up to {}",
                                           name_of_segment(row.name.number), to_string(row.valid_end_lsn))});
  }

  /// What precedes the damage may be used; of a segment with any other problem (another cluster's) nothing.
  void damaged(const SegmentRow& row) {
    if (row.problem.starts_with("missing")) return missing(row.name.number, {row.name.number.value + 1});
    const bool sound_until_there = row.problem.starts_with("damaged");
    const Lsn from = sound_until_there ? std::max(row.valid_end_lsn, row.start_lsn) : row.start_lsn;
    part_.obstacles.push_back({from, end_of(row.name.number), ErrorKind::corrupt,
                               fmt::format("segment {}: {}", name_of_segment(row.name.number), row.problem)});
  }

  SegmentSize size_;
  PathPart& part_;
  std::optional<SegmentNumber> next_;
  std::optional<SegmentRow> unfinished_;
};

SegmentNumber last_number(const PathPart& part, SegmentSize size) {
  return part.switch_lsn ? segment_of(*part.switch_lsn, size) : SegmentNumber{UINT64_MAX / 2 / size.bytes()};
}

/// The newest row of the part in which a record ends.
Result<std::optional<SegmentRow>> newest_row_with_record(const Catalog& catalog, SegmentSize size,
                                                         const PathPart& part) {
  SegmentName name{part.range.timeline, last_number(part, size)};
  auto row = TRY(catalog.segment(name));
  if (!row) row = TRY(catalog.newest_segment_before(name));
  while (row && !row->last_record_lsn) row = TRY(catalog.newest_segment_before(row->name));
  return row;
}

}  // namespace

Status read_part_segments(const Catalog& catalog, SegmentSize size, bool first, PathPart& part) {
  Reader reader(size, part);
  const auto oldest = TRY(catalog.oldest_segment(part.range.timeline));
  const SegmentNumber begins = segment_of(part.range.from, size);
  const bool from_oldest = first && oldest && oldest->name.number > begins;
  if (!from_oldest && (oldest || part.switch_lsn)) reader.expect_from(begins);
  Status read;
  const auto add = [&](const Catalog::Run& run) {
    if (run.sound) {
      reader.add_sound(run);
      return true;
    }
    const auto row = catalog.segment({part.range.timeline, run.first});
    if (!row) read = tl::unexpected(row.error());
    if (row && *row) reader.add(**row);
    return read.has_value();
  };
  if (oldest)
    TRY(catalog.each_segment_run(part.range.timeline, from_oldest ? oldest->name.number : begins,
                                 last_number(part, size), add));
  if (!read) return read;
  if (part.switch_lsn) reader.finish_before(segment_of(*part.switch_lsn, size));
  return {};
}

Result<Lsn> captured_end(const Catalog& catalog, SegmentSize size, const PathPart& part) {
  const auto row = TRY(newest_row_with_record(catalog, size, part));
  const Lsn end = row ? row->valid_end_lsn : part.range.from;
  return std::min(end, part.switch_lsn.value_or(kMaxLsn));
}

Result<std::optional<LastRecord>> last_record_of(const Catalog& catalog, SegmentSize size,
                                                 const PathPart& part) {
  const auto row = TRY(newest_row_with_record(catalog, size, part));
  if (!row || *row->last_record_lsn < part.range.from) return std::nullopt;
  if (*row->last_record_lsn >= part.range.to)
    return LastRecord{{part.range.to, false}, skip_page_header(part.range.to, size)};
  return LastRecord{{*row->last_record_lsn, true}, skip_page_header(row->valid_end_lsn, size)};
}

void add_recorded_gaps(const std::vector<GapRow>& gaps, PathPart& part) {
  for (const auto& gap : gaps) {
    if (gap.timeline != part.range.timeline || gap.from >= part.range.to || gap.to <= part.range.from)
      continue;
    const bool shown = std::ranges::any_of(
        part.obstacles, [&](const Obstacle& known) { return known.from < gap.to && gap.from < known.to; });
    if (!shown)
      part.obstacles.push_back({gap.from, gap.to, ErrorKind::not_found,
                                fmt::format("the WAL from {} to {} is not there ({})", to_string(gap.from),
                                            to_string(gap.to), gap.reason)});
  }
}

}  // namespace walback
