#pragma once
#include "archive/expired_files.h"
#include "archive/retention.h"
#include "base/json.h"
#include "restore/recoverable_window.h"

namespace walback {

/// What `walback expire` did, or would do, and why.
struct ExpireReport {
  bool dry_run = false;
  std::uint64_t keep = 1;
  std::optional<Timestamp> since = {};
  SegmentSize size;
  Retention retention = {};
  std::size_t histories = 0;
  RecoverableWindow before = {}, after = {};
  ExpiredFiles removed = {};  ///< WAL; what an interrupted expiry had left is in it
};
[[nodiscard]] std::string render_text(const ExpireReport& report);
[[nodiscard]] Json to_json(const ExpireReport& report);

}  // namespace walback
