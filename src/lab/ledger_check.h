#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lab/ledger.h"
#include "pg/load_queries.h"

namespace walback {

/// A restored cluster's rows held against a ledger.
///
/// `lost`: the client was told that it is committed, its commit record lies before the stop, and it is not
/// there. `doubled`: there more than once. `unknown`: there, and no COMMIT was ever sent for it. `beyond`:
/// there, and its commit record lies behind the stop. `changed`: written by another transaction than the
/// ledger says. `reordered`: not there, and a later commit of the same writer is. A commit in doubt may be
/// there or not, and is no difference; it is counted.
struct LedgerCheck {
  std::uint64_t rows = 0;         ///< in the table
  std::uint64_t confirmed = 0;    ///< acknowledged and there
  std::uint64_t later = 0;        ///< acknowledged behind the stop, and rightly not there
  std::uint64_t at_the_stop = 0;  ///< acknowledged, and the stop lies inside what is known of their place
  std::uint64_t in_doubt_there = 0, in_doubt_absent = 0;
  std::uint64_t lost = 0, doubled = 0, unknown = 0, beyond = 0, changed = 0, reordered = 0;
  std::vector<std::string> first;  ///< differences, in words
  static constexpr std::size_t kShown = 10;

  [[nodiscard]] std::uint64_t differences() const {
    return lost + doubled + unknown + beyond + changed + reordered;
  }
};
/// `stop`: where replay ended, exclusive. `rows` in any order.
[[nodiscard]] LedgerCheck check_ledger(const std::vector<LedgerEntry>& entries, std::vector<SeenLoadRow> rows,
                                       Lsn stop, SegmentSize size);

}  // namespace walback
