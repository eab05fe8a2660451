#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/timestamp.h"
#include "wal/segment_name.h"

/// What was looked at and found right, and when: rows that live in the journal, because nothing else in an
/// archive says so.
namespace walback {

/// Finished segments of one epoch with consecutive numbers, every byte of which was read and was right. Runs,
/// not segments: 100,000 of them are some 1,600 journal lines with an fsync each. `digest` is over size,
/// change time and checksum of each: another file in one of the places shows.
struct VerifiedRun {
  TimelineId timeline;
  std::uint32_t epoch = 1;
  SegmentNumber first, last;  ///< both included
  std::uint32_t digest = 0;
  Timestamp verified_at;  ///< when the first of them was begun
  bool operator==(const VerifiedRun&) const = default;
};
/// Longer runs would cost more reading when one of their segments changes or expires.
inline constexpr std::uint64_t kSegmentsPerVerifiedRun = 64;

/// `digest` is over path, size and change time of every file below the backup's directory.
struct VerifiedBackup {
  std::string id;
  std::uint32_t digest = 0;
  Timestamp verified_at;
  bool operator==(const VerifiedBackup&) const = default;
};

/// One `walback verify` that came to its end.
struct VerificationRow {
  Timestamp started_at, finished_at;
  bool everything = false;  ///< WAL and base backups; not one of them alone
  std::uint64_t read_bytes = 0;
  std::uint64_t segments = 0, backups = 0;  ///< right, read now or remembered
  std::uint64_t findings = 0;
  /// The oldest look that it still relies on: everything was verified at or after it.
  Timestamp oldest_look;
  bool operator==(const VerificationRow&) const = default;
};

/// running: under way, or its process was killed.
enum class DrillState : std::uint8_t { running, passed, failed, interrupted };
[[nodiscard]] std::string_view name_of(DrillState state);
[[nodiscard]] std::optional<DrillState> drill_state_named(std::string_view name);

/// One `walback drill`.
struct DrillRow {
  Timestamp started_at;
  std::optional<Timestamp> finished_at;
  DrillState state = DrillState::running;
  std::uint64_t seed = 0;
  std::string target;       ///< as options: "--to-lsn 0/5000028 --before"; empty: none was chosen
  std::string directory;    ///< of the restored copy
  std::int64_t rto_us = 0;  ///< from the plan to the proven, writable copy; 0: it did not come as far
  std::uint64_t base_bytes = 0, wal_bytes = 0;  ///< what was restored in that time
  std::string checks;                           ///< "proof, amcheck, pages"
  std::string error;                            ///< of a failed one
  bool kept = false;                            ///< the copy stays, because a person asked for it
  bool operator==(const DrillRow&) const = default;
};

}  // namespace walback
