#include "base/timestamp.h"

#include <doctest/doctest.h>

using namespace walback;

TEST_CASE("timestamp: PostgreSQL's epoch is 2000-01-01, exact in both directions") {
  CHECK(to_rfc3339(from_postgres(0)) == "2000-01-01T00:00:00.000000Z");
  CHECK(to_rfc3339(from_postgres(-1)) == "1999-12-31T23:59:59.999999Z");
  for (const std::int64_t time : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{848'484'127'123'456}}) {
    CHECK(to_postgres(from_postgres(time)) == time);
  }
}

TEST_CASE("timestamp: RFC 3339 in UTC with six digits, before 1970 and in leap years too") {
  CHECK(to_rfc3339({0}) == "1970-01-01T00:00:00.000000Z");
  CHECK(to_rfc3339({-1}) == "1969-12-31T23:59:59.999999Z");
  CHECK(to_rfc3339({1'795'171'327'123'456}) == "2026-11-20T10:42:07.123456Z");
  CHECK(to_rfc3339({1'709'164'800'000'001}) == "2024-02-29T00:00:00.000001Z");
}

TEST_CASE("timestamp: outside years 1 to 9999 the number itself") {
  CHECK(to_rfc3339({253'402'300'799'999'999}) == "9999-12-31T23:59:59.999999Z");
  CHECK(to_rfc3339({253'402'300'800'000'000}) == "253402300800000000");
  CHECK(to_rfc3339({-62'135'596'800'000'000}) == "0001-01-01T00:00:00.000000Z");
  CHECK(to_rfc3339({-62'135'596'800'000'001}) == "-62135596800000001");
}

TEST_CASE("duration: the two units that matter") {
  CHECK(render_duration_us(0) == "0 ms");
  CHECK(render_duration_us(340'000) == "340 ms");
  CHECK(render_duration_us(1'200'000) == "1.2 s");
  CHECK(render_duration_us(125'000'000) == "2 min 5 s");
  CHECK(render_duration_us(11'520'000'000) == "3 h 12 min");
  CHECK(render_duration_us(93'600'000'000) == "1 d 2 h");
  CHECK(render_duration_us(-340'000) == "-340 ms");
}
