#include "catalog/compact_journal.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "catalog/expiry_journal.h"
#include "catalog/verified_journal.h"
#include "os/crash_point.h"

namespace walback {
namespace {

const ExpiredWal* floor_of(const JournalScope& scope, TimelineId timeline) {
  const auto found = std::ranges::find(scope.expired, timeline, &ExpiredWal::timeline);
  return found == scope.expired.end() ? nullptr : &*found;
}

bool lies_below(const JournalScope& scope, TimelineId timeline, Lsn lsn) {
  const ExpiredWal* const floor = floor_of(scope, timeline);
  return floor != nullptr && lsn < floor->below_lsn;
}

/// Of lines with the same key the last one counts. Nothing: each line counts for itself.
std::optional<std::string> key_of(const JournalEntry& entry) {
  const auto in = [&](const std::string& rest) { return entry.kind + " " + rest; };
  if (entry.kind == "watermark") {
    const auto row = watermark_of(entry);
    if (row) return in(fmt::format("{} {}", row->timeline.value, to_string(row->lsn)));
  } else if (entry.kind == "restore") {
    const auto row = restore_of(entry);
    if (row) return in(row->name);
  } else if (entry.kind == "verified_backup") {
    const auto row = verified_backup_of(entry);
    if (row) return in(row->id);
  } else if (entry.kind == "verification" || entry.kind == "verify_all_begun" || entry.kind == "expired") {
    return entry.kind;
  }
  return std::nullopt;
}

/// Is it about something that the archive has no more?
bool is_of_the_past(const JournalEntry& entry, const JournalScope& scope) {
  if (entry.kind == "watermark") {
    const auto row = watermark_of(entry);
    return row && lies_below(scope, row->timeline, row->lsn);
  }
  if (entry.kind == "gap_accepted") {
    const auto row = accepted_gap_of(entry);
    return row && lies_below(scope, row->timeline, row->from);
  }
  if (entry.kind == "verified_wal") {
    const auto row = verified_run_of(entry);
    const ExpiredWal* const floor = row ? floor_of(scope, row->timeline) : nullptr;
    return floor != nullptr && row->last < floor->below;
  }
  if (entry.kind == "verified_backup") {
    const auto row = verified_backup_of(entry);
    return row && std::ranges::find(scope.backups, row->id) == scope.backups.end();
  }
  return false;
}

Status merge_closed(FileSystem& files, const Path& journal, const JournalScope& scope) {
  const Path closed = closed_journal(journal), compacted = compacted_journal(journal);
  // Neither has parts of its own beside it: each is read alone.
  std::vector<JournalEntry> entries;
  for (const Path& path : {compacted, closed}) {
    auto content = TRY(read_journal_part(files, path));
    if (!content.damage.empty()) return tl::unexpected(content.damage.front());
    std::ranges::move(content.entries, std::back_inserter(entries));
  }
  std::string text;
  for (const JournalEntry& entry : without_void_lines(std::move(entries), scope))
    text += to_line(entry.body) + "\n";
  TRY(publish(files, compacted, text));
  crash_point("journal.compacted");
  TRY(files.remove(closed));
  return files.sync_directory(journal.parent_path());
}

}  // namespace

std::vector<JournalEntry> without_void_lines(std::vector<JournalEntry> entries, const JournalScope& scope) {
  std::vector<JournalEntry> kept;
  std::set<std::string> seen;
  for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
    if (is_of_the_past(*entry, scope)) continue;
    const auto key = key_of(*entry);
    if (key && !seen.insert(*key).second) continue;
    // All that was ever let go, in the place of the last that told of some of it.
    if (entry->kind == "expired") *entry = journal_entry(entry->at, Expiry{scope.leaving, scope.expired});
    kept.push_back(std::move(*entry));
  }
  std::ranges::reverse(kept);
  return kept;
}

Status compact_journal(FileSystem& files, const Path& journal, const JournalScope& scope) {
  if (exists(files, closed_journal(journal))) TRY(merge_closed(files, journal, scope));
  JournalContent content = TRY(read_journal(files, journal));
  const std::size_t lines = content.entries.size();
  if (!content.damage.empty() ||
      lines - without_void_lines(std::move(content.entries), scope).size() < kVoidLinesWorthwhile)
    return {};
  TRY(files.rename(journal, closed_journal(journal)));
  TRY(files.sync_directory(journal.parent_path()));
  crash_point("journal.closed");
  return merge_closed(files, journal, scope);
}

}  // namespace walback
