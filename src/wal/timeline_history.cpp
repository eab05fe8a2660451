#include "wal/timeline_history.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace walback {
namespace {

tl::unexpected<Error> bad_line(TimelineId timeline, std::size_t line, std::string_view what) {
  return fail(ErrorKind::corrupt,
              fmt::format("timeline history '{}', line {}: {}", history_file_name(timeline), line, what),
              "The server keeps the same file in its pg_wal directory; compare the two.");
}

/// "<timeline> <blank> <LSN> <blank> <reason>"
std::optional<TimelineHistory::Entry> parse_entry(std::string_view line) {
  const auto id_end = line.find_first_of(" \t");
  if (id_end == std::string_view::npos) return std::nullopt;
  const auto rest = trim(line.substr(id_end));
  const auto lsn_end = std::min(rest.find_first_of(" \t"), rest.size());
  const auto id = parse_decimal(line.substr(0, id_end));
  const auto lsn = parse_lsn(rest.substr(0, lsn_end));
  if (!id || *id == 0 || *id > 0xFFFFFFFFU || !lsn) return std::nullopt;
  return TimelineHistory::Entry{
      {static_cast<std::uint32_t>(*id)}, *lsn, std::string(trim(rest.substr(lsn_end)))};
}

}  // namespace

Result<TimelineHistory> parse_timeline_history(TimelineId timeline, std::string_view text) {
  TimelineHistory history{timeline, {}};
  std::size_t number = 0;
  for (const auto raw : split(text, '\n')) {
    ++number;
    const auto line = trim(raw);
    if (line.empty() || line.front() == '#') continue;
    auto entry = parse_entry(line);
    if (!entry) {
      return bad_line(timeline, number,
                      fmt::format("found '{}', expected a timeline, an LSN and a reason", line));
    }
    if (entry->timeline >= timeline) {
      return bad_line(timeline, number,
                      fmt::format("timeline {} cannot be an ancestor of timeline {}", entry->timeline.value,
                                  timeline.value));
    }
    if (!history.entries.empty()) {
      const auto& before = history.entries.back();
      if (entry->timeline <= before.timeline) {
        return bad_line(timeline, number,
                        fmt::format("timeline {} does not follow timeline {}", entry->timeline.value,
                                    before.timeline.value));
      }
      if (entry->switch_lsn < before.switch_lsn) {
        return bad_line(timeline, number,
                        fmt::format("switch point {} lies before the previous one, {}",
                                    to_string(entry->switch_lsn), to_string(before.switch_lsn)));
      }
    }
    history.entries.push_back(std::move(*entry));
  }
  if (history.entries.empty() && timeline.value != 1) {
    return fail(ErrorKind::corrupt,
                fmt::format("timeline history '{}' names no ancestor, expected at least timeline 1",
                            history_file_name(timeline)),
                "The file may be empty after a crash; fetch it again from the server's pg_wal directory.");
  }
  return history;
}

TimelineId owner_of(const TimelineHistory& history, Lsn lsn) {
  for (const auto& entry : history.entries) {
    if (lsn < entry.switch_lsn) return entry.timeline;
  }
  return history.timeline;
}

bool is_ancestor(const TimelineHistory& history, TimelineId timeline) {
  return std::ranges::any_of(history.entries, [&](const auto& entry) { return entry.timeline == timeline; });
}

std::vector<TimelineRange> ranges_of(const TimelineHistory& history) {
  std::vector<TimelineRange> ranges;
  Lsn begin;
  for (const auto& entry : history.entries) {
    ranges.push_back({entry.timeline, begin, entry.switch_lsn});
    begin = entry.switch_lsn;
  }
  ranges.push_back({history.timeline, begin, std::nullopt});
  return ranges;
}

bool contains(const TimelineHistory& outer, const TimelineHistory& inner) {
  const auto outer_ranges = ranges_of(outer);
  const auto inner_ranges = ranges_of(inner);
  if (inner_ranges.size() > outer_ranges.size()) return false;
  const auto last = inner_ranges.size() - 1;
  return std::equal(inner_ranges.begin(), inner_ranges.end() - 1, outer_ranges.begin()) &&
         outer_ranges[last].timeline == inner.timeline;
}

std::optional<Lsn> fork_point(const TimelineHistory& a, const TimelineHistory& b) {
  const auto a_ranges = ranges_of(a);
  const auto b_ranges = ranges_of(b);
  for (std::size_t i = 0; i < std::min(a_ranges.size(), b_ranges.size()); ++i) {
    const auto& left = a_ranges[i];
    const auto& right = b_ranges[i];
    if (left.timeline != right.timeline) return left.begin;
    if (left.end == right.end) continue;
    if (!left.end) return right.end;
    if (!right.end) return left.end;
    return std::min(*left.end, *right.end);
  }
  return std::nullopt;
}

std::vector<TimelineId> timelines_of(const TimelineHistory& history) {
  std::vector<TimelineId> timelines;
  for (const auto& entry : history.entries) timelines.push_back(entry.timeline);
  timelines.push_back(history.timeline);
  return timelines;
}

}  // namespace walback
