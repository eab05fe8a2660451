#pragma once
#include "capture/back_off.h"
#include "capture/capture_status.h"
#include "capture/capturer.h"

namespace walback {

/// Writes capture.status: about once a second, and at once when what people look at first has changed. A file
/// that cannot be written is said, and ends nothing.
class StatusPublisher {
 public:
  explicit StatusPublisher(const CaptureSetup& setup) : setup_(setup) {}

  void publish(CaptureStatus& status, bool now);

 private:
  const CaptureSetup& setup_;
  CaptureStatus published_;
  Repetition unwritable_;
  std::int64_t next_us_ = 0;
};

}  // namespace walback
