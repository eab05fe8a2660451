#pragma once
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "catalog/archive_layout.h"
#include "catalog/catalog.h"
#include "catalog/rows.h"
#include "os/file_system.h"

/// The journal: append-only lines of JSON in the archive for what cannot be read back from WAL or backups.
/// Every line is `{"at":"2026-11-20T10:42:07.123456Z","kind":"watermark",…}`. Written first, the catalog
/// second; a lost catalog is built from it again.
///
/// Two processes may append at once (the manager a watermark, a restore its proof): a line is one write()
/// with O_APPEND, which a local Linux file system does not interleave. NFS gives no such promise: an archive
/// there must have one writer.
///
/// A power cut or a full disk can leave the last line torn. Nobody was told that such a line is written;
/// readers pass over it, and the next append ends it and says so with a `torn_line` entry of its own.
namespace walback {

struct JournalEntry {
  Timestamp at;
  std::string kind;
  Json body;  ///< the whole line, "at" and "kind" among its members
};

/// A line that ends a torn one, and says so.
inline constexpr std::string_view kTornLine = "torn_line";

/// Beside the journal: one that is being compacted, and what was left of all before it (compact_journal.h).
[[nodiscard]] Path closed_journal(const Path& journal);
[[nodiscard]] Path compacted_journal(const Path& journal);

/// Durable when it returns. A journal that another process closes at this moment gets the line in its next
/// file, perhaps a second time: whoever replays lines replays them in any number.
[[nodiscard]] Status append_journal(FileSystem& files, const Path& path, const JournalEntry& entry);

struct JournalContent {
  std::vector<JournalEntry> entries;
  /// Lines that are damaged, each as a corrupt error with its number; the rest is in `entries` all the same.
  std::vector<Error> damage;
  std::uint64_t end = 0;  ///< where its last whole line ends
};
/// An absent journal is an empty one. All of its parts, oldest first; or, `from` a place where a line begins,
/// of the newest part alone what follows there.
[[nodiscard]] Result<JournalContent> read_journal(FileSystem& files, const Path& path,
                                                  std::uint64_t from = 0);
/// One of its files alone.
[[nodiscard]] Result<JournalContent> read_journal_part(FileSystem& files, const Path& path,
                                                       std::uint64_t from = 0);

[[nodiscard]] JournalEntry journal_entry(Timestamp at, const WatermarkRow& watermark);  ///< "watermark"
[[nodiscard]] JournalEntry journal_entry(Timestamp at, const RestoreRow& restore);      ///< "restore"
[[nodiscard]] JournalEntry journal_entry(Timestamp at,
                                         const ArchiveIdentity& identity);       ///< "archive_created"
[[nodiscard]] JournalEntry gap_accepted_entry(Timestamp at, const GapRow& gap);  ///< "gap_accepted"
[[nodiscard]] JournalEntry epoch_opened_entry(Timestamp at, std::uint32_t epoch, const std::string& reason);

[[nodiscard]] Result<WatermarkRow> watermark_of(const JournalEntry& entry);
[[nodiscard]] Result<RestoreRow> restore_of(const JournalEntry& entry);
[[nodiscard]] Result<GapRow> accepted_gap_of(const JournalEntry& entry);

/// Brings watermarks, restores and accepted gaps into a new catalog, in one transaction. Kinds that the
/// catalog does not hold, and those of a newer walback, are passed over. Again: changes nothing.
[[nodiscard]] Status replay_journal(Catalog& catalog, std::span<const JournalEntry> entries);

/// Journal first, catalog second. `at` is the watermark's time, the restore's finish or start.
[[nodiscard]] Status record_watermark(FileSystem& files, const ArchiveLayout& layout, Catalog& catalog,
                                      const WatermarkRow& watermark);
[[nodiscard]] Status record_restore(FileSystem& files, const ArchiveLayout& layout, Catalog& catalog,
                                    const RestoreRow& restore);
[[nodiscard]] Status record_accepted_gap(FileSystem& files, const ArchiveLayout& layout, Catalog& catalog,
                                         Timestamp at, GapRow gap);

}  // namespace walback
