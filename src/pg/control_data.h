#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "os/file_system.h"
#include "pg/binaries.h"
#include "wal/lsn.h"
#include "wal/segment_name.h"

namespace walback {

/// What global/pg_control says of a data directory.
struct ControlData {
  std::uint64_t system_identifier = 0;
  std::uint32_t pg_control_version = 0;  ///< 1300 for 13 to 16
  std::uint32_t catalog_version = 0;
  std::string state;  ///< "in production", "shut down", "in archive recovery", …
  Lsn checkpoint_lsn, redo_lsn;
  TimelineId timeline, previous_timeline;
  bool full_page_writes = false;
  std::uint64_t next_xid = 0;    ///< with its epoch above the low 32 bits
  Lsn minimum_recovery_end_lsn;  ///< 0/0: none
  TimelineId minimum_recovery_end_timeline;
  Lsn backup_start_lsn, backup_end_lsn;
  bool backup_end_required = false;
  std::string wal_level;
  int max_connections = 0, max_worker_processes = 0, max_wal_senders = 0, max_prepared_transactions = 0,
      max_locks_per_transaction = 0;
  bool track_commit_timestamp = false;
  SegmentSize segment_size = *SegmentSize::from_bytes(16U << 20);
  bool data_checksums = false;
};

/// From pg_controldata's output in the C locale. A missing or senseless line is `corrupt` and named.
[[nodiscard]] Result<ControlData> parse_control_data(std::string_view text, const std::string& what);
/// Runs pg_controldata on the directory; it may belong to a running server. No pg_control: not_found. One
/// that is too short or whose CRC does not fit (again and again): `corrupt`.
[[nodiscard]] Result<ControlData> read_control_data(const Binaries& binaries, const Path& data_directory);

}  // namespace walback
