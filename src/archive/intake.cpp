#include "archive/intake.h"

#include <algorithm>
#include <utility>

#include "archive/continuity.h"
#include "archive/gaps.h"
#include "catalog/archive.h"
#include "os/crash_point.h"

namespace walback {
namespace {

constexpr std::size_t kVanishedSaidOneByOne = 3;

/// Somebody may have removed a whole epoch. The newest one has the newest segment of some timeline.
Result<std::uint32_t> newest_known_epoch(const Catalog& catalog) {
  std::uint32_t newest = 0;
  for (const TimelineRow& row : TRY(catalog.timelines()))
    if (const auto segment = TRY(catalog.newest_segment(row.timeline)))
      newest = std::max(newest, segment->epoch);
  return newest;
}

}  // namespace

Intake::Intake(const ArchiveContext& archive, Catalog& catalog)
    : archive_(archive), catalog_(catalog), size_(archive.identity.segment_size), timelines_(archive) {}

Result<IntakeReport> Intake::pass(Scan scan, std::stop_token stop) {
  report_ = {};
  stop_ = std::move(stop);
  if (!loaded_) {
    TRY(timelines_.load(catalog_));
    loaded_ = true;
  }
  if (scan == Scan::all || !tail_)
    TRY(scan_all());
  else
    TRY(follow_tail());
  crash_point("intake.all_stored");
  if (gaps_may_differ_ && report_.complete) {
    TRY(keep_gaps(archive_, catalog_, timelines_.starts()));
    gaps_may_differ_ = false;
  }
  return report_;
}

Status Intake::scan_all() {
  const EpochList epochs = TRY(list_epochs(archive_.files, archive_.layout));
  const std::uint32_t known_epochs = TRY(newest_known_epoch(catalog_));
  for (const std::string& name : epochs.unknown)
    if (reported_.insert("wal/" + name).second)
      archive_.log.warn("archive", "unknown_name", {{key::path, (archive_.layout.wal() / name).string()}});
  // All histories before any segment: they tell which `.partial` has ended.
  std::vector<EpochFiles> all;
  for (const std::uint32_t epoch : epochs.numbers) {
    all.push_back(TRY(list_epoch(archive_.files, archive_.layout, epoch, size_)));
    report_names(all.back());
    TRY(timelines_.take(catalog_, all.back()));
  }
  report_missing_histories(all);
  gaps_may_differ_ = true;
  for (const EpochFiles& listed : all) {
    TRY(scan_epoch(listed));
    if (!report_.complete) return {};
    if (!listed.segments.empty()) tail_ = Tail{listed.epoch, listed.segments.back().name};
  }
  EpochFiles nothing;
  for (nothing.epoch = 1; nothing.epoch <= known_epochs; ++nothing.epoch)
    if (!std::ranges::binary_search(epochs.numbers, nothing.epoch)) TRY(scan_epoch(nothing));
  return {};
}

Status Intake::scan_epoch(const EpochFiles& listed) {
  std::map<SegmentName, SegmentRow> rows;
  TRY(catalog_.each_segment_of_epoch(listed.epoch, [&](const SegmentRow& row) {
    rows.emplace(row.name, row);
    return true;
  }));
  // After the rows: a row that retention removes in between belongs to a file that is passed over.
  const std::vector<ExpiredWal> expired = TRY(catalog_.expired_wal());
  std::optional<SegmentName> read_last;
  for (const SegmentFile& file : listed.segments) {
    if (has_expired(expired, file.name)) continue;
    if (stop_.stop_requested()) {
      report_.complete = false;
      return {};
    }
    const auto found = TRY(find_segment(archive_.files, archive_.layout, listed.epoch, file.name, size_));
    if (!found) continue;
    Neighbours neighbours;
    if (const auto known = rows.find(file.name); known != rows.end()) neighbours.known = known->second;
    const SegmentName before{file.name.timeline, {file.name.number.value - 1}};
    if (const auto previous = rows.find(before); previous != rows.end())
      neighbours.previous = previous->second;
    neighbours.previous_was_read = read_last == before;
    if (!needs_reading(*found, neighbours)) continue;
    if (!neighbours.previous || !neighbours.previous->problem.empty())
      neighbours.previous = TRY(previous_row(file.name, listed.epoch));
    if (auto row = TRY(index_segment(*found, neighbours))) {
      rows.insert_or_assign(file.name, std::move(*row));
      read_last = file.name;
    }
    hear_(file.name);
  }
  return mark_vanished(rows, listed);
}

/// A listing beside a rename may miss a file, so each is asked for by name before it is called missing.
Status Intake::mark_vanished(const std::map<SegmentName, SegmentRow>& rows, const EpochFiles& listed) {
  std::vector<SegmentRow> gone;
  for (const auto& [name, row] : rows) {
    const bool there = std::ranges::binary_search(listed.segments, name, {}, &SegmentFile::name);
    if (there || row.problem.starts_with("missing")) continue;
    if (TRY(find_segment(archive_.files, archive_.layout, listed.epoch, name, size_))) continue;
    // Retention removes rows first and files after them: what it let go meanwhile is not missing.
    if (!TRY(catalog_.segment(name, listed.epoch))) continue;
    gone.push_back(row);
    gone.back().problem = "missing: " + file_name(name, size_) + " is gone from " +
                          archive_.layout.epoch(listed.epoch).string();
  }
  if (gone.empty()) return {};
  TRY(catalog_.transaction([&]() -> Status {
    for (const SegmentRow& row : gone) TRY(catalog_.set_segment_problem(row.name, row.epoch, row.problem));
    return {};
  }));
  if (gone.size() <= kVanishedSaidOneByOne) {
    for (const SegmentRow& row : gone) say(rows.at(row.name), row, archive_.clock.monotonic_us());
    return {};
  }
  archive_.log.error("archive", "segments_missing",
                     {{"count", std::to_string(gone.size())},
                      {"first", file_name(gone.front().name, size_)},
                      {"last", file_name(gone.back().name, size_)},
                      {key::path, archive_.layout.epoch(listed.epoch).string()},
                      {key::hint,
                       "Put them back if they exist anywhere; else take a new base backup now with walback "
                       "backup, and find out who deletes here."}});
  return {};
}

/// The newest segment, and the next ones as long as it turns out to be finished.
Status Intake::follow_tail() {
  for (bool first = true;; first = false) {
    if (stop_.stop_requested()) {
      report_.complete = false;
      return {};
    }
    const auto found = TRY(find_segment(archive_.files, archive_.layout, tail_->epoch, tail_->name, size_));
    Neighbours neighbours;
    neighbours.known = TRY(catalog_.segment(tail_->name, tail_->epoch));
    if (!found) return first && neighbours.known ? scan_all() : Status{};
    neighbours.previous = TRY(previous_row(tail_->name, tail_->epoch));
    if (needs_reading(*found, neighbours)) {
      const auto row = TRY(index_segment(*found, neighbours));
      if (!row) return {};
      if (!row->problem.empty() || (neighbours.known && !neighbours.known->problem.empty()))
        gaps_may_differ_ = true;
    }
    if (found->file.partial) return {};
    tail_->name.number.value += 1;
  }
}

Result<std::optional<SegmentRow>> Intake::previous_row(SegmentName name, std::uint32_t epoch) {
  const SegmentName before{name.timeline, {name.number.value - 1}};
  auto same_epoch = TRY(catalog_.segment(before, epoch));
  if (same_epoch && same_epoch->problem.empty()) return same_epoch;
  if (auto counting = TRY(catalog_.segment(before))) return counting;
  // A timeline's first segment follows its parent's.
  const TimelineHistory* const history = timelines_.history(name.timeline);
  if (!history || history->entries.empty()) return std::optional<SegmentRow>{};
  const TimelineId owner = owner_of(*history, Lsn{start_of(name.number, size_).value - 1});
  if (owner == name.timeline) return std::optional<SegmentRow>{};
  return catalog_.segment(SegmentName{owner, before.number});
}

void Intake::report_names(const EpochFiles& listed) {
  const Path directory = archive_.layout.epoch(listed.epoch);
  for (const std::string& name : listed.unknown)
    if (reported_.insert((directory / name).string()).second)
      archive_.log.warn("archive", "unknown_name",
                        {{key::path, (directory / name).string()},
                         {key::hint, "pg_receivewal does not write such a name; it is left alone."}});
  for (const std::string& name : listed.leftovers)
    if (reported_.insert((directory / name).string()).second)
      archive_.log.warn("archive", "partial_beside_finished",
                        {{key::path, (directory / name).string()},
                         {key::hint, "The finished segment is used; the .partial is left alone."}});
}

void Intake::report_missing_histories(const std::vector<EpochFiles>& all) {
  for (const TimelineId timeline : timelines_.missing(all)) {
    const std::string name = history_file_name(timeline);
    if (!reported_.insert("missing " + name).second) continue;
    archive_.log.error("archive", "timeline_history_missing",
                       {{key::timeline, std::to_string(timeline.value)},
                        {key::path, name},
                        {key::hint,
                         "It was in the archive and is gone: copy it from pg_wal of the server into the "
                         "newest directory under wal/."}});
  }
}

}  // namespace walback
