#pragma once
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/timestamp.h"

namespace walback {

/// A time as it was understood: shown to the person before anything is done.
struct TargetTime {
  Timestamp time;
  std::string local;  ///< "2026-11-20 11:42:07.000000 +01:00 (Europe/Berlin)"
};

/// Reads a time as people and scripts write it.
///
///     2026-11-20T10:42:07.5Z  2026-11-20 10:42:07+01:00     RFC 3339; a blank or a T; Z or an offset
///     2026-11-20 10:42  2026-11-20 10:42:07 Europe/Berlin   seconds may be absent; an IANA zone, or the
///     given one 10:42  today 9:00  yesterday 17:05  now  5 minutes ago  relative to `now`, days as the zone
///     counts them
///
/// Refuses rather than guesses (usage): 12-hour clocks, zone abbreviations (IST is three zones), a bare date,
/// more than six digits of a second, dates and local times that do not exist, local times that exist twice
/// (the hint has both readings). A wrong year passes here: only the plan knows what is reachable.
[[nodiscard]] Result<TargetTime> parse_target_time(std::string_view text, std::string_view zone,
                                                   Timestamp now);

/// "2026-11-20T10:42:07.000000Z (11:42:07.000000 Europe/Berlin)": both readings; the local date too where it
/// is another day. UTC alone where the zone is UTC or unknown.
[[nodiscard]] std::string describe_time(Timestamp time, std::string_view zone);

}  // namespace walback
