#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "wal/lsn.h"
#include "wal/segment_name.h"

namespace walback {

/// The path that led to a timeline: its ancestors, oldest first, each with the LSN at which it was left. This
/// is what a `.history` file says. Timeline 1 has no such file, and no entries.
struct TimelineHistory {
  struct Entry {
    TimelineId timeline;
    Lsn switch_lsn;      ///< end of that timeline on this path, exclusive: the next one begins here
    std::string reason;  ///< as PostgreSQL wrote it: "no recovery target specified"
    bool operator==(const Entry&) const = default;
  };
  TimelineId timeline;
  std::vector<Entry> entries;
  bool operator==(const TimelineHistory&) const = default;
};

/// One timeline's part of a path: [begin, end); without an end it is the newest.
struct TimelineRange {
  TimelineId timeline;
  Lsn begin;
  std::optional<Lsn> end;
  bool operator==(const TimelineRange&) const = default;
};

/// `timeline` comes from the file's name. Refused (corrupt), naming the line: what does not parse, timelines
/// that do not ascend or reach the file's own, switch points that go back. Comments and blank lines are
/// skipped.
[[nodiscard]] Result<TimelineHistory> parse_timeline_history(TimelineId timeline, std::string_view text);

/// The timeline that owns the record which starts at `lsn`.
[[nodiscard]] TimelineId owner_of(const TimelineHistory& history, Lsn lsn);
/// A timeline is not its own ancestor.
[[nodiscard]] bool is_ancestor(const TimelineHistory& history, TimelineId timeline);
/// Oldest first, the history's own timeline last. Together they cover [0/0, …) without a hole.
[[nodiscard]] std::vector<TimelineRange> ranges_of(const TimelineHistory& history);
/// Is everything that happened on `inner` up to its birth also on `outer`'s path: the same timeline, or
/// `outer` descends from it through the same switch points?
[[nodiscard]] bool contains(const TimelineHistory& outer, const TimelineHistory& inner);
/// Up to where two paths are the same WAL. Nothing: they are the same path. A path that only goes on with a
/// newer timeline parts from the older one at the switch point, because the older one may have gone on too.
[[nodiscard]] std::optional<Lsn> fork_point(const TimelineHistory& a, const TimelineHistory& b);
/// Whose bytes may stand on a page of this history's newest segment: its own timeline and all its ancestors.
[[nodiscard]] std::vector<TimelineId> timelines_of(const TimelineHistory& history);

}  // namespace walback
