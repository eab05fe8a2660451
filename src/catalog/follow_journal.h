#pragma once
#include <cstddef>
#include <vector>

#include "catalog/journal.h"

namespace walback {

struct FollowedJournal {
  std::size_t entries = 0;
  std::vector<Error> damage;
};

/// Brings what was appended to the journal since the catalog was last here into the catalog, in one
/// transaction. Whoever appends writes the row, too; but it may die in between, a power cut may take the row
/// alone, and a row may go into a catalog whose place another one takes at that moment. A look at a few bytes
/// where nothing is new; the whole journal where it is not the one that was followed.
[[nodiscard]] Result<FollowedJournal> follow_journal(FileSystem& files, const Path& journal,
                                                     Catalog& catalog);

}  // namespace walback
