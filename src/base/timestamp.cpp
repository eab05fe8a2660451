#include "base/timestamp.h"

#include <fmt/format.h>

#include <chrono>

namespace walback {
namespace {

constexpr std::int64_t kSecond = 1'000'000;
/// 2000-01-01T00:00:00Z in Unix microseconds.
constexpr std::int64_t kPostgresEpochUs = 946'684'800 * kSecond;

}  // namespace

Timestamp from_postgres(std::int64_t timestamptz) {
  return {timestamptz + kPostgresEpochUs};
}

std::int64_t to_postgres(Timestamp time) {
  return time.unix_us - kPostgresEpochUs;
}

std::string to_rfc3339(Timestamp time) {
  using namespace std::chrono;
  const sys_time<microseconds> point{microseconds{time.unix_us}};
  const auto day = floor<days>(point);
  const year_month_day date{day};
  const int year = static_cast<int>(date.year());
  if (year < 1 || year > 9999) return std::to_string(time.unix_us);
  const hh_mm_ss clock{point - day};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", year, static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()), clock.hours().count(), clock.minutes().count(),
                     clock.seconds().count(), clock.subseconds().count());
}

std::string render_duration_us(std::int64_t duration_us) {
  if (duration_us < 0) return "-" + render_duration_us(-duration_us);
  if (duration_us < kSecond) return fmt::format("{} ms", duration_us / 1000);
  if (duration_us < 60 * kSecond) return fmt::format("{:.1f} s", static_cast<double>(duration_us) / kSecond);
  const std::int64_t seconds = duration_us / kSecond;
  if (seconds < 3600) return fmt::format("{} min {} s", seconds / 60, seconds % 60);
  if (seconds < 86400) return fmt::format("{} h {} min", seconds / 3600, seconds % 3600 / 60);
  return fmt::format("{} d {} h", seconds / 86400, seconds % 86400 / 3600);
}

}  // namespace walback
