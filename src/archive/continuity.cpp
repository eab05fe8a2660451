#include "archive/continuity.h"

#include <fmt/format.h>

#include <algorithm>

#include "wal/page.h"

namespace walback {
namespace {

/// Walks one timeline's rows and remembers how far the WAL holds together.
class Chain {
 public:
  Chain(TimelineId timeline, SegmentSize size, std::vector<GapRow>& gaps)
      : timeline_(timeline), size_(size), gaps_(gaps) {}

  void begin_at(Lsn lsn) { end_ = lsn; }

  void add(const SegmentRow& row) {
    const Lsn segment_end = row.start_lsn + size_.bytes();
    if (!holds_valid_records(row)) {
      if (!end_) end_ = row.start_lsn;
      note(row.problem);
      unusable_until_ = segment_end;
      return;
    }
    // The archive begins inside a record that fills this segment: nothing can be said of it yet.
    if (!end_ && !row.first_record_lsn) return;
    const Lsn begins = row.first_record_lsn.value_or(std::max(row.start_lsn, row.valid_end_lsn));
    if (end_ && !joins(*end_, row, size_)) {
      if (reason_.empty()) note(missing_segments(*end_, row));
      close(begins);
    }
    reason_.clear();
    unusable_until_.reset();
    end_ = row.valid_end_lsn;
    if (!row.problem.empty()) {
      note(row.problem);
      unusable_until_ = segment_end;
    }
  }

  /// What was there behind the last good record and is no longer usable.
  void finish() {
    if (end_ && unusable_until_ && *end_ < *unusable_until_) close(*unusable_until_);
  }

  /// Up to where the child's own captured WAL takes over: its first segment repeats the parent's records.
  void must_reach(Lsn switch_lsn, const SegmentRow& childs_first) {
    const Lsn repeated_from = childs_first.first_record_lsn.value_or(childs_first.start_lsn);
    const Lsn needed = std::min(switch_lsn, repeated_from);
    if (!end_ || unusable_until_ || skip_page_header(*end_, size_) >= skip_page_header(needed, size_)) return;
    note(fmt::format("timeline {} left it at {}, and its own WAL was captured only up to {}",
                     childs_first.name.timeline.value, to_string(switch_lsn), to_string(*end_)));
    close(needed);
  }

 private:
  void note(const std::string& reason) {
    if (reason_.empty()) reason_ = reason;
  }

  [[nodiscard]] std::string missing_segments(Lsn from, const SegmentRow& next) const {
    const SegmentNumber first = segment_of(skip_page_header(from, size_), size_);
    if (first.value + 1 >= next.name.number.value)
      return fmt::format("segment {} does not go on where the one before it ends",
                         file_name(next.name, size_));
    const std::uint64_t count = next.name.number.value - first.value - 1;
    const std::string first_missing = file_name({timeline_, {first.value + 1}}, size_);
    return count == 1 ? fmt::format("missing: segment {}", first_missing)
                      : fmt::format("missing: {} segments from {} on", count, first_missing);
  }

  void close(Lsn to) {
    gaps_.push_back({timeline_, *end_, to, reason_, {}, false});
    end_ = to;
    reason_.clear();
    unusable_until_.reset();
  }

  TimelineId timeline_;
  SegmentSize size_;
  std::vector<GapRow>& gaps_;
  std::optional<Lsn> end_;
  std::optional<Lsn> unusable_until_;
  std::string reason_;
};

}  // namespace

bool holds_valid_records(const SegmentRow& row) {
  return row.problem.empty() || row.problem.starts_with(kDamaged);
}

bool joins(Lsn chain_end, const SegmentRow& row, SegmentSize size) {
  const Lsn expected = skip_page_header(chain_end, size);
  if (row.first_record_lsn) return skip_page_header(*row.first_record_lsn, size) == expected;
  return skip_page_header(row.valid_end_lsn, size) == expected;
}

std::vector<GapRow> find_gaps(const std::vector<SegmentRow>& rows, const TimelineStarts& starts,
                              SegmentSize size) {
  std::vector<GapRow> gaps;
  for (auto begin = rows.begin(); begin != rows.end();) {
    const TimelineId timeline = begin->name.timeline;
    const auto end =
        std::find_if(begin, rows.end(), [&](const SegmentRow& row) { return row.name.timeline != timeline; });
    Chain chain(timeline, size, gaps);
    const auto own = starts.find(timeline);
    if (own != starts.end() && begin->name.number > segment_of(own->second.switch_lsn, size))
      chain.begin_at(own->second.switch_lsn);
    std::for_each(begin, end, [&](const SegmentRow& row) { chain.add(row); });
    chain.finish();
    for (const auto& [child, start] : starts) {
      const auto first = std::find_if(rows.begin(), rows.end(), [child = child](const SegmentRow& row) {
        return row.name.timeline == child;
      });
      if (first != rows.end() && start.parent == timeline) chain.must_reach(start.switch_lsn, *first);
    }
    begin = end;
  }
  return gaps;
}

}  // namespace walback
