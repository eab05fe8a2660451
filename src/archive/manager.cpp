#include "archive/manager.h"

#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "archive/intake.h"
#include "archive/manage_status.h"
#include "archive/primary_side.h"
#include "archive/standby_slots.h"
#include "archive/wal_watch.h"
#include "archive/watermark.h"
#include "catalog/archive.h"
#include "catalog/follow_journal.h"
#include "os/system.h"

namespace walback {
namespace {

/// Two passes are at least so far apart: pg_receivewal --synchronous writes far more often.
constexpr std::chrono::milliseconds kPassPause{50};
/// A wake that the newest segment does not explain (a new timeline, a new epoch) brings a whole scan, at most
/// so often.
constexpr std::chrono::milliseconds kUnexplainedScanPause{2'000};
/// Somebody who empties a directory does it file by file.
constexpr std::chrono::milliseconds kTamperedScanPause{300};
/// A whole scan may take at most one part in so many of our time.
constexpr std::int64_t kScanShare = 50;
constexpr std::chrono::milliseconds kLockPoll{100};
constexpr int kLockAttempts = 5;
constexpr std::chrono::milliseconds kStatusPause{1'000};
constexpr std::chrono::milliseconds kStatusHeartbeat{10'000};
constexpr std::chrono::milliseconds kRetryMin{1'000};
constexpr std::chrono::milliseconds kRetryMax{30'000};
/// A catalog that is damaged again so soon after it was rebuilt is not the catalog's fault.
constexpr std::chrono::milliseconds kRebuildPause{600'000};

std::int64_t us(std::chrono::milliseconds duration) {
  return std::chrono::microseconds(duration).count();
}

class Manager {
 public:
  explicit Manager(const ManagerSetup& setup)
      : setup_(setup),
        archive_(setup.archive),
        keeper_(setup.archive, setup.config.manage.watermark_interval),
        watch_(setup.archive) {
    status_.pid = getpid();
    status_.started_at = archive_.clock.now();
  }

  Status run(const std::stop_token& stop) {
    publish_status(true);
    const auto lock = TRY(take_intake_lock(stop));
    watch_.open();
    standby_slots_.emplace(archive_, setup_.config);
    while (!stop.stop_requested()) {
      Status worked = work(stop);
      if (!worked && ends_us(worked.error())) return worked;
      settle_state(worked);
      publish_status(false);
      pause(stop, worked.has_value());
    }
    primary_.reset();
    status_.state = ManageState::stopped;
    publish_status(true);
    archive_.log.info("archive", "manager_stopped");
    return {};
  }

 private:
  /// A command may hold it for one pass.
  Result<std::optional<FileLock>> take_intake_lock(const std::stop_token& stop) {
    bool said = false;
    while (true) {
      auto lock = FileLock::take(archive_.layout.lock(kIntakeLock), "the intake");
      if (lock) return std::optional<FileLock>{std::move(*lock)};
      if (lock.error().kind != ErrorKind::conflict) return tl::unexpected(lock.error());
      if (!std::exchange(said, true))
        archive_.log.info("archive", "waiting_for_intake_lock", {{key::error, lock.error().message}});
      if (!sleep_for(stop, kLockPoll)) return std::optional<FileLock>{};
    }
  }

  static bool ends_us(const Error& error) {
    return error.kind == ErrorKind::conflict || error.kind == ErrorKind::foreign_system;
  }
  [[nodiscard]] std::int64_t now_us() const { return archive_.clock.monotonic_us(); }

  /// One pass of the intake and what follows from it.
  Status work(const std::stop_token& stop) {
    Status done = try_work(stop);
    if (done || done.error().kind != ErrorKind::corrupt || now_us() < rebuild_again_us_) return done;
    close_catalog();
    catalog_ = TRY(rebuild_catalog(archive_, setup_.backups, done.error()));
    rebuild_again_us_ = now_us() + us(kRebuildPause);
    return try_work(stop);
  }

  Status try_work(const std::stop_token& stop) {
    // A person, or a rebuild by another command, may have taken the file away under us.
    if (catalog_ && !exists(archive_.files, archive_.catalog_path)) close_catalog();
    if (!catalog_) catalog_ = TRY(open_or_rebuild_catalog(archive_, setup_.backups));
    if (!intake_) intake_.emplace(archive_, *catalog_);
    const bool whole = now_us() >= next_scan_us_;
    // Another process may have written a line and died, or written its row into a catalog that was replaced.
    if (whole) TRY(follow_journal(archive_.files, archive_.layout.journal(), *catalog_));
    const std::int64_t begun_us = now_us();
    const IntakeReport report = TRY(intake_->pass(whole ? Scan::all : Scan::news, stop));
    if (whole && report.complete) {
      const std::int64_t took_us = now_us() - begun_us;
      next_scan_us_ = now_us() + std::max(us(setup_.config.manage.scan_interval), took_us * kScanShare);
      unexplained_scan_us_ = now_us() + std::max(us(kUnexplainedScanPause), took_us * kScanShare);
      scanned_us_ = now_us();
      watch_.follow_epochs();
    } else if (news_ != WalNews::nothing && report.segments_read == 0) {
      next_scan_us_ = std::min(next_scan_us_, std::max(now_us(), unexplained_scan_us_));
    }
    status_.last_intake_at = archive_.clock.now();
    TRY(note_indexed());
    if (!primary_) primary_.emplace(archive_, setup_.config);
    return settle_watermark();
  }

  Status settle_watermark() {
    if (const auto taken = primary_->take()) keeper_.offer(*taken);
    const auto settled = keeper_.settle(*catalog_);
    if (!settled && settled.error().kind == ErrorKind::corrupt) return tl::unexpected(settled.error());
    // A journal that cannot be written is no reason to index more slowly; the watermark waits.
    const std::string failure = settled ? "" : settled.error().message;
    if (failure != watermark_error_ && !settled)
      archive_.log.error("archive", "watermark_not_stored",
                         {{key::error, failure}, {key::hint, settled.error().hint}});
    watermark_error_ = failure;
    if (!keeper_.waiting()) primary_->ready(newest_timeline_);
    if (const auto& covered = keeper_.newest_covered())
      status_.watermark = {covered->timeline, covered->lsn, covered->time};
    return {};
  }

  Status note_indexed() {
    status_.indexed.clear();
    for (const TimelineRow& row : TRY(catalog_->timelines()))
      if (const auto newest = TRY(catalog_->newest_segment(row.timeline))) note_newest(row.timeline, *newest);
    return {};
  }

  void note_newest(TimelineId timeline, const SegmentRow& newest) {
    status_.indexed.push_back({timeline, newest.valid_end_lsn});
    newest_timeline_ = std::max(newest_timeline_, timeline);
    if (timeline != newest_timeline_) return;
    const bool finished = newest.state == SegmentState::finished;
    standby_slots_->goes_on_at(
        {timeline, finished ? newest.start_lsn + archive_.identity.segment_size.bytes() : newest.start_lsn});
  }

  void close_catalog() {
    primary_.reset();
    intake_.reset();
    catalog_.reset();
    next_scan_us_ = 0;
  }

  void settle_state(const Status& worked) {
    status_.primary_error = !watermark_error_.empty() ? watermark_error_ : primary_ ? primary_->error() : "";
    if (worked) {
      if (status_.state == ManageState::failing) archive_.log.info("archive", "intake_recovered");
      status_.state = ManageState::current;
      status_.last_error.clear();
      retry_ = kRetryMin;
      return;
    }
    if (status_.last_error != worked.error().message)
      archive_.log.error("archive", "intake_failed",
                         {{key::error, worked.error().message}, {key::hint, worked.error().hint}});
    status_.state = ManageState::failing;
    status_.last_error = worked.error().message;
  }

  void pause(const std::stop_token& stop, bool worked) {
    news_ = WalNews::nothing;
    if (!worked) {
      sleep_for(stop, retry_);
      retry_ = std::min(retry_ * 2, kRetryMax);
      return;
    }
    sleep_for(stop, kPassPause);
    // A watermark is settled as soon as it is covered; WAL that covers it wakes us by itself.
    news_ = watch_.wait(stop, setup_.config.manage.interval);
    if (news_ == WalNews::tampering)
      next_scan_us_ = std::min(next_scan_us_, scanned_us_ + us(kTamperedScanPause));
  }

  /// Not at every pass: each costs two fsyncs. A full disk must not end the manager, so failures are shown by
  /// the file's age alone.
  void publish_status(bool now) {
    const std::int64_t age_us = now_us() - published_us_;
    ManageStatus same = published_;
    same.updated_at = status_.updated_at;
    same.last_intake_at = status_.last_intake_at;
    const bool changed = !(same == status_);
    const auto due = us(changed ? kStatusPause : kStatusHeartbeat);
    if (!now && published_us_ != 0 && age_us < due) return;
    status_.updated_at = archive_.clock.now();
    (void)publish(archive_.files, archive_.layout.manage_status(), to_text(status_));
    published_ = status_;
    published_us_ = now_us();
  }

  const ManagerSetup& setup_;
  ArchiveContext archive_;
  std::optional<Catalog> catalog_;
  std::optional<Intake> intake_;
  TimelineId newest_timeline_;  ///< of which there is WAL
  std::optional<StandbySlots> standby_slots_;
  std::optional<PrimarySide> primary_;
  WatermarkKeeper keeper_;
  WalWatch watch_;
  std::string watermark_error_;
  ManageStatus status_, published_;
  std::int64_t published_us_ = 0, next_scan_us_ = 0, unexplained_scan_us_ = 0, scanned_us_ = 0,
               rebuild_again_us_ = 0;
  std::chrono::milliseconds retry_ = kRetryMin;
  WalNews news_ = WalNews::nothing;
};

/// Whoever only asks whether a manager runs takes its lock for a moment: that is no other manager.
Result<FileLock> take_manager_lock(const ArchiveLayout& layout, const std::stop_token& stop) {
  for (int attempt = 1;; ++attempt) {
    auto lock = FileLock::take(layout.lock("manage"), "the WAL manager");
    if (lock || lock.error().kind != ErrorKind::conflict || attempt == kLockAttempts) return lock;
    sleep_for(stop, kLockPoll);
  }
}

}  // namespace

Status run_manager(const ManagerSetup& setup, std::stop_token stop) {
  const FileLock lock = TRY(take_manager_lock(setup.archive.layout, stop));
  setup.archive.log.info(
      "archive", "manager_started",
      {{key::path, setup.archive.layout.root.string()}, {key::pid, std::to_string(getpid())}});
  return Manager(setup).run(stop);
}

}  // namespace walback
