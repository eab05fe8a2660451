#pragma once
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "archive/archive_context.h"
#include "catalog/held_wal.h"

/// Physical slots do not travel with a promotion, on no major (17 synchronises logical slots alone). So each
/// standby has a slot of its own for the capturer, made by `walback init`, and the manager moves it on: the
/// standby keeps the WAL that the archive would ask it for on the day that it is the primary, and no more.
namespace walback {

inline constexpr std::chrono::seconds kStandbySlotInterval{5};

/// A server that may become the primary, and our slot there.
struct StandbySlot {
  std::string name, conninfo, slot;
  bool expected = true;  ///< named under standbys: that the slot is not there is worth a WARN
  bool operator==(const StandbySlot&) const = default;
};
/// Those of `standbys`, and the hosts of a primary.conninfo that names several: after a failover the old
/// primary may be among them as a standby. One an address.
[[nodiscard]] Result<std::vector<StandbySlot>> standby_slots_of(const Config& config);

/// One round at one server: moves the slot to where pg_receivewal would go on today, and never beyond what
/// the standby has replayed (PostgreSQL stops there by itself). A server that is not in recovery is left
/// alone: there the capturer moves the slot. not_found: the slot is not there. Bounded by its time-outs.
[[nodiscard]] Status keep_standby_slot(const StandbySlot& standby, std::uint64_t system_identifier,
                                       const ResumePoint& resume);

/// The rounds, in a thread of their own: a standby that hangs delays neither intake nor watermarks. What
/// fails is a WARN when it changes.
class StandbySlots {
 public:
  StandbySlots(const ArchiveContext& archive, const Config& config);

  /// Where pg_receivewal would go on; before the first call there is nothing to do.
  void goes_on_at(const ResumePoint& resume);

 private:
  void run(const std::stop_token& stop);
  void round(const std::vector<StandbySlot>& standbys);
  void say(const StandbySlot& standby, const Status& kept);

  ArchiveContext archive_;
  Config config_;
  std::map<std::string, std::string> failures_;  ///< by conninfo
  std::mutex mutex_;
  std::optional<ResumePoint> resume_;
  std::jthread thread_;  ///< last: it uses all of the above
};

}  // namespace walback
