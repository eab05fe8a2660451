#include "capture/capturer.h"

#include <fmt/format.h>
#include <unistd.h>

#include "capture/back_off.h"
#include "capture/capture_status.h"
#include "capture/disk_guard.h"
#include "capture/epochs.h"
#include "capture/followed_host.h"
#include "capture/held_end.h"
#include "capture/held_file.h"
#include "capture/primary_monitor.h"
#include "capture/receiver_supervisor.h"
#include "capture/slot_holder.h"
#include "capture/status_publisher.h"
#include "catalog/archive.h"
#include "catalog/held_wal.h"
#include "os/system.h"

namespace walback {
namespace {

constexpr std::string_view kArea = "capture";
constexpr std::chrono::milliseconds kTick{100};
/// A look older than this says nothing about now.
constexpr std::int64_t kSightIsFresh = 5'000'000;
constexpr int kMostWalRefusals = 5;

/// The loop of run_capturer, cut into what happens in one tick.
class Capturer {
 public:
  Capturer(const CaptureSetup& setup, const ArchiveIdentity& identity, std::uint32_t epoch)
      : setup_(setup),
        guarded_{identity, setup.archive.root, setup.slot, epoch, std::nullopt},
        publisher_(setup),
        receiver_(setup, guarded_, status_),
        disk_(setup, identity.segment_size),
        host_(setup.log) {
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
  void follow(const PrimaryView& view);
  Status judge_refusal(const PrimaryView& view);
  void note_positions(const PrimaryView& view);
  void look_for_file(const PrimaryView& view);
  Status start_receiver(std::stop_token stop);
  Status settle_epoch();
  void publish_status(bool now) { publisher_.publish(status_, now); }
  void decide_state();
  [[nodiscard]] bool may_start() const;
  [[nodiscard]] std::int64_t now_us() const { return setup_.clock.monotonic_us(); }

  const CaptureSetup& setup_;
  GuardedArchive guarded_;
  CaptureStatus status_;
  StatusPublisher publisher_;
  ReceiverSupervisor receiver_;
  DiskGuard disk_;
  FollowedHost host_;
  SlotHolder holder_;
  HeldFile held_file_;
  Repetition unreachable_;
  std::uint64_t sights_ = 0;
  bool identity_seen_ = false, sender_seen_ = false, primary_fresh_ = false, primary_unreachable_ = true,
       seen_since_end_ = false;
  std::int64_t last_fresh_us_ = 0, ended_us_ = 0;
  int wal_refusals_ = 0;
};

Status Capturer::run(std::stop_token stop) {
  const Path epoch = setup_.archive.epoch(status_.epoch);
  if (const auto resume = resume_point(TRY(setup_.files.list(epoch)), guarded_.identity.segment_size)) {
    guarded_.newest_lsn = held_end(setup_.files, epoch, guarded_.identity, *resume);
    guarded_.newest_timeline = resume->timeline;
  }
  setup_.log.info(kArea, "capture_started",
                  {{key::slot, setup_.slot},
                   {key::epoch, std::to_string(status_.epoch)},
                   {"synchronous", setup_.synchronous ? "true" : "false"},
                   {"resumes_at", guarded_.newest_lsn ? to_string(*guarded_.newest_lsn) : "slot"}});
  publish_status(true);
  Status result;
  {
    const auto known = [&]() -> Result<KnownCluster> {
      return KnownCluster{
          guarded_.identity.system_identifier, TRY(newest_history(setup_.files, setup_.archive)), {}};
    };
    const PrimaryMonitor monitor(
        setup_.look ? setup_.look : look_at_primary(setup_.conninfo, setup_.slot, known), setup_.clock,
        setup_.look_interval);
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
  const bool was_running = receiver_.running();
  TRY(receiver_.watch());
  disk_.look(status_);
  if (disk_.full()) receiver_.stop();
  if (!receiver_.running()) {
    sender_seen_ = false;
    if (was_running) {
      seen_since_end_ = false;
      ended_us_ = now_us();
      if (!receiver_.wal_refused().empty()) ++wal_refusals_;
    }
    // Whose history refused it? The next look tells.
    if (was_running && !receiver_.history_refused().empty()) identity_seen_ = false;
    if (may_start()) TRY(start_receiver(stop));
  }
  decide_state();
  publish_status(false);
  return {};
}

Status Capturer::take_in(const PrimaryMonitor::Sight& sight) {
  if (!sight.view) {
    const auto& error = sight.view.error();
    if (error.kind == ErrorKind::conflict || error.kind == ErrorKind::foreign_system)
      return tl::unexpected(error);
    primary_unreachable_ = error.kind == ErrorKind::unreachable;
    seen_since_end_ = seen_since_end_ || sight.begun_us >= ended_us_;
    sender_seen_ = false;
    status_.last_error = error.message;
    if (unreachable_.due(now_us())) {
      setup_.log.warn(kArea, "primary_not_seen", {{key::error, error.message}, {key::hint, error.hint}});
    }
    return {};
  }
  TRY(guard_slot(*sight.view, guarded_));
  holder_.observe(sight.view->sender, receiver_.ran_at(sight.taken_us));
  if (auto rival = holder_.rival(setup_.slot)) return tl::unexpected(std::move(*rival));
  if (sight.begun_us >= ended_us_) {
    seen_since_end_ = true;
    TRY(judge_refusal(*sight.view));
  }
  follow(*sight.view);
  if (unreachable_.over()) setup_.log.info(kArea, "primary_seen_again");
  identity_seen_ = true;
  primary_unreachable_ = false;
  last_fresh_us_ = sight.taken_us;
  sender_seen_ = sight.view->sender && holder_.is_ours(*sight.view->sender);
  status_.primary_seen_at = sight.taken_at;
  note_positions(*sight.view);
  if (receiver_.ran_at(sight.begun_us)) look_for_file(*sight.view);
  receiver_.watch_progress(sight);
  return {};
}

/// pg_receivewal says that the primary removed what must come next. Its words are only believed where the
/// primary's own directory cannot be asked, or contradicts them again and again.
Status Capturer::judge_refusal(const PrimaryView& view) {
  if (sender_seen_) wal_refusals_ = 0;
  if (receiver_.wal_refused().empty()) return {};
  // Somebody may have removed files here, so that it wanted to begin earlier than we know.
  GuardedArchive on_disk = guarded_;
  if (const auto entries = setup_.files.list(setup_.archive.epoch(status_.epoch)))
    if (const auto resume = resume_point(*entries, guarded_.identity.segment_size))
      on_disk.newest_lsn = resume->lsn;
  const bool contradicted = view.oldest_wal_file && !next_wal_is_gone(view.oldest_wal_file, on_disk);
  if (contradicted && wal_refusals_ < kMostWalRefusals) return {};
  return tl::unexpected(wal_removed_error(on_disk, receiver_.wal_refused()));
}

void Capturer::follow(const PrimaryView& view) {
  if (!host_.take(view)) return;
  receiver_.stop();
  status_.host = host_.host().name;
  status_.timeline = host_.history().timeline.value;
  status_.held_lsn.reset();
  status_.durable_lsn.reset();
}

/// What only a person can mend ends the capturer; a full disk passes.
Status Capturer::start_receiver(std::stop_token stop) {
  const Status settled = settle_epoch();
  if (settled) {
    receiver_.start(host_.host().conninfo, host_.may_set_lc_messages(), stop);
  } else if (settled.error().kind == ErrorKind::conflict) {
    return settled;
  } else {
    receiver_.put_off(settled.error());
  }
  return {};
}

/// In the newest epoch, or in a new one where the server's history says that it must be. pg_receivewal's own
/// words about its history follow the server's language, and come too late: they are only believed where
/// ours finds nothing to object to.
Status Capturer::settle_epoch() {
  const Path epoch = setup_.archive.epoch(status_.epoch);
  if (!exists(setup_.files, epoch)) {  // somebody removed it
    TRY(setup_.files.create_directories(epoch));
    TRY(setup_.files.sync_directory(setup_.archive.wal()));
  }
  const auto entries = TRY(setup_.files.list(epoch));
  if (const auto resume = resume_point(entries, guarded_.identity.segment_size)) {
    const auto reason = TRY(reason_for_new_epoch(*resume, host_.history()));
    if (!reason && !receiver_.history_refused().empty())
      return tl::unexpected(not_in_history_error(guarded_, receiver_.history_refused()));
    if (reason) {
      status_.epoch = TRY(open_epoch(setup_.files, setup_.archive, setup_.clock.now(), *reason));
      guarded_.epoch = status_.epoch;
      setup_.log.warn(kArea, "epoch_opened",
                      {{key::epoch, std::to_string(status_.epoch)}, {"reason", *reason}});
    }
  }
  return {};
}

/// After a restart pg_receivewal begins at its segment's start and reports positions that were passed before;
/// what is on disk beyond them is still there. Only a primary that is itself behind makes them go back.
void Capturer::note_positions(const PrimaryView& view) {
  status_.primary_flush_lsn = view.flush_lsn;
  if (!receiver_.running() || !view.sender || !holder_.is_ours(*view.sender)) return;
  const auto advance = [&](std::optional<Lsn>& position, std::optional<Lsn> reported) {
    if (!reported || !reported->valid()) return;
    if (!position || *position < *reported || view.flush_lsn < *position) position = reported;
  };
  advance(status_.held_lsn, view.sender->write_lsn);
  advance(status_.durable_lsn, view.sender->flush_lsn);
  if (status_.held_lsn && (!guarded_.newest_lsn || *guarded_.newest_lsn < *status_.held_lsn)) {
    guarded_.newest_lsn = status_.held_lsn;
    guarded_.newest_timeline = view.history.timeline;
  }
}

void Capturer::look_for_file(const PrimaryView& view) {
  if (!view.sender || !view.sender->write_lsn || !holder_.is_ours(*view.sender)) return;
  const Path epoch = setup_.archive.epoch(status_.epoch);
  const auto gone = held_file_.missed(setup_.files, epoch, view.history.timeline, *view.sender->write_lsn,
                                      guarded_.identity.segment_size);
  if (!gone || !*gone) return;
  status_.last_error =
      fmt::format("'{}' is gone, and pg_receivewal still writes to it", (epoch / **gone).string());
  setup_.log.error(kArea, "wal_file_vanished",
                   {{key::error, status_.last_error},
                    {key::hint,
                     "Find out who deletes in the archive. pg_receivewal is started again and "
                     "fetches this segment anew; what is gone of older ones is a gap."}});
  receiver_.stop();
}

/// Never before the primary was seen to be ours. Later also unseen, unless nobody answers at all: sessions
/// for queries may be used up while replication has its own.
bool Capturer::may_start() const {
  return !disk_.full() && identity_seen_ && seen_since_end_ && receiver_.due() &&
         (primary_fresh_ || !primary_unreachable_);
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

}  // namespace

Status run_capturer(const CaptureSetup& setup, std::stop_token stop) {
  const auto identity = TRY(read_archive_identity(setup.files, setup.archive));
  TRY(setup.files.create_directories(setup.archive.lock("capture").parent_path()));
  const auto lock = TRY(FileLock::take(setup.archive.lock("capture"), "the capturer"));
  const auto epoch = TRY(open_newest_epoch(setup.files, setup.archive));
  return Capturer(setup, identity, epoch).run(stop);
}

}  // namespace walback
