#pragma once
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "capture/back_off.h"
#include "capture/capture_status.h"
#include "capture/capturer.h"
#include "capture/primary_monitor.h"
#include "capture/receiver.h"
#include "capture/stall_detector.h"

namespace walback {

/// Keeps one pg_receivewal at work for the capturer: starts it, passes its lines on to the log, ends one that
/// is stuck, says when the next may start, and tells from its last words what needs a person.
///
/// It notes in `status` what it sees (receivewal_pid, restarts, last_error) and reads where to write from
/// `archive`; both belong to the capturer and are used in its thread alone.
class ReceiverSupervisor {
 public:
  ReceiverSupervisor(const CaptureSetup& setup, const GuardedArchive& archive, CaptureStatus& status)
      : setup_(setup), guarded_(archive), status_(status), back_off_(setup.restart_min, setup.restart_max) {}

  [[nodiscard]] bool running() const { return receiver_ != nullptr; }
  [[nodiscard]] bool ran_at(std::int64_t us) const { return receiver_ && receiver_->started_us() <= us; }
  /// The wait after the last end is over.
  [[nodiscard]] bool due() const { return now_us() >= next_start_us_; }
  [[nodiscard]] bool disk_full() const { return disk_full_; }
  void disk_has_room() { disk_full_ = false; }
  /// The last one was told that where it would go on is not in the server's history, in these words.
  [[nodiscard]] const std::string& history_refused() const { return history_refused_; }

  /// The last one was told that its WAL was removed, in these words, or what looks like them: they follow the
  /// server's language.
  [[nodiscard]] const std::string& wal_refused() const { return wal_refused_; }

  /// From the server that `primary` leads to, into the newest epoch. What keeps it from starting is logged
  /// and tried again after a wait.
  /// `english`: the server lets us choose the language of its messages.
  void start(const std::string& primary, bool english, std::stop_token stop);
  /// It cannot be started now, for this reason: said, and tried again after a wait.
  void put_off(const Error& error);
  /// Passes its lines on, and notices its end. An error needs a person.
  [[nodiscard]] Status watch();
  /// Ends one that receives nothing although the primary has more.
  void watch_progress(const PrimaryMonitor::Sight& sight);
  /// In order: what it received is flushed.
  void stop();

 private:
  [[nodiscard]] Status ended(ExitStatus how);
  void log_lines();
  [[nodiscard]] std::int64_t now_us() const { return setup_.clock.monotonic_us(); }

  const CaptureSetup& setup_;
  const GuardedArchive& guarded_;
  CaptureStatus& status_;
  std::unique_ptr<Receiver> receiver_;
  std::optional<ReceiverEnd> receiver_end_;
  BackOff back_off_;
  StallDetector stall_;
  Repetition failing_;
  std::uint64_t starts_ = 0;
  bool disk_full_ = false;
  std::string history_refused_, wal_refused_;
  std::int64_t next_start_us_ = 0;
};

}  // namespace walback
