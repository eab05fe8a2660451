#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pg/connection.h"
#include "wal/lsn.h"

namespace walback {

/// pg_replication_slots.wal_status. none: the slot reserves nothing (yet). reserved, extended: all is there.
/// unreserved: the next checkpoint may take it. lost: it is gone and the slot is useless.
enum class SlotWalStatus : std::uint8_t { none, reserved, extended, unreserved, lost };
[[nodiscard]] std::string_view name_of(SlotWalStatus status);

/// A physical replication slot as it stands now.
struct ReplicationSlot {
  std::string name;
  bool temporary = false;
  bool active = false;
  std::optional<int> active_pid;
  std::optional<Lsn> restart_lsn;  ///< nothing: reserves no WAL, or lost it
  SlotWalStatus wal_status = SlotWalStatus::none;
  std::optional<std::int64_t> safe_wal_size_bytes;  ///< nothing: max_slot_wal_keep_size sets no limit
  std::uint64_t held_back_bytes = 0;                ///< from restart_lsn to the WAL's end on this server
};

/// Nothing when there is none of that name. A logical slot of that name is a `conflict`.
[[nodiscard]] Result<std::optional<ReplicationSlot>> find_slot(Connection& connection,
                                                               const std::string& name);
/// All physical slots, by name.
[[nodiscard]] Result<std::vector<ReplicationSlot>> list_slots(Connection& connection);

/// With its WAL reserved from this moment on; returns the restart LSN. A slot of that name: `conflict`.
[[nodiscard]] Result<Lsn> create_slot(Connection& connection, const std::string& name);
/// Absent: not_found. In use: `conflict`.
[[nodiscard]] Status drop_slot(Connection& connection, const std::string& name);
/// Moves a slot forward (a physical slot made on a standby stays where it was made).
[[nodiscard]] Status advance_slot(Connection& connection, const std::string& name, Lsn to);

}  // namespace walback
