#pragma once
#include <optional>
#include <string>

#include "catalog/catalog.h"

namespace walback {

/// Up to where the newest timeline was captured, for everybody who must say what is missing behind it.
struct CaptureEnd {
  Lsn lsn;
  std::optional<Timestamp> last_commit;
  bool operator==(const CaptureEnd&) const = default;
};

/// Nothing: no WAL is indexed.
[[nodiscard]] Result<std::optional<CaptureEnd>> capture_end(const Catalog& catalog);

/// "nothing after 0/5000000 is captured (the last commit before it: 2026-11-20T10:42:07.123456Z)"
[[nodiscard]] std::string nothing_after(const std::optional<CaptureEnd>& end);

}  // namespace walback
