#include "pg/slots.h"

#include <fmt/format.h>

namespace walback {
namespace {

constexpr std::string_view kSelectSlots = R"(
  SELECT slot_name, slot_type, temporary, active, active_pid, restart_lsn, wal_status, safe_wal_size,
         pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
                              ELSE pg_current_wal_insert_lsn() END, restart_lsn)::bigint
    FROM pg_replication_slots )";

SlotWalStatus parse_wal_status(const std::string& text) {
  if (text == "reserved") return SlotWalStatus::reserved;
  if (text == "extended") return SlotWalStatus::extended;
  if (text == "unreserved") return SlotWalStatus::unreserved;
  if (text == "lost") return SlotWalStatus::lost;
  return SlotWalStatus::none;
}

ReplicationSlot slot_of(const Rows& rows, int row) {
  ReplicationSlot slot;
  slot.name = rows.text(row, 0);
  slot.temporary = rows.boolean(row, 2);
  slot.active = rows.boolean(row, 3);
  if (!rows.is_null(row, 4)) slot.active_pid = static_cast<int>(rows.integer(row, 4));
  slot.restart_lsn = rows.lsn(row, 5);
  slot.wal_status = parse_wal_status(rows.text(row, 6));
  if (!rows.is_null(row, 7)) slot.safe_wal_size_bytes = rows.integer(row, 7);
  const std::int64_t held_back = rows.integer(row, 8);
  if (held_back > 0) slot.held_back_bytes = static_cast<std::uint64_t>(held_back);
  return slot;
}

Error conflict_or(const Connection& connection, const char* sqlstate, std::string message, std::string hint,
                  const Error& otherwise) {
  if (connection.sqlstate() != sqlstate) return otherwise;
  return {ErrorKind::conflict, std::move(message), std::move(hint)};
}

Error not_found(const std::string& name) {
  return {ErrorKind::not_found, fmt::format("replication slot '{}' does not exist", name), ""};
}

}  // namespace

std::string_view name_of(SlotWalStatus status) {
  switch (status) {
    case SlotWalStatus::none:
      return "none";
    case SlotWalStatus::reserved:
      return "reserved";
    case SlotWalStatus::extended:
      return "extended";
    case SlotWalStatus::unreserved:
      return "unreserved";
    case SlotWalStatus::lost:
      return "lost";
  }
  return "none";
}

Result<std::optional<ReplicationSlot>> find_slot(Connection& connection, const std::string& name) {
  const Rows rows = TRY(connection.query(std::string(kSelectSlots) + "WHERE slot_name = $1", {name}));
  if (rows.count() == 0) return std::nullopt;
  if (rows.text(0, 1) != "physical") {
    return fail(ErrorKind::conflict,
                fmt::format("replication slot '{}' is {}, expected physical", name, rows.text(0, 1)),
                "Give walback a slot name of its own in walback.yaml.");
  }
  return slot_of(rows, 0);
}

Result<std::vector<ReplicationSlot>> list_slots(Connection& connection) {
  const Rows rows =
      TRY(connection.query(std::string(kSelectSlots) + "WHERE slot_type = 'physical' ORDER BY slot_name"));
  std::vector<ReplicationSlot> slots;
  for (int i = 0; i < rows.count(); ++i) slots.push_back(slot_of(rows, i));
  return slots;
}

Result<Lsn> create_slot(Connection& connection, const std::string& name) {
  const Result<Rows> rows = connection.query(
      "SELECT lsn FROM pg_create_physical_replication_slot($1, immediately_reserve => true)", {name});
  if (!rows) {
    return tl::unexpected<Error>(
        conflict_or(connection, "42710", fmt::format("replication slot '{}' is there already", name),
                    "Use it as it is, or drop it if nobody streams from it.", rows.error()));
  }
  const auto lsn = rows->lsn(0, 0);
  if (!lsn) {
    return fail(ErrorKind::internal,
                fmt::format("replication slot '{}' was created without a restart LSN", name));
  }
  return *lsn;
}

Status drop_slot(Connection& connection, const std::string& name) {
  const Status dropped = connection.execute("SELECT pg_drop_replication_slot($1)", {name});
  if (dropped) return {};
  if (connection.sqlstate() == "42704") return tl::unexpected<Error>(not_found(name));
  return tl::unexpected<Error>(conflict_or(
      connection, "55006", fmt::format("replication slot '{}' is in use: {}", name, dropped.error().message),
      "Stop the capturer that streams from it first.", dropped.error()));
}

Status advance_slot(Connection& connection, const std::string& name, Lsn to) {
  const Status advanced =
      connection.execute("SELECT pg_replication_slot_advance($1, $2::pg_lsn)", {name, to_string(to)});
  if (advanced) return {};
  if (connection.sqlstate() == "42704") return tl::unexpected<Error>(not_found(name));
  return tl::unexpected<Error>(conflict_or(
      connection, "55006", fmt::format("replication slot '{}' is in use: {}", name, advanced.error().message),
      "Stop the capturer that streams from it first.", advanced.error()));
}

}  // namespace walback
