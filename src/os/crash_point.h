#pragma once
#include <algorithm>
#include <array>
#include <string_view>

#include "base/result.h"

namespace walback {

/// Labelled places at which a test has a real walback killed, and then looks what the next run makes of it:
///
///     WALBACK_CRASH_AT=restore.base_laid:1 walback restore …
///
/// ends the process there as `kill -9` does, the first time it comes by; ":2" the second time (of this
/// process: children count for themselves). A label names what was done last: nothing behind it has happened.
/// Without the variable a crash point is one look at a bool. It takes no power from anybody: whoever can set
/// the variable can kill the process as well.
///
/// New code that changes more than one thing on a disk puts a label between each two, and a test kills there:
/// the `house` test refuses a label that is reached nowhere in src/ or named by no test of
/// tests/integration/.
inline constexpr auto kCrashPoints = std::to_array<std::string_view>({
    // Every durable publish of a file.
    "publish.written",
    "publish.synced",
    "publish.renamed",
    // Journal first, catalog second.
    "journal.appended",
    // A catalog that is made anew.
    "catalog.set_aside",
    "catalog.created",
    "catalog.backups_registered",
    "catalog.journal_replayed",
    // The intake of a segment, then of all.
    "intake.timeline_taken",
    "intake.segment_read",
    "intake.segment_stored",
    "intake.all_stored",
    // Expiry: journal, rows, files.
    "expire.journalled",
    "expire.backup_rows_removed",
    "expire.rows_removed",
    "expire.backup_hidden",
    "expire.backup_removed",
    "expire.segment_removed",
    "expire.files_removed",
    "journal.closed",
    "journal.compacted",
    // A catalog that an older walback made, and one that takes another's place.
    "catalog.migration_step",
    "reindex.built",
    "reindex.closed",
    "reindex.old_set_aside",
    "reindex.published",
    // A gap that is accepted: slot, journal, epoch.
    "accept_gap.slot_made",
    "accept_gap.recorded",
    // A new epoch: its reason in the journal, then its directory.
    "epoch.recorded",
    // A base backup.
    "backup.leftover_removed",
    "backup.started",
    "backup.copied",
    "backup.verified",
    "backup.facts_published",
    "backup.synced",
    "backup.named",
    "backup.name_durable",
    // A restore, from the directory to the proof.
    "restore.directory_made",
    "restore.entry_wiped",
    "restore.marked",
    "restore.base_copied",
    "restore.settings_written",
    "restore.segment_spooled",
    "restore.server_started",
    "restore.stop_reached",
    "restore.base_verified",
    "restore.promoted",
    "restore.durable",
    "restore.proof_published",
    "restore.released",
    "restore.completed",
    "restore.spool_removed",
});

/// A label of the list above; another one does not compile.
class CrashPoint {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): crash_point("…") is what a reader should see.
  consteval CrashPoint(const char* label) : label_(label) {
    if (std::ranges::find(kCrashPoints, label_) == kCrashPoints.end()) throw "kCrashPoints lacks this label";
  }
  [[nodiscard]] std::string_view label() const { return label_; }

 private:
  std::string_view label_;
};

namespace detail {
extern bool crash_armed;  ///< written before any thread starts, read ever after
void reach_crash_point(std::string_view label);
}  // namespace detail

inline void crash_point(CrashPoint here) {
  if (detail::crash_armed) detail::reach_crash_point(here.label());
}

/// Takes WALBACK_CRASH_AT from the environment: once, by main(), before any thread starts. `usage`: it names
/// no crash point.
[[nodiscard]] Status arm_crash_points();

}  // namespace walback
