#pragma once
#include "capture/back_off.h"
#include "capture/capture_status.h"
#include "capture/capturer.h"
#include "capture/disk_forecast.h"

namespace walback {

/// Watches the room in the archive's file system for the capturer: warns with a forecast, says when to pause
/// before the last byte is written, and when to go on. A pause by hand leaves everything whole: pg_receivewal
/// ends in order and its `.partial` stays; the slot keeps what comes on the primary; status, journal and
/// catalog still have room. Nothing is ever deleted to make room. What cannot be measured does not pause.
class DiskGuard {
 public:
  DiskGuard(const CaptureSetup& setup, SegmentSize size);

  /// Measures when it is time, and notes in `status` what it saw.
  void look(CaptureStatus& status);
  [[nodiscard]] bool full() const { return state_ == DiskState::full; }

 private:
  void say(DiskState before, const ArchiveDisk& disk);

  const CaptureSetup& setup_;
  std::uint64_t reserve_bytes_;
  WalRate rate_;
  DiskState state_ = DiskState::fine;
  Repetition warning_, unmeasured_;
  std::int64_t next_look_us_ = 0;
};

}  // namespace walback
