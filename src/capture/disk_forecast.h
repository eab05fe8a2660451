#pragma once
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "os/file_system.h"
#include "pg/slots.h"
#include "wal/lsn.h"
#include "wal/segment_name.h"

/// When will a disk be full of WAL: the archive's, and the primary's. Pure; the caller brings what was seen.
namespace walback {

/// How fast the primary writes WAL, over the last ten minutes at most. A rate needs a minute to be one.
class WalRate {
 public:
  /// `now_us` is monotonic. An LSN that goes back (another primary) begins anew.
  void observe(std::int64_t now_us, Lsn flushed);
  [[nodiscard]] std::optional<std::uint64_t> bytes_per_second() const;

 private:
  struct Sample {
    std::int64_t at_us = 0;
    Lsn flushed;
  };
  std::deque<Sample> samples_;
};

/// What is left for the catalog, the journal and the segment under way when capturing pauses: `reserve_mb`,
/// or three segments and no less than 64 MB.
[[nodiscard]] std::uint64_t reserve_bytes(unsigned reserve_mb, SegmentSize size);

struct ArchiveDisk {
  std::uint64_t available_bytes = 0, reserve_bytes = 0;
  std::optional<std::uint64_t> wal_per_second;  ///< nothing: not measured
};

/// fine. nearly_full: less than three reserves, or the reserve is reached within a day at this rate. full:
/// the reserve is reached; once full it stays so until there is half of the reserve more, so that a few bytes
/// more or less do not start and stop the capture over and over.
enum class DiskState : std::uint8_t { fine, nearly_full, full };
[[nodiscard]] DiskState judge_disk(const ArchiveDisk& disk, bool was_full);

/// Until the reserve is reached, at this rate.
[[nodiscard]] std::optional<std::uint64_t> seconds_to_reserve(const ArchiveDisk& disk);

/// "1.5 GB free; at 12 MB/s of WAL the reserve of 64 MB is reached in about 2 min".
[[nodiscard]] std::string describe(const ArchiveDisk& disk);

/// What is known of the room that a slot's WAL has on its primary.
struct SlotRoom {
  ReplicationSlot slot;
  std::optional<std::uint64_t> wal_per_second;
  /// Of the file system that holds pg_wal. SQL cannot tell it: known only where the primary runs on this
  /// host.
  std::optional<DiskSpace> wal_disk;
};

/// Nothing: the slot is used and holds next to nothing back. `urgent`: WAL is lost, or the primary stands
/// still for want of room, within a day; or nobody can tell when.
struct SlotForecast {
  std::string text;
  bool urgent = false;
  bool limited = false;  ///< max_slot_wal_keep_size ends it, not the primary's disk
  std::optional<std::uint64_t> seconds_left;
};
[[nodiscard]] std::optional<SlotForecast> forecast_slot(const SlotRoom& room);

}  // namespace walback
