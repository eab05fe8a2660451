#pragma once
#include <vector>

#include "catalog/journal.h"
#include "catalog/verified_rows.h"

/// The journal's lines of `verify` and `drill`. Their own times are numbers (microseconds since 1970), apart
/// from "at", which is when the line was written.
namespace walback {

[[nodiscard]] JournalEntry journal_entry(const VerifiedRun& run);               ///< "verified_wal"
[[nodiscard]] JournalEntry journal_entry(const VerifiedBackup& backup);         ///< "verified_backup"
[[nodiscard]] JournalEntry journal_entry(const VerificationRow& verification);  ///< "verification"
[[nodiscard]] JournalEntry journal_entry(const DrillRow& drill);                ///< "drill"
[[nodiscard]] JournalEntry verify_all_begun_entry(Timestamp at);                ///< "verify_all_begun"

[[nodiscard]] Result<VerifiedRun> verified_run_of(const JournalEntry& entry);
[[nodiscard]] Result<VerifiedBackup> verified_backup_of(const JournalEntry& entry);
[[nodiscard]] Result<VerificationRow> verification_of(const JournalEntry& entry);
[[nodiscard]] Result<DrillRow> drill_of(const JournalEntry& entry);

/// For the journal's reader and its replay: is it one of these kinds, is it whole, and into the catalog.
[[nodiscard]] bool is_whole_verified_entry(const JournalEntry& entry);
[[nodiscard]] Status replay_verified_entry(Catalog& catalog, const JournalEntry& entry);

/// Journal first, catalog second.
[[nodiscard]] Status record_verified(FileSystem& files, const ArchiveLayout& layout, Catalog& catalog,
                                     const VerifiedRun& run);
[[nodiscard]] Status record_verified(FileSystem& files, const ArchiveLayout& layout, Catalog& catalog,
                                     const VerifiedBackup& backup);
[[nodiscard]] Status record_verification(FileSystem& files, const ArchiveLayout& layout, Catalog& catalog,
                                         const VerificationRow& verification);
[[nodiscard]] Status record_drill(FileSystem& files, const ArchiveLayout& layout, Catalog& catalog,
                                  const DrillRow& drill);
/// What was verified before counts no more.
[[nodiscard]] Status begin_verifying_all(FileSystem& files, const ArchiveLayout& layout, Catalog& catalog,
                                         Timestamp at);

/// The newest of each; nothing where there was none.
[[nodiscard]] Result<std::optional<VerificationRow>> last_verification(const Catalog& catalog);
/// Looks from before this moment count no more; 1970 where nobody ever began anew.
[[nodiscard]] Result<Timestamp> verified_from(const Catalog& catalog);

}  // namespace walback
