#pragma once
#include <vector>

#include "catalog/expired_rows.h"
#include "catalog/journal.h"

namespace walback {

/// What one `walback expire` lets go.
struct Expiry {
  std::vector<ExpiredBackup> backups;
  std::vector<ExpiredWal> wal;
  bool operator==(const Expiry&) const = default;
};

[[nodiscard]] JournalEntry journal_entry(Timestamp at, const Expiry& expiry);  ///< "expired"
[[nodiscard]] Result<Expiry> expiry_of(const JournalEntry& entry);

/// Base backups first: at no time does one count whose WAL is gone. WAL goes in steps, each a transaction of
/// its own, so that the manager does not wait for long. Again, or after a part of it: the same.
[[nodiscard]] Status apply_expiry(Catalog& catalog, const Expiry& expiry);

/// Journal first, catalog second, and the catalog's part is durable too: files go next.
[[nodiscard]] Status record_expiry(FileSystem& files, const ArchiveLayout& layout, Catalog& catalog,
                                   Timestamp at, const Expiry& expiry);

}  // namespace walback
