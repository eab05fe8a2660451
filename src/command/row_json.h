#pragma once
#include "base/json.h"
#include "catalog/rows.h"

/// The catalog's rows as --json shows them: stable snake_case keys, LSNs as X/Y, times as RFC 3339.
namespace walback {

[[nodiscard]] Json to_json(const SegmentRow& row, SegmentSize size);
[[nodiscard]] Json to_json(const BackupRow& row);
[[nodiscard]] Json to_json(const TimelineRow& row);
[[nodiscard]] Json to_json(const RestoreRow& row);
[[nodiscard]] Json to_json(const GapRow& row);
[[nodiscard]] Json to_json(const TransactionEnd& end);

[[nodiscard]] Json time_or_null(const std::optional<Timestamp>& time);
[[nodiscard]] Json lsn_or_null(const std::optional<Lsn>& lsn);

}  // namespace walback
