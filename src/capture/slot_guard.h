#pragma once
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "catalog/archive_layout.h"
#include "os/file_system.h"
#include "pg/slots.h"
#include "wal/lsn.h"

namespace walback {

/// What the capturer asks of the primary every second.
struct PrimaryView {
  std::uint64_t system_identifier = 0;
  Lsn flush_lsn;
  std::optional<ReplicationSlot> slot;
  /// The walsender on our slot, from pg_stat_replication.
  struct Sender {
    int pid = 0;
    std::optional<Lsn> write_lsn, flush_lsn;
  };
  std::optional<Sender> sender;
};

/// A look at the primary, bounded in time. Called from one thread.
using LookAtPrimary = std::function<Result<PrimaryView>()>;
/// The real one: keeps a connection and opens a new one after a failure.
[[nodiscard]] LookAtPrimary look_at_primary(const std::string& conninfo, const std::string& slot);

/// What is needed to judge a view, and to say what is lost.
struct GuardedArchive {
  ArchiveIdentity identity;
  Path root;
  std::string slot;
  std::uint32_t epoch = 1;
  std::optional<Lsn> newest_lsn;  ///< how far the archive reaches, as far as is known
};

/// May WAL of this primary be captured through this slot? Each refusal needs a person, so the capturer ends
/// with it: foreign_system; not_found for a slot that vanished; conflict for one that reserves nothing or was
/// invalidated. A slot is never created here: one that is made anew begins where the primary is now, and
/// would cover up the hole behind it.
[[nodiscard]] Status guard_slot(const PrimaryView& view, const GuardedArchive& archive);

/// The same for what only pg_receivewal's words tell.
[[nodiscard]] Error wal_removed_error(const GuardedArchive& archive, const std::string& line);
[[nodiscard]] Error not_in_history_error(const GuardedArchive& archive, const std::string& line);

}  // namespace walback
