#include "restore/target_time.h"

#include <doctest/doctest.h>

#include <string>

using namespace walback;

namespace {

/// 2026-11-20T10:42:07.123456Z, a Friday; in Berlin 11:42.
constexpr Timestamp kNow{1'795'171'327'123'456};

std::string read(std::string_view text, std::string_view zone = "UTC") {
  const auto time = parse_target_time(text, zone, kNow);
  return time ? to_rfc3339(time->time) : render(time.error());
}

}  // namespace

TEST_CASE("target time: now is what the tests take for now") {
  CHECK(to_rfc3339(kNow) == "2026-11-20T10:42:07.123456Z");
}

TEST_CASE("target time: RFC 3339 and what psql prints") {
  CHECK(read("2026-11-20T10:42:07Z") == "2026-11-20T10:42:07.000000Z");
  CHECK(read("2026-11-20t10:42:07.5z") == "2026-11-20T10:42:07.500000Z");
  CHECK(read("2026-11-20 10:42:07.123456+01:00") == "2026-11-20T09:42:07.123456Z");
  CHECK(read("2026-11-20 10:42:07.123456+01") == "2026-11-20T09:42:07.123456Z");
  CHECK(read("2026-11-20 10:42:07-0330") == "2026-11-20T14:12:07.000000Z");
  CHECK(read("  2026-11-20  10:42 Z ") == "2026-11-20T10:42:00.000000Z");
  CHECK(read("2024-02-29 23:59:59,999999Z") == "2024-02-29T23:59:59.999999Z");
}

TEST_CASE("target time: without an offset the configured zone counts, a named zone wins over it") {
  CHECK(read("2026-11-20 10:42", "Europe/Berlin") == "2026-11-20T09:42:00.000000Z");
  CHECK(read("2026-07-20 10:42", "Europe/Berlin") == "2026-07-20T08:42:00.000000Z");
  CHECK(read("2026-11-20 10:42 America/New_York", "Europe/Berlin") == "2026-11-20T15:42:00.000000Z");
  CHECK(read("2026-11-20 10:42 UTC", "Europe/Berlin") == "2026-11-20T10:42:00.000000Z");
}

TEST_CASE("target time: relative to now, days as the zone counts them") {
  CHECK(read("now") == "2026-11-20T10:42:07.123456Z");
  CHECK(read("5 minutes ago") == "2026-11-20T10:37:07.123456Z");
  CHECK(read("1 Hour ago") == "2026-11-20T09:42:07.123456Z");
  CHECK(read("10:42") == "2026-11-20T10:42:00.000000Z");
  CHECK(read("9:05:07") == "2026-11-20T09:05:07.000000Z");
  CHECK(read("today 9:00", "Europe/Berlin") == "2026-11-20T08:00:00.000000Z");
  CHECK(read("yesterday 17:05", "Europe/Berlin") == "2026-11-19T16:05:00.000000Z");
  // In Kiritimati it is already the 21st.
  CHECK(read("today 0:30", "Pacific/Kiritimati") == "2026-11-20T10:30:00.000000Z");
  CHECK(read("yesterday 0:30", "Pacific/Kiritimati") == "2026-11-19T10:30:00.000000Z");
}

TEST_CASE("target time: the local reading names its zone") {
  const auto time = parse_target_time("2026-11-20T10:42:07Z", "Europe/Berlin", kNow);
  REQUIRE(time);
  CHECK(time->local == "2026-11-20 11:42:07.000000 +01:00 (Europe/Berlin)");
  CHECK(describe_time(time->time, "Europe/Berlin") ==
        "2026-11-20T10:42:07.000000Z (11:42:07.000000 Europe/Berlin)");
  CHECK(describe_time(time->time, "Pacific/Auckland") ==
        "2026-11-20T10:42:07.000000Z (23:42:07.000000 Pacific/Auckland)");
  CHECK(describe_time(time->time, "Pacific/Kiritimati") ==
        "2026-11-20T10:42:07.000000Z (2026-11-21 00:42:07.000000 Pacific/Kiritimati)");
  CHECK(describe_time(time->time, "UTC") == "2026-11-20T10:42:07.000000Z");
}

TEST_CASE("target time: a 12-hour clock is refused") {
  const auto text =
      "walback: cannot read '13am' as a time: a 12-hour clock\nhint: Hours are 0 to 23: 1 pm is 13:00.";
  CHECK(read("13am") == text);
  CHECK(
      read("10:42 PM") ==
      "walback: cannot read '10:42 PM' as a time: a 12-hour clock\nhint: Hours are 0 to 23: 1 pm is 13:00.");
}

TEST_CASE("target time: abbreviations and unknown zones are refused") {
  CHECK(read("2026-11-20 10:42 EST") ==
        "walback: cannot read '2026-11-20 10:42 EST' as a time: 'EST' is not a zone that means one thing "
        "everywhere\nhint: Write an offset like +01:00, a Z for UTC, or a name like Europe/Berlin.");
  CHECK(read("10:42 IST") ==
        "walback: cannot read '10:42 IST' as a time: 'IST' is not a zone that means one thing everywhere\n"
        "hint: Write an offset like +01:00, a Z for UTC, or a name like Europe/Berlin.");
  CHECK(read("10:42 Europe/Berlinn") ==
        "walback: cannot read '10:42 Europe/Berlinn' as a time: time zone 'Europe/Berlinn' is not known\n"
        "hint: Did you mean Europe/Berlin?");
  CHECK(read("10:42", "Mars/Olympus") ==
        "walback: time_zone: 'Mars/Olympus' is not known to this system's zone database\n"
        "hint: Give a name like Europe/Berlin; Debian's package tzdata brings the database.");
}

TEST_CASE("target time: dates that do not exist are refused") {
  CHECK(
      read("2026-02-30 10:00Z") ==
      "walback: cannot read '2026-02-30 10:00Z' as a time: there is no day 30 in 2026-02, which has 28 days\n"
      "hint: Dates are written year-month-day: 2026-11-20.");
  CHECK(read("2026-13-01 10:00Z") ==
        "walback: cannot read '2026-13-01 10:00Z' as a time: there is no month 13\n"
        "hint: Dates are written year-month-day: 2026-11-20.");
  CHECK(read("2026-11-20") ==
        "walback: cannot read '2026-11-20' as a time: a date without a time of day\n"
        "hint: Write '2026-11-20 00:00' for the first moment of that day.");
  CHECK(read("yesterday") ==
        "walback: cannot read 'yesterday' as a time: a day without a time of day\n"
        "hint: Write 'yesterday 00:00' for its first moment.");
  CHECK(read("25:00") ==
        "walback: cannot read '25:00' as a time: there is no hour 25\nhint: Hours are 0 to 23.");
  CHECK(read("10:42:60") ==
        "walback: cannot read '10:42:60' as a time: there is no second 60\nhint: Seconds are 0 to 59.");
}

TEST_CASE("target time: more than microseconds is refused") {
  CHECK(read("2026-11-20T10:42:07.1234567Z") ==
        "walback: cannot read '2026-11-20T10:42:07.1234567Z' as a time: 7 digits of a second, at most 6 are "
        "possible\nhint: PostgreSQL's clock counts microseconds.");
}

TEST_CASE("target time: a local time that happened twice or never is refused with both readings") {
  CHECK(read("2026-10-25 02:30", "Europe/Berlin") ==
        "walback: cannot read '2026-10-25 02:30' as a time: 2026-10-25 02:30:00.000000 happened twice in "
        "Europe/Berlin, when the clocks were set back\n"
        "hint: Write 2026-10-25 02:30:00.000000+02:00 for the first or 2026-10-25 02:30:00.000000+01:00 for "
        "the "
        "second.");
  CHECK(read("2026-10-25 02:30:00.000000+01:00", "Europe/Berlin") == "2026-10-25T01:30:00.000000Z");
  CHECK(
      read("2026-03-29 02:30", "Europe/Berlin") ==
      "walback: cannot read '2026-03-29 02:30' as a time: 2026-03-29 02:30:00.000000 does not exist in "
      "Europe/Berlin, where the clocks were set forward over it\n"
      "hint: With the offset before the change it is 2026-03-29 02:30:00.000000+01:00, with the one after it "
      "2026-03-29 02:30:00.000000+02:00.");
}

TEST_CASE("target time: a time of day that is still to come is not taken for yesterday's") {
  CHECK(read("10:43") ==
        "walback: cannot read '10:43' as a time: 2026-11-20 10:43:00.000000 +00:00 (UTC) is still to come\n"
        "hint: Did you mean yesterday? Then write it, or the date.");
}

TEST_CASE("target time: garbage is refused, never thrown") {
  const std::string examples =
      "hint: Write 2026-11-20T10:42:07Z, '2026-11-20 10:42 Europe/Berlin', '10:42', 'yesterday 17:05' or "
      "'5 minutes ago'.";
  CHECK(read("") == "walback: the time is empty\n" + examples);
  for (const auto* text :
       {"tomorrow", "1795171327", "2026-11-20T", "2026-11-20 10", "20.11.2026 10:42", "10:4", "10:42:07.",
        "10:42 +1", "10:42+1:00", "10:42+99:00", "2026-11-2010:42", "10:42 %s", "99999999999 days ago",
        "-5 minutes ago", "1969-12-31 10:00Z", "\xff\xfe", ":", "+", "Z"})
    CHECK_MESSAGE(read(text).starts_with("walback: cannot read '"), text);
  CHECK(read("20.11.2026 10:42") ==
        "walback: cannot read '20.11.2026 10:42' as a time: expected a time of day as hours:minutes\n" +
            examples);
}
