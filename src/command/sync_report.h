#pragma once
#include <optional>
#include <string>
#include <vector>

#include "archive/archive_context.h"
#include "base/json.h"
#include "pg/synchronous_queries.h"
#include "sync/note.h"
#include "sync/switch.h"

namespace walback {

/// The synchronous mode as `sync status`, `status` and `check` show it.
struct SyncReport {
  SynchronousView view;
  std::optional<SynchronousNote> note;
  SynchronousState state = SynchronousState::off;
  /// By the archive's journal it should be on: a failover may have lost it.
  bool was_on = false;
};
/// A note that cannot be read is an error. `archive`: whose journal is asked, which can be long; nothing:
/// was_on is not known.
[[nodiscard]] Result<SyncReport> take_sync_report(Connection& connection, const ArchiveContext* archive);

/// What somebody should look at: it fell back, nobody watches, nobody could in an emergency, …
struct SyncProblem {
  std::string text, mend;  ///< mend: a command, or what to do
  bool serious = true;     ///< else somebody may have meant it so
};
[[nodiscard]] std::vector<SyncProblem> sync_problems(const SyncReport& report);

/// "sync       on: commits wait for the capturer, at most 10 s"
[[nodiscard]] std::string headline(const SyncReport& report);
[[nodiscard]] Json to_json(const SyncReport& report);
[[nodiscard]] std::string to_text(const SyncReport& report);

}  // namespace walback
