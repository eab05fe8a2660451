#include "capture/capturer.h"

#include <unistd.h>

#include "capture/back_off.h"
#include "capture/capture_status.h"
#include "capture/disk_guard.h"
#include "capture/epochs.h"
#include "capture/primary_monitor.h"
#include "capture/receiver_supervisor.h"
#include "catalog/archive.h"
#include "os/system.h"

namespace walback {
namespace {

constexpr std::string_view kArea = "capture";
constexpr std::chrono::milliseconds kTick{100};
constexpr std::int64_t kStatusInterval = 1'000'000;
/// A look older than this says nothing about now.
constexpr std::int64_t kSightIsFresh = 5'000'000;

/// The loop of run_capturer, cut into what happens in one tick.
class Capturer {
 public:
  Capturer(const CaptureSetup& setup, const ArchiveIdentity& identity, std::uint32_t epoch)
      : setup_(setup),
        guarded_{identity, setup.archive.root, setup.slot, epoch, std::nullopt},
        receiver_(setup, guarded_, status_),
        disk_(setup, identity.segment_size) {
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
  void publish_status(bool now);
  void decide_state();
  [[nodiscard]] bool may_start() const;
  [[nodiscard]] std::int64_t now_us() const { return setup_.clock.monotonic_us(); }

  const CaptureSetup& setup_;
  GuardedArchive guarded_;
  CaptureStatus status_, published_;
  ReceiverSupervisor receiver_;
  DiskGuard disk_;
  Repetition unreachable_, status_unwritable_;
  std::uint64_t sights_ = 0;
  bool identity_seen_ = false, sender_seen_ = false, primary_fresh_ = false, primary_unreachable_ = true;
  std::int64_t last_fresh_us_ = 0, next_publish_us_ = 0;
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
    receiver_.stop();
    status_.state = CaptureState::stopped;
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
  TRY(receiver_.watch());
  disk_.look(status_);
  if (disk_.full()) receiver_.stop();
  if (!receiver_.running()) {
    sender_seen_ = false;
    if (may_start()) receiver_.start(setup_.conninfo, stop);
  }
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
  receiver_.watch_progress(sight);
  return {};
}

/// After a restart pg_receivewal begins at its segment's start and reports positions that were passed before;
/// what is on disk beyond them is still there. Only a primary that is itself behind makes them go back.
void Capturer::note_positions(const PrimaryView& view) {
  status_.primary_flush_lsn = view.flush_lsn;
  if (!receiver_.running() || !view.sender) return;
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

/// Never before the primary was seen to be ours. Later also unseen, unless nobody answers at all: sessions
/// for queries may be used up while replication has its own.
bool Capturer::may_start() const {
  return !disk_.full() && identity_seen_ && receiver_.due() && (primary_fresh_ || !primary_unreachable_);
}

void Capturer::decide_state() {
  if (receiver_.running() && sender_seen_ && primary_fresh_) {
    status_.state = CaptureState::streaming;
    receiver_.disk_has_room();
  } else if (disk_.full() || receiver_.disk_full()) {
    status_.state = CaptureState::disk_full;
  } else if (receiver_.running() && !status_.held_lsn && primary_fresh_) {
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
