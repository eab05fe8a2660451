#include "archive/verified_memory.h"

#include <algorithm>
#include <array>
#include <tuple>

#include "base/crc32c.h"
#include "catalog/verified_journal.h"

namespace walback {
namespace {

bool is_whole(const SegmentRow& row) {
  return row.state == SegmentState::finished && row.problem.empty() && row.file_crc32c;
}

bool follows(const SegmentRow& before, const SegmentRow& row) {
  return before.name.timeline == row.name.timeline && before.epoch == row.epoch &&
         before.name.number.value + 1 == row.name.number.value;
}

}  // namespace

std::uint32_t digest_of(const SegmentRow* rows, std::size_t count) {
  std::uint32_t crc = kCrc32cInit;
  for (const SegmentRow* row = rows; row != rows + count; ++row) {
    const std::array<std::uint64_t, 3> values{row->size_bytes, static_cast<std::uint64_t>(row->mtime_ns),
                                              row->file_crc32c.value_or(0)};
    crc = crc32c_extend(crc, reinterpret_cast<const char*>(values.data()), sizeof values);
  }
  return crc32c_finish(crc);
}

Status VerifiedMemory::load() {
  runs_ = TRY(catalog_.verified_runs());
  std::erase_if(runs_, [&](const VerifiedRun& run) { return run.verified_at < since_; });
  return {};
}

void VerifiedMemory::mark(const std::vector<SegmentRow>& rows,
                          std::vector<std::optional<Timestamp>>& verified) const {
  verified.assign(rows.size(), std::nullopt);
  for (const VerifiedRun& run : runs_) {
    const SegmentName first{run.timeline, run.first};
    const auto begin = std::ranges::lower_bound(rows, first, {}, &SegmentRow::name);
    const std::uint64_t count = run.last.value - run.first.value + 1;
    if (begin == rows.end() || begin->epoch != run.epoch ||
        static_cast<std::uint64_t>(rows.end() - begin) < count)
      continue;
    const auto end = begin + static_cast<std::ptrdiff_t>(count);
    const bool as_it_was = begin->name == first && (end - 1)->name == SegmentName{run.timeline, run.last} &&
                           std::all_of(begin, end, is_whole) && digest_of(&*begin, count) == run.digest;
    if (!as_it_was) continue;
    for (auto row = begin; row != end; ++row) {
      auto& at = verified[static_cast<std::size_t>(row - rows.begin())];
      at = std::max(at.value_or(run.verified_at), run.verified_at);
    }
  }
}

Status VerifiedMemory::add(const SegmentRow& row, Timestamp begun) {
  if (!is_whole(row)) return {};
  const std::int64_t now_us = archive_.clock.monotonic_us();
  if (!pending_.empty() && (!follows(pending_.back(), row) || pending_.size() >= kSegmentsPerVerifiedRun ||
                            now_us - pending_since_us_ >= kRememberEveryUs)) {
    TRY(flush());
  }
  if (pending_.empty()) {
    pending_begun_ = begun;
    pending_since_us_ = now_us;
  }
  pending_.push_back(row);
  relied_on(begun);
  return {};
}

Status VerifiedMemory::flush() {
  if (pending_.empty()) return {};
  const SegmentRow& first = pending_.front();
  const VerifiedRun run{.timeline = first.name.timeline,
                        .epoch = first.epoch,
                        .first = first.name.number,
                        .last = pending_.back().name.number,
                        .digest = digest_of(pending_.data(), pending_.size()),
                        .verified_at = pending_begun_};
  pending_.clear();
  return record_verified(archive_.files, archive_.layout, catalog_, run);
}

void VerifiedMemory::relied_on(Timestamp look) {
  oldest_look_ = std::min(oldest_look_.value_or(look), look);
}

}  // namespace walback
