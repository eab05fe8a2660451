#pragma once
#include <compare>
#include <cstdint>
#include <string>

namespace walback {

/// A moment in time: microseconds since 1970-01-01T00:00:00Z. PostgreSQL's TimestampTz counts from 2000-01-01
/// in the same unit, so the conversion is exact in both directions.
struct Timestamp {
  std::int64_t unix_us = 0;

  auto operator<=>(const Timestamp&) const = default;
};

/// From a TimestampTz as it stands in the WAL (datatype/timestamp.h: POSTGRES_EPOCH_JDATE is 2000-01-01).
[[nodiscard]] Timestamp from_postgres(std::int64_t timestamptz);
[[nodiscard]] std::int64_t to_postgres(Timestamp time);

/// RFC 3339, UTC, always six digits: "2026-11-20T10:42:07.123456Z". Years 1 to 9999; outside, the number
/// itself.
[[nodiscard]] std::string to_rfc3339(Timestamp time);

/// "1.2 s", "340 ms", "2 min 5 s", "3 h 12 min": for people.
[[nodiscard]] std::string render_duration_us(std::int64_t duration_us);

}  // namespace walback
