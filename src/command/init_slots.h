#pragma once
#include <optional>
#include <string>
#include <vector>

#include "archive/standby_slots.h"
#include "base/json.h"
#include "base/result.h"
#include "catalog/held_wal.h"
#include "pg/connection.h"
#include "pg/server.h"

/// What `walback init` does about replication slots: before the first base backup, so that no WAL that one
/// needs is missing.
namespace walback {

struct InitSlot {
  bool created = false;
  Lsn kept_from;  ///< WAL is reserved from here on
};
/// conflict: it is there and keeps no WAL.
[[nodiscard]] Result<InitSlot> make_slot(Connection& connection, const std::string& name);

/// For an archive that holds WAL up to `held`: a slot made anew would begin where the primary is now, and
/// cover up the hole behind it. conflict: the slot vanished, or keeps nothing any more.
[[nodiscard]] Status refuse_lost_slot(Connection& connection, const std::string& name,
                                      const std::optional<ResumePoint>& held);

/// For a new archive: two capturers on one slot, and what one confirms, the other has not got (conflict).
[[nodiscard]] Status refuse_slot_in_use(Connection& connection, const std::string& name);

/// Another cluster's server among the standbys is refused (foreign_system) before anything is made.
[[nodiscard]] Status refuse_foreign_standbys(const std::vector<StandbySlot>& standbys,
                                             const ServerIdentity& primary);

/// The same on each standby, for the day that it is the primary. One that is not reached is said and not
/// waited for: its slot is made by the next `walback init`, and until then `walback check` names it.
struct StandbyResult {
  StandbySlot standby;
  std::optional<InitSlot> slot;
  std::string left_out;  ///< why it has none
};
[[nodiscard]] Result<StandbyResult> make_standby_slot(const StandbySlot& standby);
[[nodiscard]] std::string text_of(const StandbyResult& result);
[[nodiscard]] Json json_of(const StandbyResult& result);

}  // namespace walback
