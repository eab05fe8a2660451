#pragma once
#include <vector>

#include "catalog/expired_rows.h"
#include "catalog/journal.h"

namespace walback {

/// What the archive still has: lines about anything else say nothing any more.
struct JournalScope {
  std::vector<ExpiredWal> expired;
  std::vector<ExpiredBackup> leaving;  ///< base backups that were let go, whose files are still there
  std::vector<std::string> backups;    ///< ids of those that are there
};

/// Without the lines that a later one makes void: in the same order, and replayed they make the same rows.
/// Kinds that it does not know stay.
[[nodiscard]] std::vector<JournalEntry> without_void_lines(std::vector<JournalEntry> entries,
                                                           const JournalScope& scope);

/// Compacts the journal where that is worth it. Three renames and no lock, because a writer must never wait
/// for it:
///
///     journal.jsonl            is closed: it becomes journal.closed.jsonl, and the next writer begins a new
///     one journal.closed.jsonl     with what was left before becomes journal.compacted.jsonl (published),
///     and goes
///
/// A line counts as written when it was seen in the file that bears the journal's name AFTER it was synced;
/// so it was there before that file was closed, and is read here. A writer who finds the journal closed under
/// its pen writes the line again. Readers read against the direction in which lines move. Killed anywhere:
/// lines may stand twice, which changes nothing, and the next compaction ends what this one began.
///
/// One at a time: for the holder of the expiry's lock. A journal with damaged lines is left alone, so that
/// they can be looked at.
[[nodiscard]] Status compact_journal(FileSystem& files, const Path& journal, const JournalScope& scope);
/// Fewer lines than this are not worth it.
inline constexpr std::size_t kVoidLinesWorthwhile = 64;

}  // namespace walback
