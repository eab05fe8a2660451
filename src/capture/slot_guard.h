#pragma once
#include <optional>
#include <string>

#include "base/result.h"
#include "catalog/archive_layout.h"
#include "os/file_system.h"
#include "pg/choose_primary.h"
#include "pg/slots.h"
#include "wal/lsn.h"

namespace walback {

/// What the capturer asks of the primary every second.
struct PrimaryView {
  HostConninfo host;           ///< where it is followed
  TimelineHistory history;     ///< of the timeline that it writes
  std::vector<Error> refused;  ///< other hosts that take writes as well
  std::uint64_t system_identifier = 0;
  Lsn flush_lsn;
  std::optional<ReplicationSlot> slot;
  /// Of the oldest segment in the primary's pg_wal. Asked only while nobody streams from our slot; nothing:
  /// not asked, or the role may not look.
  std::optional<std::string> oldest_wal_file;
  bool may_set_lc_messages = false;
  /// The walsender on our slot, from pg_stat_replication.
  struct Sender {
    int pid = 0;
    std::optional<Lsn> write_lsn, flush_lsn;
    std::string application_name = {};
    std::optional<Timestamp> reply_time = {};  ///< by the primary's clock
  };
  std::optional<Sender> sender;
};

/// What is needed to judge a view, and to say what is lost.
struct GuardedArchive {
  ArchiveIdentity identity;
  Path root;
  std::string slot;
  std::uint32_t epoch = 1;
  std::optional<Lsn> newest_lsn;                   ///< how far the archive reaches, as far as is known
  std::optional<TimelineId> newest_timeline = {};  ///< of that WAL
};

/// What is asked of a primary once it is found: the slot, how far its WAL reaches, who streams.
[[nodiscard]] Status ask_about_wal(Connection& connection, const std::string& slot, PrimaryView& view);

/// May WAL of this primary be captured through this slot? Each refusal needs a person, so the capturer ends
/// with it: foreign_system; not_found for a slot that vanished; conflict for one that reserves nothing or was
/// invalidated, for a primary that no longer has the WAL that comes next, and for one that stands behind what
/// it sent before (an older copy in its place). Judged by values, because a server's words follow its
/// lc_messages. A slot is never created here: one that is made anew begins where the primary is now, and
/// would cover up the hole behind it.
[[nodiscard]] Status guard_slot(const PrimaryView& view, const GuardedArchive& archive);

/// The first segment that pg_receivewal asks for is gone from the primary. False where that is not known.
[[nodiscard]] bool next_wal_is_gone(const std::optional<std::string>& oldest_wal_file,
                                    const GuardedArchive& archive);

/// Does the server stand behind WAL that was captured from it, on the same timeline? conflict: it is an older
/// copy. What was flushed and sent survives a crash of a primary, so that no crash looks like this.
[[nodiscard]] Status refuse_older_copy(TimelineId timeline, Lsn flush_lsn, const GuardedArchive& archive);

/// The same for what only pg_receivewal's words tell.
[[nodiscard]] Error wal_removed_error(const GuardedArchive& archive, const std::string& line);
[[nodiscard]] Error not_in_history_error(const GuardedArchive& archive, const std::string& line);

}  // namespace walback
