#include "archive/freshness.h"

#include <fmt/format.h>

#include "archive/intake.h"
#include "archive/segment_reading.h"
#include "catalog/archive.h"
#include "os/system.h"

namespace walback {
namespace {

constexpr std::chrono::milliseconds kPoll{50};

/// The newest segment on disk, and how far valid records reach in it now.
struct DiskEnd {
  SegmentFile file;
  Lsn valid_end;
};

Result<std::optional<SegmentFile>> newest_file(const ArchiveContext& archive) {
  const EpochList epochs = TRY(list_epochs(archive.files, archive.layout));
  for (auto epoch = epochs.numbers.rbegin(); epoch != epochs.numbers.rend(); ++epoch) {
    auto listed = TRY(list_epoch(archive.files, archive.layout, *epoch, archive.identity.segment_size));
    if (!listed.segments.empty()) return std::optional<SegmentFile>{std::move(listed.segments.back())};
  }
  return std::optional<SegmentFile>{};
}

ReadingPlan plan_for(const SegmentFile& file, const std::optional<SegmentRow>& row,
                     const std::vector<TimelineRow>& timelines, SegmentSize size) {
  ReadingPlan plan{.from = ReadFrom::first_at_or_after(start_of(file.name.number, size)),
                   .own_begin = {},
                   .history = {file.name.timeline, {}},
                   .locate = {}};
  if (row && row->last_record_lsn) plan.from = ReadFrom::boundary(row->valid_end_lsn, row->last_record_lsn);
  for (const TimelineRow& known : timelines)
    if (known.timeline == file.name.timeline && known.history_captured)
      if (auto history = parse_timeline_history(known.timeline, known.history))
        plan.history = std::move(*history);
  return plan;
}

/// Reads on from the catalog's row where there is one (usually one page), else from the segment's start.
/// Begun again when pg_receivewal renames the file meanwhile.
Result<std::optional<DiskEnd>> end_on_disk(const ArchiveContext& archive, const Catalog& catalog) {
  constexpr int kAttempts = 5;
  const auto ignore = [](ReadingBatch&&) -> Status { return {}; };
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto file = TRY(newest_file(archive));
    if (!file) return std::optional<DiskEnd>{};
    const auto row = TRY(catalog.segment(file->name, file->epoch));
    const ReadingPlan plan = plan_for(*file, row, TRY(catalog.timelines()), archive.identity.segment_size);
    const Reading reading = TRY(read_segment(archive.files, archive.identity, *file, plan, ignore));
    if (reading.stop.kind == StopKind::unreadable && reading.source_error.kind == ErrorKind::not_found)
      continue;
    // Where no record has ended yet, its row is all there is to wait for.
    const bool says_something = plan.from.at_boundary || reading.rest.last_record_lsn;
    return std::optional<DiskEnd>{{std::move(*file), says_something ? reading.rest.valid_end_lsn : Lsn{}}};
  }
  return fail(ErrorKind::unavailable, "the newest WAL segment was renamed each time it was looked at",
              "Try again.");
}

Result<bool> has_reached(const Catalog& catalog, const DiskEnd& end) {
  const auto row = TRY(catalog.segment(end.file.name, end.file.epoch));
  return row && (!row->problem.empty() || row->valid_end_lsn >= end.valid_end);
}

Status intake_ourselves(const ArchiveContext& archive, const ListBackups& backups,
                        const std::stop_token& stop) {
  const auto pass = [&](Catalog& catalog) { return Intake(archive, catalog).pass(Scan::all, stop); };
  auto report = [&]() -> Result<IntakeReport> {
    Catalog catalog = TRY(open_or_rebuild_catalog(archive, backups));
    return pass(catalog);
  }();
  if (!report && report.error().kind == ErrorKind::corrupt) {
    Catalog catalog = TRY(rebuild_catalog(archive, backups, report.error()));
    report = pass(catalog);
  }
  if (!TRY(report).complete) return fail(ErrorKind::interrupted, "the intake was stopped before its end");
  return {};
}

/// What whoever holds the lock still has to index; looked up once, so that a busy primary cannot keep us.
class Others {
 public:
  explicit Others(const ArchiveContext& archive) : archive_(archive) {}

  Result<bool> are_there() {
    auto catalog = Catalog::open_read_only(archive_.catalog_path);
    // A manager that has just started may not have made its catalog yet.
    if (!catalog &&
        (catalog.error().kind == ErrorKind::not_found || catalog.error().kind == ErrorKind::unavailable))
      return false;
    if (!catalog) return tl::unexpected(catalog.error());
    if (!looked_) end_ = TRY(end_on_disk(archive_, *catalog));
    looked_ = true;
    return !end_ || TRY(has_reached(*catalog, *end_));
  }
  [[nodiscard]] std::string place() const {
    if (!end_) return "";
    return fmt::format(" ({} in {})", to_string(end_->valid_end), end_->file.path.filename().string());
  }

 private:
  const ArchiveContext& archive_;
  bool looked_ = false;
  std::optional<DiskEnd> end_;
};

}  // namespace

Status bring_index_up_to_date(const ArchiveContext& archive, const ListBackups& backups, std::stop_token stop,
                              std::chrono::milliseconds patience) {
  const std::int64_t deadline_us = archive.clock.monotonic_us() + std::chrono::microseconds(patience).count();
  Others others(archive);
  while (true) {
    const auto lock = FileLock::take(archive.layout.lock(kIntakeLock), "the intake");
    if (lock) return intake_ourselves(archive, backups, stop);
    if (lock.error().kind != ErrorKind::conflict) return tl::unexpected(lock.error());
    if (TRY(others.are_there())) return {};
    if (archive.clock.monotonic_us() >= deadline_us)
      return fail(
          ErrorKind::unavailable,
          "the WAL manager's index has not come as far as the WAL on disk" + others.place(),
          "It may be catching up: see manage.status in the archive or `walback status`, and try again.");
    if (!sleep_for(stop, kPoll))
      return fail(ErrorKind::interrupted, "waiting for the WAL manager was stopped");
  }
}

}  // namespace walback
