#include "restore/target_time.h"

#include <date/tz.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <vector>

#include "base/text.h"
#include "restore/time_words.h"

namespace walback {
namespace {

using std::chrono::microseconds;
using LocalTime = date::local_time<microseconds>;
using SystemTime = date::sys_time<microseconds>;

/// The library throws for a name it does not know, and reads the system's zone files.
const date::time_zone* find_zone(std::string_view name) {
  try {
    return name.empty() ? nullptr : date::locate_zone(std::string(name));
  } catch (const std::exception&) {
    return nullptr;
  }
}

std::vector<std::string> zone_names() {
  std::vector<std::string> names;
  try {
    for (const auto& zone : date::get_tzdb().zones) names.push_back(zone.name());
  } catch (const std::exception&) {
    names.clear();
  }
  return names;
}

SystemTime to_system(Timestamp time) {
  return SystemTime{microseconds{time.unix_us}};
}

Timestamp to_timestamp(SystemTime time) {
  return {time.time_since_epoch().count()};
}

std::string render_offset(std::chrono::seconds offset) {
  const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(offset).count();
  const auto size = std::abs(minutes);
  return fmt::format("{}{:02}:{:02}", minutes < 0 ? '-' : '+', size / 60, size % 60);
}

std::string render_clock(microseconds since_midnight) {
  const date::hh_mm_ss<microseconds> clock{since_midnight};
  return fmt::format("{:02}:{:02}:{:02}.{:06}", clock.hours().count(), clock.minutes().count(),
                     clock.seconds().count(), clock.subseconds().count());
}

std::string render_date(date::local_days day) {
  const date::year_month_day ymd{day};
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(ymd.year()), static_cast<unsigned>(ymd.month()),
                     static_cast<unsigned>(ymd.day()));
}

/// "2026-11-20 11:42:07.000000 +01:00 (Europe/Berlin)"
std::string render_local(SystemTime time, const date::time_zone& zone) {
  const auto info = zone.get_info(time);
  const LocalTime local{(time + info.offset).time_since_epoch()};
  const auto day = date::floor<date::days>(local);
  return fmt::format("{} {} {} ({})", render_date(day), render_clock(local - day), render_offset(info.offset),
                     zone.name());
}

tl::unexpected<Error> refuse(std::string_view text, std::string why, std::string hint) {
  return fail(ErrorKind::usage, fmt::format("cannot read '{}' as a time: {}", text, why), std::move(hint));
}

/// The one moment at which the zone's clocks show this; refused where there is none, or two.
Result<SystemTime> resolve_local(std::string_view text, LocalTime local, const date::time_zone& zone) {
  const auto info = zone.get_info(local);
  const auto shown = fmt::format("{} {}", render_date(date::floor<date::days>(local)),
                                 render_clock(local - date::floor<date::days>(local)));
  const auto reading = [&](const date::sys_info& half) {
    return fmt::format("{} {}{}", render_date(date::floor<date::days>(local)),
                       render_clock(local - date::floor<date::days>(local)), render_offset(half.offset));
  };
  if (info.result == date::local_info::unique)
    return SystemTime{(local - info.first.offset).time_since_epoch()};
  if (info.result == date::local_info::ambiguous)
    return refuse(text,
                  fmt::format("{} happened twice in {}, when the clocks were set back", shown, zone.name()),
                  fmt::format("Write {} for the first or {} for the second.", reading(info.first),
                              reading(info.second)));
  return refuse(
      text,
      fmt::format("{} does not exist in {}, where the clocks were set forward over it", shown, zone.name()),
      fmt::format("With the offset before the change it is {}, with the one after it {}.",
                  reading(info.first), reading(info.second)));
}

Result<const date::time_zone*> zone_named(std::string_view text, std::string_view name) {
  // An abbreviation is no zone: IST is India's, Israel's and Ireland's, and the database's own EST has no
  // summer.
  const bool abbreviation = name.find('/') == std::string_view::npos && name != "UTC" && name != "GMT";
  if (abbreviation)
    return refuse(text, fmt::format("'{}' is not a zone that means one thing everywhere", name),
                  "Write an offset like +01:00, a Z for UTC, or a name like Europe/Berlin.");
  if (const auto* zone = find_zone(name)) return zone;
  const auto near = nearest(name, zone_names());
  return refuse(text, fmt::format("time zone '{}' is not known", name),
                near
                    ? fmt::format("Did you mean {}?", *near)
                    : std::string("Write an offset like +01:00, a Z for UTC, or a name like Europe/Berlin."));
}

Result<date::local_days> day_of(std::string_view text, const TimeWords& words, date::local_days today) {
  if (!words.date) return today - date::days{words.days_back};
  const auto& [year, month, day] = *words.date;
  const date::year_month_day ymd{date::year{year}, date::month{month}, date::day{day}};
  if (month < 1 || month > 12)
    return refuse(text, fmt::format("there is no month {}", month),
                  "Dates are written year-month-day: 2026-11-20.");
  if (!ymd.ok()) {
    const date::year_month_day_last last{ymd.year() / ymd.month() / date::last};
    return refuse(text,
                  fmt::format("there is no day {} in {:04}-{:02}, which has {} days", day, year, month,
                              static_cast<unsigned>(last.day())),
                  "Dates are written year-month-day: 2026-11-20.");
  }
  return date::local_days{ymd};
}

Result<SystemTime> resolve(std::string_view text, const TimeWords& words, const date::time_zone& configured,
                           Timestamp now) {
  if (words.ago) return to_system(now) - *words.ago;
  const auto* zone = words.zone.empty() ? &configured : TRY(zone_named(text, words.zone));
  const auto offset =
      words.offset ? std::chrono::seconds{*words.offset} : zone->get_info(to_system(now)).offset;
  const LocalTime local_now{(to_system(now) + offset).time_since_epoch()};
  const auto day = TRY(day_of(text, words, date::floor<date::days>(local_now)));
  const LocalTime local = day + words.since_midnight;
  if (words.offset) return SystemTime{(local - offset).time_since_epoch()};
  return resolve_local(text, local, *zone);
}

}  // namespace

Result<TargetTime> parse_target_time(std::string_view text, std::string_view zone, Timestamp now) {
  const auto* configured = find_zone(zone);
  if (configured == nullptr)
    return fail(ErrorKind::config,
                fmt::format("time_zone: '{}' is not known to this system's zone database", zone),
                "Give a name like Europe/Berlin; Debian's package tzdata brings the database.");
  const auto words = TRY(parse_time_words(text));
  const auto time = TRY(resolve(text, words, *configured, now));
  if (words.relative_day && to_timestamp(time) > now)
    return refuse(text, fmt::format("{} is still to come", render_local(time, *configured)),
                  "Did you mean yesterday? Then write it, or the date.");
  return TargetTime{to_timestamp(time), render_local(time, *configured)};
}

std::string describe_time(Timestamp time, std::string_view zone) {
  const auto utc = to_rfc3339(time);
  const auto* known = find_zone(zone);
  if (known == nullptr || zone == "UTC" || zone == "Etc/UTC") return utc;
  const auto point = to_system(time);
  const LocalTime local{(point + known->get_info(point).offset).time_since_epoch()};
  const auto day = date::floor<date::days>(local);
  const bool same_day = day.time_since_epoch() == date::floor<date::days>(point).time_since_epoch();
  return fmt::format("{} ({}{} {})", utc, same_day ? "" : render_date(day) + ' ', render_clock(local - day),
                     known->name());
}

}  // namespace walback
