#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "catalog/catalog.h"

/// When everything was last looked at: the newest `verify`, and the newest `drill` with the time that it took
/// to get everything back (RTO). For `status` and `check`.
namespace walback {

/// How the names of a drill's copies begin: among the restores, and on disk.
inline constexpr const char* kDrillPrefix = "walback-drill-";

struct Assurance {
  std::optional<VerificationRow> verification;
  std::optional<DrillRow> drill;         ///< the newest that came to an end
  std::optional<DrillRow> passed_drill;  ///< the newest that passed; its RTO is what counts
};
[[nodiscard]] Result<Assurance> take_assurance(const Catalog& catalog);

/// What somebody should look at: a verification with findings, a drill that failed.
[[nodiscard]] std::vector<std::string> problems_of(const Assurance& assurance);
[[nodiscard]] Json to_json(const Assurance& assurance);
/// Two lines for `status`.
[[nodiscard]] std::string render_text(const Assurance& assurance, Timestamp now);

/// A look that is older is worth a note: both commands are made for timers.
inline constexpr std::int64_t kLookIsOldUs = 8LL * 24 * 3600 * 1'000'000;
/// Bytes that were right once are not read again without --all, and disks rot.
inline constexpr std::int64_t kBytesAreOldUs = 35LL * 24 * 3600 * 1'000'000;

}  // namespace walback
