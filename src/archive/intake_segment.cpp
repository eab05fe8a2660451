#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include "archive/continuity.h"
#include "archive/earlier_segments.h"
#include "archive/intake.h"
#include "base/crc32c.h"
#include "os/crash_point.h"
#include "wal/page.h"

/// One segment into the catalog.
namespace walback {
namespace {

/// A file whose last change is younger than this may change again within the same tick of its mtime.
constexpr std::int64_t kMtimeTickNs = 100'000'000;
/// A `.partial` that is younger and not yet full is being filled with zeroes by pg_receivewal.
constexpr std::int64_t kPaddingNs = 60'000'000'000;

/// Was the previous segment read to its very end, so that the next one goes on there?
bool goes_on_from(const SegmentRow& previous) {
  return previous.problem.empty() && previous.state == SegmentState::finished;
}

/// Nothing ended in it, and its valid end may be no record's end but only the place where reading began.
bool place_unknown(const SegmentRow& previous, SegmentSize size) {
  return !previous.last_record_lsn && previous.valid_end_lsn.value % size.bytes() == 0;
}

/// Both are the wall clock's: a file from the future was written before the clock was set back.
std::int64_t age_ns(const Clock& clock, const FileInfo& info) {
  return std::llabs(clock.now().unix_us * 1000 - info.mtime_ns);
}

void merge(SegmentRow& row, ReadingBatch&& batch) {
  row.records += batch.records;
  if (!row.first_record_lsn) row.first_record_lsn = batch.first_record_lsn;
  if (batch.last_record_lsn) row.last_record_lsn = batch.last_record_lsn;
  row.valid_end_lsn = batch.valid_end_lsn;
  row.ends = std::move(batch.ends);
}

}  // namespace

Result<std::uint32_t> file_crc32c(FileSystem& files, const Path& path) {
  constexpr std::size_t kChunk = 1U << 20;
  std::vector<char> buffer(kChunk);
  std::uint32_t crc = kCrc32cInit;
  for (std::uint64_t offset = 0;;) {
    const std::size_t got = TRY(files.read_at(path, offset, buffer));
    crc = crc32c_extend(crc, buffer.data(), got);
    offset += got;
    if (got < kChunk) return crc32c_finish(crc);
  }
}

SegmentState Intake::state_of(const SegmentFile& file) const {
  if (!file.partial) return SegmentState::finished;
  return timelines_.has_ended(file.name.timeline) ? SegmentState::ended : SegmentState::open;
}

/// What the row remembers as the file's mtime. 0 never matches: the next pass looks again.
std::int64_t Intake::settled_mtime(const FoundSegment& found) const {
  if (!found.file.partial) return found.info.mtime_ns;
  return age_ns(archive_.clock, found.info) < kMtimeTickNs ? 0 : found.info.mtime_ns;
}

bool Intake::needs_reading(const FoundSegment& found, const Neighbours& rows) const {
  if (!rows.known) return true;
  const SegmentRow& row = *rows.known;
  if (row.state != state_of(found.file) || row.size_bytes != found.info.size_bytes ||
      row.mtime_ns != found.info.mtime_ns)
    return true;
  if (!row.problem.empty())
    return rows.previous_was_read || row.problem.starts_with("missing") ||
           row.problem.starts_with(kUnreadable) || other_bytes(found, row) ||
           (row.problem.starts_with("no history") && timelines_.history(row.name.timeline));
  return turned_up_later(rows);
}

/// Does what precedes go on otherwise than this segment was read, because it was not there, or not usable,
/// then?
bool Intake::turned_up_later(const Neighbours& rows) const {
  return rows.known && rows.previous && rows.previous->name.timeline == rows.known->name.timeline &&
         goes_on_from(*rows.previous) && !place_unknown(*rows.previous, size_) &&
         !joins(rows.previous->valid_end_lsn, *rows.known, size_);
}

/// A good copy put back in the place of a damaged segment may bear the very same time and size.
bool Intake::other_bytes(const FoundSegment& found, const SegmentRow& row) const {
  if (!row.problem.starts_with(kDamaged) || !row.file_crc32c) return false;
  const auto crc = file_crc32c(archive_.files, found.file.path);
  return crc && *crc != *row.file_crc32c;
}

/// What was read of the segment while it was a `.partial` had no checksum. Before the finished file gets one,
/// its records are read once more: a byte that changed in between would be taken for what was captured.
Result<bool> Intake::still_holds(const FoundSegment& found, const Neighbours& rows) {
  const SegmentRow& row = *rows.known;
  ReadingPlan plan =
      TRY(plan_reading(found, rows, *timelines_.history(row.name.timeline), /*goes_on=*/false));
  plan.from = ReadFrom::boundary(row.first_record_lsn.value_or(row.valid_end_lsn));
  const auto ignore = [](ReadingBatch&&) -> Status { return {}; };
  const Reading reading = TRY(read_segment(archive_.files, archive_.identity, found.file, plan, ignore));
  return reading.rest.valid_end_lsn >= row.valid_end_lsn;
}

SegmentRow Intake::fresh_row(const FoundSegment& found) const {
  SegmentRow row;
  row.name = found.file.name;
  row.epoch = found.file.epoch;
  row.start_lsn = start_of(row.name.number, size_);
  row.valid_end_lsn = row.start_lsn;
  return row;
}

Result<std::optional<SegmentRow>> Intake::index_segment(const FoundSegment& found, const Neighbours& rows) {
  const std::int64_t begun_us = archive_.clock.monotonic_us();
  const bool settled = age_ns(archive_.clock, found.info) > kPaddingNs;
  SegmentRow row = fresh_row(found);
  row.size_bytes = found.info.size_bytes;
  row.mtime_ns = found.info.mtime_ns;
  row.state = state_of(found.file);
  if (found.info.size_bytes != size_.bytes()) {
    if (found.file.partial && !settled && !rows.known) return std::optional<SegmentRow>{};
    row.problem = fmt::format("wrong size: {} bytes, expected {}", found.info.size_bytes, size_.bytes());
  } else if (!timelines_.history(row.name.timeline)) {
    row.problem = fmt::format("no history: {} is not in the archive", history_file_name(row.name.timeline));
  }
  if (!row.problem.empty()) {
    TRY(catalog_.put_segment(row));
    say(rows.known, row, begun_us);
    return row;
  }

  // A file that only grew is read on; one that is new, or was changed under its row, from its beginning.
  const bool goes_on = rows.known && rows.known->problem.empty() &&
                       rows.known->state != SegmentState::finished && rows.known->records != 0 &&
                       !turned_up_later(rows) && (found.file.partial || TRY(still_holds(found, rows)));
  auto read = TRY(read_into(found, rows, goes_on ? *rows.known : row, goes_on));
  if (read) say(rows.known, *read, begun_us);
  return read;
}

Result<std::optional<SegmentRow>> Intake::read_into(const FoundSegment& found, const Neighbours& rows,
                                                    SegmentRow row, bool goes_on) {
  const TimelineHistory& history = *timelines_.history(row.name.timeline);
  const ReadingPlan plan = TRY(plan_reading(found, rows, history, goes_on));
  // Until the last batch the row says "open, look again": a crash in between reads on behind what is stored.
  bool replace = !goes_on;
  row.size_bytes = found.info.size_bytes;
  row.state = SegmentState::open;
  row.mtime_ns = 0;
  const auto store = [&](ReadingBatch&& batch) -> Status {
    const std::vector<MomentRow> moments = std::move(batch.moments);
    report_.records += batch.records;
    merge(row, std::move(batch));
    crash_point("intake.segment_read");
    TRY(catalog_.transaction([&]() -> Status {
      TRY(replace ? catalog_.put_segment(row) : catalog_.extend_segment(row));
      // What other bytes in this place brought must not be offered as a place to go to.
      if (replace && rows.known && TRY(catalog_.held_once(row.name)))
        TRY(catalog_.remove_moments(row.name.timeline, row.start_lsn, row.start_lsn + size_.bytes()));
      replace = false;
      for (const MomentRow& moment : moments) TRY(catalog_.put_moment(moment));
      return {};
    }));
    crash_point("intake.segment_stored");
    return {};
  };
  Reading reading = TRY(read_segment(archive_.files, archive_.identity, found.file, plan, store));
  if (reading.stop.kind == StopKind::unreadable && reading.source_error.kind == ErrorKind::not_found)
    return std::optional<SegmentRow>{};  // renamed or removed meanwhile: the next look finds out

  if (!found.file.partial) {
    auto crc = file_crc32c(archive_.files, found.file.path);
    if (!crc && crc.error().kind == ErrorKind::not_found) return std::optional<SegmentRow>{};
    if (crc) row.file_crc32c = *crc;
  }
  row.state = state_of(found.file);
  row.mtime_ns = settled_mtime(found);
  row.problem = problem_of(reading.stop, found.file.partial);
  TRY(store(std::move(reading.rest)));
  ++report_.segments_read;
  // The catalog counted the ends; what the caller compares later is what is stored.
  return catalog_.segment(row.name, row.epoch);
}

Result<ReadingPlan> Intake::plan_reading(const FoundSegment& found, const Neighbours& rows,
                                         const TimelineHistory& history, bool goes_on) {
  const SegmentName name = found.file.name;
  ReadingPlan plan{.from = ReadFrom::first_at_or_after(start_of(name.number, size_)),
                   .own_begin = TRY(own_begin(history, name)),
                   .history = history,
                   .locate = {}};
  if (goes_on) {
    plan.from = ReadFrom::boundary(rows.known->valid_end_lsn, rows.known->last_record_lsn);
  } else if (rows.previous && goes_on_from(*rows.previous)) {
    const SegmentRow& previous = *rows.previous;
    plan.from = place_unknown(previous, size_)
                    ? ReadFrom::first_at_or_after(previous.valid_end_lsn)
                    : ReadFrom::boundary(previous.valid_end_lsn, previous.last_record_lsn);
  }
  plan.locate = earlier_segments(archive_, catalog_, history, found.file.epoch);
  return plan;
}

/// Up to where the timeline's path was captured by its ancestors: what the switch segment repeats beyond that
/// is indexed with it, because nobody else has it.
Result<Lsn> Intake::own_begin(const TimelineHistory& history, SegmentName name) {
  if (history.entries.empty() || name.number > segment_of(history.entries.back().switch_lsn, size_))
    return Lsn{};
  Lsn begin;
  for (const TimelineRange& range : ranges_of(history)) {
    if (!range.end) break;
    const auto newest = TRY(catalog_.newest_segment(range.timeline));
    const Lsn captured = newest ? newest->valid_end_lsn : Lsn{};
    if (skip_page_header(captured, size_) >= skip_page_header(*range.end, size_))
      begin = *range.end;
    else
      begin = std::max(captured, begin);
  }
  return begin;
}

void Intake::say(const std::optional<SegmentRow>& before, const SegmentRow& now, std::int64_t begun_us) {
  const std::string name = file_name(now.name, size_);
  const std::string old_problem = before ? before->problem : "";
  if (!now.problem.empty() && now.problem != old_problem) {
    archive_.log.error(
        "archive", "segment_unusable",
        {{key::segment, name},
         {key::epoch, std::to_string(now.epoch)},
         {"problem", now.problem},
         {key::hint,
          "Nothing behind this point can be restored from a base backup taken before it. Put a good copy "
          "in its place if there is one; else take a new base backup."}});
    return;
  }
  if (now.problem.empty() && !old_problem.empty())
    archive_.log.info("archive", "segment_healed", {{key::segment, name}, {"was", old_problem}});
  const bool was_finished = before && before->state == SegmentState::finished && old_problem.empty();
  if (now.state != SegmentState::finished || was_finished || !now.problem.empty()) return;
  archive_.log.info("archive", "segment_indexed",
                    {{key::timeline, std::to_string(now.name.timeline.value)},
                     {key::segment, name},
                     {key::end_lsn, to_string(now.valid_end_lsn)},
                     {"records", std::to_string(now.records)},
                     {"commits", std::to_string(now.commits)},
                     {key::took_ms, std::to_string((archive_.clock.monotonic_us() - begun_us) / 1000)}});
}

}  // namespace walback
