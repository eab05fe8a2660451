#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "base/timestamp.h"
#include "catalog/archive_layout.h"
#include "os/file_system.h"
#include "wal/lsn.h"

namespace walback {

/// starting: nothing received yet. streaming: pg_receivewal runs and the primary shows it on our slot.
/// waiting: the primary does not answer, or pg_receivewal is between two starts. disk_full: as waiting, for
/// room. stopped: the capturer ended (last_error says why, when it was not asked to).
enum class CaptureState : std::uint8_t { starting, streaming, waiting, disk_full, stopped };
[[nodiscard]] std::string_view name_of(CaptureState state);

/// What the capturer says of itself in `<archive>/capture.status`, about once a second. It is replaced
/// atomically but not synced: after a power cut it may be old or empty. Nothing is decided by it. Whether
/// the capturer lives is told by `updated_at` and by locks/capture.lock, not by `state`.
struct CaptureStatus {
  CaptureState state = CaptureState::starting;
  int pid = 0;
  std::optional<int> receivewal_pid;
  Timestamp started_at, updated_at;
  /// The same moment by this boot's monotonic clock: an age survives that the wall clock is set.
  std::int64_t updated_monotonic_us = 0;
  std::string slot;
  std::uint32_t epoch = 1;
  std::string host;            ///< that is followed: "db1:5432"; empty: none yet
  std::uint32_t timeline = 0;  ///< that it writes; 0: not seen yet
  std::uint64_t system_identifier = 0;
  bool synchronous = true;
  /// Reported by the primary for our slot (write_lsn, flush_lsn). Nothing until it was seen: never a guess.
  /// held: is here if the primary dies. durable: is here if this machine loses power as well.
  std::optional<Lsn> held_lsn, durable_lsn;
  std::optional<Lsn> primary_flush_lsn;
  std::optional<Timestamp> primary_seen_at;
  std::optional<std::uint64_t> disk_available_bytes;  ///< in the archive's file system
  std::uint64_t disk_reserve_bytes = 0;               ///< with less than this it pauses: disk_full
  std::optional<std::uint64_t> wal_bytes_per_second;  ///< written by the primary, over minutes
  std::uint64_t restarts = 0;                         ///< of pg_receivewal, since started_at
  std::string last_error;  ///< the newest thing that went wrong, also when it is over

  bool operator==(const CaptureStatus&) const = default;
};

[[nodiscard]] std::string to_text(const CaptureStatus& status);
/// Keys it does not know are ignored, so that an older `walback status` reads a newer capturer.
[[nodiscard]] Result<CaptureStatus> parse_capture_status(const std::string& text, const std::string& what);
/// It has said nothing for kCaptureSilence, or not since this machine was booted.
[[nodiscard]] bool is_silent(const CaptureStatus& status, const Clock& clock);
inline constexpr std::chrono::milliseconds kCaptureSilence{30'000};
/// not_found when no capturer ever ran here.
[[nodiscard]] Result<CaptureStatus> read_capture_status(FileSystem& files, const ArchiveLayout& archive);
/// Atomic, not durable.
[[nodiscard]] Status write_capture_status(FileSystem& files, const ArchiveLayout& archive,
                                          const CaptureStatus& status);

}  // namespace walback
