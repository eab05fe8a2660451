#pragma once
#include <string>
#include <vector>

#include "archive/verify_wal.h"
#include "base/json.h"
#include "catalog/rows.h"
#include "command/check_findings.h"

/// What `walback verify` found, in words: what it is, what it makes unreachable, what mends it. Pure.
namespace walback {

struct VerifyFinding {
  Severity severity = Severity::wrong;
  std::string subject, text;
  std::string unreachable;  ///< empty: nothing
  std::string mend;
  bool operator==(const VerifyFinding&) const = default;
};

/// Something about a base backup, or about its directory.
struct BackupFinding {
  enum class Kind : std::uint8_t { missing, differs, cannot_tell, unknown_name, unfinished };
  Kind kind = Kind::differs;
  std::string id;  ///< or the name
  std::string text;
};

/// Moments that cannot be restored without this WAL. `usable`: base backups that nothing is said against,
/// oldest first.
[[nodiscard]] std::string unreachable_without(const WalRange& lost, const std::vector<BackupRow>& usable);
/// Moments that cannot be restored without this base backup.
[[nodiscard]] std::string unreachable_without(const std::string& backup, const std::vector<BackupRow>& all,
                                              const std::vector<BackupRow>& usable);

[[nodiscard]] VerifyFinding explain(const WalFinding& finding, const std::vector<BackupRow>& usable);
[[nodiscard]] VerifyFinding explain(const BackupFinding& finding, const std::vector<BackupRow>& all,
                                    const std::vector<BackupRow>& usable);

[[nodiscard]] Json to_json(const VerifyFinding& finding);
[[nodiscard]] std::string render_text(const VerifyFinding& finding);

}  // namespace walback
