#pragma once
#include <functional>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "pg/connection.h"
#include "sync/note.h"
#include "sync/policy.h"
#include "sync/switch.h"

namespace walback {

struct SynchronousWatchSetup {
  std::string conninfo;
  std::optional<std::uint64_t> system_identifier;  ///< nothing: of whatever server answers
  Clock& clock;
  Log& log;
  /// Of each change of the mode, whoever made it; writes the journal where there is an archive.
  std::function<void(const JournalEntry&)> note = {};
};

/// Watches the synchronous mode of one primary until a stop is requested, wherever it runs: a thread of the
/// WAL manager, or `walback sync watch` on the primary's host, which still sees the primary when the
/// archive's machine or the network is gone. Keeps one session open, for a primary whose commits hang soon
/// has no connection to give; bounds every wait for it. While the mode is off it looks once a second.
///
/// Restoring what PostgreSQL waits for lets waiting commits go: with success and WITHOUT a warning. They are
/// acknowledged and not in the archive; that is what falling back means, and it is logged and journalled.
/// The waiting backends are woken by the checkpointer: one in the midst of a sync lets them wait on, which
/// is said after a bound.
void watch_synchronous_mode(const SynchronousWatchSetup& setup, std::stop_token stop);

}  // namespace walback
