#include "capture/capturer.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "capture/back_off.h"
#include "capture/capture_status.h"
#include "capture/primary_monitor.h"
#include "capture/receiver.h"
#include "capture/stall_detector.h"
#include "catalog/archive.h"
#include "os/system.h"

namespace walback {
namespace {

constexpr std::string_view kArea = "capture";
constexpr std::chrono::milliseconds kTick{100};
constexpr std::int64_t kStatusInterval = 1'000'000;
/// A look older than this says nothing about now.
constexpr std::int64_t kSightIsFresh = 5'000'000;
/// With the disk full there is no hurry, and each try costs a segment's worth of zeros.
constexpr std::chrono::milliseconds kDiskFullPause{10'000};

std::string milliseconds_text(std::chrono::milliseconds value) {
  return std::to_string(value.count());
}

/// The loop of run_capturer, cut into what happens in one tick.
class Capturer {
 public:
  Capturer(const CaptureSetup& setup, const ArchiveIdentity& identity, std::uint32_t epoch)
      : setup_(setup),
        guarded_{identity, setup.archive.root, setup.slot, epoch, std::nullopt},
        back_off_(setup.restart_min, setup.restart_max) {
    status_.pid = ::getpid();
    status_.started_at = setup.clock.now();
    status_.slot = setup.slot;
    status_.epoch = epoch;
    status_.system_identifier = identity.system_identifier;
    status_.synchronous = setup.synchronous;
  }

  Status run(std::stop_token stop);

 private:
  Status tick(const PrimaryMonitor& monitor, std::stop_token stop);
  Status take_in(const PrimaryMonitor::Sight& sight);
  void note_positions(const PrimaryView& view);
  Status watch_receiver();
  Status receiver_ended(ExitStatus how);
  void watch_progress(const PrimaryMonitor::Sight& sight);
  void start_receiver(std::stop_token stop);
  void log_lines();
  void publish_status(bool now);
  void decide_state();
  [[nodiscard]] bool may_start() const;
  [[nodiscard]] std::int64_t now_us() const { return setup_.clock.monotonic_us(); }

  const CaptureSetup& setup_;
  GuardedArchive guarded_;
  CaptureStatus status_, published_;
  std::unique_ptr<Receiver> receiver_;
  std::optional<ReceiverEnd> receiver_end_;
  BackOff back_off_;
  StallDetector stall_;
  Repetition unreachable_, failing_, status_unwritable_;
  std::uint64_t sights_ = 0, starts_ = 0;
  bool identity_seen_ = false, sender_seen_ = false, primary_fresh_ = false, primary_unreachable_ = true,
       disk_full_ = false;
  std::int64_t last_fresh_us_ = 0, next_start_us_ = 0, next_publish_us_ = 0;
};

Status Capturer::run(std::stop_token stop) {
  guarded_.newest_lsn = newest_lsn_by_name(TRY(setup_.files.list(setup_.archive.epoch(status_.epoch))),
                                           guarded_.identity.segment_size);
  setup_.log.info(kArea, "capture_started",
                  {{key::slot, setup_.slot},
                   {key::epoch, std::to_string(status_.epoch)},
                   {"synchronous", setup_.synchronous ? "true" : "false"},
                   {"resumes_at", guarded_.newest_lsn ? to_string(*guarded_.newest_lsn) : "slot"}});
  publish_status(true);
  Status result;
  {
    const PrimaryMonitor monitor(setup_.look ? setup_.look : look_at_primary(setup_.conninfo, setup_.slot),
                                 setup_.clock, setup_.look_interval);
    while (result && sleep_for(stop, kTick)) result = tick(monitor, stop);
    // Before the monitor is joined, which can take as long as a look: the WAL first.
    if (receiver_) {
      receiver_->stop();
      log_lines();
      receiver_.reset();
    }
    status_.state = CaptureState::stopped;
    status_.receivewal_pid.reset();
    if (!result) status_.last_error = result.error().message;
    publish_status(true);
  }
  if (result) {
    setup_.log.info(kArea, "capture_stopped");
  } else {
    setup_.log.error(kArea, "capture_cannot_go_on",
                     {{key::error, result.error().message}, {key::hint, result.error().hint}});
  }
  return result;
}

Status Capturer::tick(const PrimaryMonitor& monitor, std::stop_token stop) {
  const auto sight = monitor.latest();
  if (sight && sight->number != sights_) {
    sights_ = sight->number;
    TRY(take_in(*sight));
  }
  primary_fresh_ = last_fresh_us_ != 0 && now_us() - last_fresh_us_ <= kSightIsFresh;
  log_lines();
  TRY(watch_receiver());
  if (!receiver_ && may_start()) start_receiver(stop);
  decide_state();
  publish_status(false);
  return {};
}

Status Capturer::take_in(const PrimaryMonitor::Sight& sight) {
  if (!sight.view) {
    const auto& error = sight.view.error();
    primary_unreachable_ = error.kind == ErrorKind::unreachable;
    sender_seen_ = false;
    status_.last_error = error.message;
    if (unreachable_.due(now_us())) {
      setup_.log.warn(kArea, "primary_not_seen", {{key::error, error.message}, {key::hint, error.hint}});
    }
    return {};
  }
  TRY(guard_slot(*sight.view, guarded_));
  if (unreachable_.over()) setup_.log.info(kArea, "primary_seen_again");
  identity_seen_ = true;
  primary_unreachable_ = false;
  last_fresh_us_ = sight.taken_us;
  sender_seen_ = sight.view->sender.has_value();
  status_.primary_seen_at = sight.taken_at;
  note_positions(*sight.view);
  watch_progress(sight);
  return {};
}

/// After a restart pg_receivewal begins at its segment's start and reports positions that were passed before;
/// what is on disk beyond them is still there. Only a primary that is itself behind makes them go back.
void Capturer::note_positions(const PrimaryView& view) {
  status_.primary_flush_lsn = view.flush_lsn;
  if (!receiver_ || !view.sender) return;
  const auto advance = [&](std::optional<Lsn>& position, std::optional<Lsn> reported) {
    if (!reported || !reported->valid()) return;
    if (!position || *position < *reported || view.flush_lsn < *position) position = reported;
  };
  advance(status_.held_lsn, view.sender->write_lsn);
  advance(status_.durable_lsn, view.sender->flush_lsn);
  if (status_.held_lsn && (!guarded_.newest_lsn || *guarded_.newest_lsn < *status_.held_lsn)) {
    guarded_.newest_lsn = status_.held_lsn;
  }
}

void Capturer::watch_progress(const PrimaryMonitor::Sight& sight) {
  // A look that was under way when this pg_receivewal was started does not know it.
  if (!receiver_ || sight.taken_us - receiver_->started_us() < 1'000'000) return;
  const auto& view = *sight.view;
  ReceiverObservation seen;
  seen.now_us = sight.taken_us;
  seen.attached = view.sender.has_value();
  seen.primary_flush_lsn = view.flush_lsn;
  if (view.sender) seen.write_lsn = view.sender->write_lsn;
  const auto verdict = stall_.observe(seen);
  if (verdict == StallDetector::Verdict::fine) return;
  const std::string what =
      verdict == StallDetector::Verdict::stalled
          ? fmt::format("pg_receivewal stands at {} while the primary has flushed {}",
                        seen.write_lsn ? to_string(*seen.write_lsn) : "nothing", to_string(view.flush_lsn))
          : fmt::format("pg_receivewal runs, but the primary has no walsender on slot '{}'", setup_.slot);
  setup_.log.warn(kArea, "receivewal_stuck",
                  {{key::error, what}, {key::pid, std::to_string(receiver_->pid())}, {"restarting", "true"}});
  status_.last_error = what;
  receiver_->stop();
  stall_.reset();
}

void Capturer::log_lines() {
  if (!receiver_) return;
  for (const auto& line : receiver_->take_lines()) {
    const bool harmless = classify_receivewal_line(line) == ReceivewalLine::information;
    setup_.log.write(harmless ? LogLevel::info : LogLevel::warn, kArea, "receivewal_line", {{"line", line}});
    note_line(receiver_end_, line);
  }
}

Status Capturer::watch_receiver() {
  if (!receiver_) return {};
  const auto how = receiver_->ended();
  if (!how) return {};
  log_lines();
  return receiver_ended(*how);
}

Status Capturer::receiver_ended(ExitStatus how) {
  const auto ran = std::chrono::milliseconds((now_us() - receiver_->started_us()) / 1000);
  const auto end = std::exchange(receiver_end_, std::nullopt).value_or(ReceiverEnd{});
  receiver_.reset();
  stall_.reset();
  sender_seen_ = false;
  status_.receivewal_pid.reset();
  status_.last_error = end.line.empty() ? "pg_receivewal ended: " + to_string(how) : end.line;
  if (end.reason == ReceivewalLine::wal_removed) return tl::unexpected(wal_removed_error(guarded_, end.line));
  if (end.reason == ReceivewalLine::not_in_history) {
    return tl::unexpected(not_in_history_error(guarded_, end.line));
  }
  disk_full_ = end.reason == ReceivewalLine::disk_full;
  auto wait = back_off_.next(ran, random_u64());
  if (disk_full_) wait = std::max(wait, kDiskFullPause);
  next_start_us_ = now_us() + wait.count() * 1000;
  if (ran >= BackOff::kHealthyTime) failing_.over();
  if (disk_full_ || end.reason == ReceivewalLine::wrong_partial_size ||
      end.reason == ReceivewalLine::not_permitted) {
    if (failing_.due(now_us())) {
      setup_.log.error(kArea, disk_full_ ? "disk_full" : "receivewal_refused",
                       {{key::error, end.line},
                        {key::hint, disk_full_ ? "Make room on the archive's file system; nothing of it is "
                                                 "deleted by itself, and capture goes on when there is room."
                                               : "Mend what the line names; pg_receivewal is tried again."}});
    }
  }
  setup_.log.warn(kArea, "receivewal_ended",
                  {{"how", to_string(how)},
                   {"ran_ms", milliseconds_text(ran)},
                   {"next_start_ms", milliseconds_text(wait)}});
  return {};
}

/// Never before the primary was seen to be ours. Later also unseen, unless nobody answers at all: sessions
/// for queries may be used up while replication has its own.
bool Capturer::may_start() const {
  return identity_seen_ && now_us() >= next_start_us_ && (primary_fresh_ || !primary_unreachable_);
}

void Capturer::start_receiver(std::stop_token stop) {
  const auto give_up = [&](const Error& error) {
    status_.last_error = error.message;
    disk_full_ = error.kind == ErrorKind::disk_full;
    next_start_us_ = now_us() + back_off_.next({}, random_u64()).count() * 1000;
    if (failing_.due(now_us())) {
      setup_.log.error(kArea, "receivewal_not_started",
                       {{key::error, error.message}, {key::hint, error.hint}});
    }
  };
  const auto directory = setup_.archive.epoch(status_.epoch);
  const auto completed = complete_padding(setup_.files, directory, guarded_.identity.segment_size, stop);
  if (!completed) return give_up(completed.error());
  for (const auto& name : *completed) {
    setup_.log.warn(kArea, "partial_completed",
                    {{key::path, (directory / name).string()},
                     {"why", "pg_receivewal was ended while it padded the file with zeros"}});
  }
  const auto conninfo = make_receiver_conninfo(setup_.conninfo);
  if (!conninfo) return give_up(conninfo.error());
  const auto command =
      receivewal_command({setup_.pg_receivewal, directory, *conninfo, setup_.slot, setup_.synchronous});
  auto started = Receiver::start(setup_.processes, command, now_us());
  if (!started) return give_up(started.error());
  status_.restarts = starts_++;
  receiver_ = std::move(*started);
  receiver_end_.reset();
  stall_.reset();
  status_.receivewal_pid = receiver_->pid();
  setup_.log.info(kArea, "receivewal_started",
                  {{key::pid, std::to_string(receiver_->pid())}, {key::path, directory.string()}});
}

void Capturer::decide_state() {
  if (receiver_ && sender_seen_ && primary_fresh_) {
    status_.state = CaptureState::streaming;
    disk_full_ = false;
  } else if (disk_full_) {
    status_.state = CaptureState::disk_full;
  } else if (receiver_ && !status_.held_lsn && primary_fresh_) {
    status_.state = CaptureState::starting;
  } else {
    status_.state = CaptureState::waiting;
  }
}

void Capturer::publish_status(bool now) {
  if (!now && now_us() < next_publish_us_ && status_.state == published_.state &&
      status_.receivewal_pid == published_.receivewal_pid) {
    return;
  }
  next_publish_us_ = now_us() + kStatusInterval;
  status_.updated_at = setup_.clock.now();
  published_ = status_;
  const auto written = write_capture_status(setup_.files, setup_.archive, status_);
  if (written) {
    status_unwritable_.over();
  } else if (status_unwritable_.due(now_us())) {
    setup_.log.warn(kArea, "status_not_written", {{key::error, written.error().message}});
  }
}

}  // namespace

Status run_capturer(const CaptureSetup& setup, std::stop_token stop) {
  const auto identity = TRY(read_archive_identity(setup.files, setup.archive));
  TRY(setup.files.create_directories(setup.archive.lock("capture").parent_path()));
  const auto lock = TRY(FileLock::take(setup.archive.lock("capture"), "the capturer"));
  const auto epoch = TRY(open_newest_epoch(setup.files, setup.archive));
  return Capturer(setup, identity, epoch).run(stop);
}

}  // namespace walback
