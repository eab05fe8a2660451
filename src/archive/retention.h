#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/timestamp.h"
#include "catalog/expiry_journal.h"
#include "catalog/rows.h"
#include "wal/timeline_history.h"

/// Which base backups and which WAL stay. A pure function of rows.
///
/// The `keep` newest usable base backups stay, and the `keep` newest of those that lead to the timeline that
/// is being captured; one that is not usable is not counted. With a moment from
/// which on everything must be reachable, those stay too that are needed for it, on every timeline. Newer is
/// what lies further in the WAL, never what bears the later time: clocks are set back. WAL stays without a
/// break from the oldest kept base backup on, on every timeline that leads on from one.
///
/// Never goes: the last usable base backup; one that a running restore works with; the timeline that is being
/// captured, unless a kept base backup stands on it; the newest segment of the current epoch (pg_receivewal
/// goes on behind it); a history file; WAL of a timeline whose history is unknown.
namespace walback {

struct RetentionBackup {
  BackupRow row;
  std::string unusable_because;  ///< empty: usable
  std::string restore;           ///< that works with it now
};
/// What the index holds of one timeline, in all epochs.
struct RetentionWal {
  TimelineId timeline;
  SegmentNumber first, last;  ///< both included
};
struct RetentionInput {
  std::uint64_t keep = 1;
  std::vector<RetentionBackup> backups = {};
  std::vector<RetentionWal> wal = {};
  std::vector<TimelineHistory> histories = {};  ///< those that are known; timeline 1 has one without entries
  /// Everything from here on must be reachable, and where that lies: the first transaction end stamped later,
  /// on each timeline that has one.
  std::optional<Timestamp> since = {};
  std::map<TimelineId, Lsn> since_lsn = {};
  std::optional<SegmentName> newest_captured = {};  ///< of the current epoch
  SegmentSize size;
};

struct BackupVerdict {
  BackupRow row;
  bool stays = true;
  std::string why;
};
struct WalVerdict {
  TimelineId timeline;
  SegmentNumber first, last;
  bool stays = true;
  std::string why;
};
struct Retention {
  std::vector<BackupVerdict> backups;  ///< oldest first
  std::vector<WalVerdict> wal;         ///< at most two of a timeline: what goes, what stays
};

[[nodiscard]] Retention decide_retention(const RetentionInput& input);
[[nodiscard]] Expiry expiry_of(const Retention& retention, SegmentSize size);

}  // namespace walback
