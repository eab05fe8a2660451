#pragma once
#include <chrono>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "archive/archive_context.h"
#include "archive/mirror.h"
#include "archive/watermark.h"
#include "config/config.h"

namespace walback {

inline constexpr std::chrono::milliseconds kPrimaryRetryMin{1'000};
inline constexpr std::chrono::milliseconds kPrimaryRetryMax{30'000};
inline constexpr std::chrono::milliseconds kPrimaryTimeout{5'000};  ///< connect, and each statement

/// Whatever the manager has to say to the primary, in a thread of its own: takes watermarks, writes the
/// mirror. Its failures are WARNs, said when they change, retried with back-off; they never reach the intake.
/// A server with another system identifier is not our primary, and a standby has no insert position: both are
/// refused like one that does not answer.
class PrimarySide {
 public:
  PrimarySide(const ArchiveContext& archive, const Config& config);
  ~PrimarySide();
  PrimarySide(const PrimarySide&) = delete;
  PrimarySide& operator=(const PrimarySide&) = delete;

  /// The watermark taken since the last call. The next round begins only when `ready` says that this one was
  /// dealt with.
  [[nodiscard]] std::optional<WatermarkRow> take();
  void ready(TimelineId newest);
  [[nodiscard]] std::string error() const;

 private:
  void run(const std::stop_token& stop);
  [[nodiscard]] Status round(const std::stop_token& stop);
  [[nodiscard]] Status connect();
  [[nodiscard]] Status watermark_round(const std::stop_token& stop);
  [[nodiscard]] Status mirror_round();
  void fail_with(const std::string& what, const Error& error);
  void say(const std::string& what, const std::string& text, const std::string& hint);

  ArchiveContext archive_;
  Config config_;

  // The thread's own.
  std::optional<Connection> connection_;
  TimelineId timeline_;
  Mirror mirror_;
  std::optional<Catalog> catalog_;
  std::int64_t next_watermark_us_ = 0, next_mirror_us_ = 0;
  std::chrono::milliseconds mirror_retry_ = kMirrorInterval;

  mutable std::mutex mutex_;
  std::optional<WatermarkRow> taken_;
  bool wanted_ = true;
  TimelineId newest_;
  std::string watermark_error_, mirror_error_;

  std::jthread thread_;  ///< last: it uses all of the above
};

}  // namespace walback
