#include "archive/mirror.h"

#include <algorithm>

#include "base/text.h"
#include "pg/mirror_queries.h"

namespace walback {
namespace {

constexpr const char* kVersionFact = "mirror_version";
constexpr const char* kSeenFact = "mirror_seen";  ///< "<timeline> <lsn>": commits before it are mirrored
constexpr const char* kXidsFact = "mirror_xids";
constexpr const char* kRemovalsFact = "mirror_removals";  ///< how many the mirror has followed

struct Seen {
  TimelineId timeline;
  Lsn lsn;
};

std::optional<Seen> parse_seen(const std::string& text) {
  const auto parts = split(text, ' ');
  if (parts.size() != 2) return std::nullopt;
  const auto timeline = parse_decimal(parts[0]);
  const auto lsn = parse_lsn(parts[1]);
  if (!timeline || *timeline == 0 || *timeline > UINT32_MAX || !lsn) return std::nullopt;
  return Seen{{static_cast<std::uint32_t>(*timeline)}, *lsn};
}

std::string seen_text(const Seen& seen) {
  return std::to_string(seen.timeline.value) + " " + to_string(seen.lsn);
}

/// Did anybody commit in [seen, end) but these mirrors?
Result<bool> committed_by_others(const Catalog& catalog, const Seen& seen, Lsn end,
                                 const std::vector<OwnXids>& mirrors) {
  bool others = false;
  TRY(catalog.each_end({seen.timeline, seen.lsn, end}, [&](const TransactionEnd& transaction) {
    others = is_commit(transaction.kind) && std::ranges::none_of(mirrors, [&](const OwnXids& mirror) {
               return mirror.contains(transaction.xid);
             });
    return !others;
  }));
  return others;
}

/// The end of what the index holds, on the newest timeline that has a segment.
Result<std::optional<Seen>> index_end(const Catalog& catalog) {
  auto timelines = TRY(catalog.timelines());
  std::sort(timelines.begin(), timelines.end(),
            [](const TimelineRow& a, const TimelineRow& b) { return a.timeline > b.timeline; });
  for (const TimelineRow& row : timelines)
    if (const auto newest = TRY(catalog.newest_segment(row.timeline)))
      return std::optional<Seen>{{row.timeline, newest->valid_end_lsn}};
  return std::optional<Seen>{};
}

Result<OwnXids> own_xids(const Catalog& catalog) {
  return OwnXids::parse(TRY(catalog.fact(kXidsFact)).value_or(""));
}

Result<bool> rows_were_removed(const Catalog& catalog, std::int64_t removals) {
  return TRY(catalog.fact(kRemovalsFact)).value_or("0") != std::to_string(removals);
}

Result<std::vector<MirroredSpan>> kept_spans(const Catalog& catalog) {
  std::vector<MirroredSpan> kept;
  for (const Catalog::FileSpan& span : TRY(catalog.segment_spans()))
    kept.push_back({span.timeline.value, span.first, span.last});
  return kept;
}

MirroredSegment mirrored(const SegmentRow& row, SegmentSize size) {
  return {.timeline = row.name.timeline.value,
          .segment = file_name(row.name, size),
          .epoch = row.epoch,
          .state = std::string(name_of(row.state)),
          .start_lsn = row.start_lsn,
          .valid_end_lsn = row.valid_end_lsn,
          .size_bytes = row.size_bytes,
          .records = row.records,
          .commits = row.commits,
          .aborts = row.aborts,
          .first_time = row.first_time,
          .last_time = row.last_time,
          .problem = row.problem};
}

}  // namespace

OwnXids OwnXids::parse(const std::string& text) {
  OwnXids own;
  for (const std::string_view part : split(text, ' '))
    if (const auto xid = parse_decimal(part)) own.add(*xid);
  return own;
}

void OwnXids::add(std::uint64_t xid) {
  if (xids_.size() == kKept) xids_.erase(xids_.begin());
  xids_.push_back(xid);
}

bool OwnXids::contains(std::uint32_t xid) const {
  return std::any_of(xids_.begin(), xids_.end(),
                     [&](std::uint64_t own) { return static_cast<std::uint32_t>(own) == xid; });
}

std::string OwnXids::text() const {
  std::vector<std::string> parts;
  for (const std::uint64_t xid : xids_) parts.push_back(std::to_string(xid));
  return join(parts, " ");
}

Result<bool> Mirror::due(Catalog& catalog) {
  const auto end = TRY(index_end(catalog));
  if (!end) return false;
  const auto seen = parse_seen(TRY(catalog.fact(kSeenFact)).value_or(""));
  if (!seen || seen->timeline != end->timeline) return true;
  if (TRY(rows_were_removed(catalog, TRY(catalog.segment_removals())))) return true;
  return committed_by_others(catalog, *seen, end->lsn, {TRY(own_xids(catalog))});
}

Result<bool> Mirror::still_due(Catalog& catalog, Connection& connection) {
  const auto end = TRY(index_end(catalog));
  const auto seen = parse_seen(TRY(catalog.fact(kSeenFact)).value_or(""));
  if (!end || !seen || seen->timeline != end->timeline) return true;
  if (TRY(rows_were_removed(catalog, TRY(catalog.segment_removals())))) return true;
  std::vector<OwnXids> mirrors{TRY(own_xids(catalog))};
  for (const std::string& xids : TRY(other_mirrors_xids(connection, slot_)))
    mirrors.push_back(OwnXids::parse(xids));
  if (TRY(committed_by_others(catalog, *seen, end->lsn, mirrors))) return true;
  TRY(catalog.put_fact(kSeenFact, seen_text(*end)));
  return false;
}

Result<std::size_t> Mirror::write(Catalog& catalog, Connection& connection) {
  // Before the rows: a commit that is indexed while we write belongs to the next round.
  const auto end = TRY(index_end(catalog));
  if (!end) return std::size_t{0};
  const auto version = TRY(catalog.fact(kVersionFact));
  const std::int64_t removals = TRY(catalog.segment_removals());
  // A catalog that was made anew does not know which rows the mirror has from before.
  std::optional<std::vector<MirroredSpan>> kept;
  if (!version || TRY(rows_were_removed(catalog, removals))) kept = TRY(kept_spans(catalog));
  std::int64_t newest = static_cast<std::int64_t>(parse_decimal(version.value_or("")).value_or(0));
  const auto rows = TRY(catalog.segments_changed_since(newest, kMirrorRowsPerRound, newest));

  std::vector<MirroredSegment> segments;
  for (const SegmentRow& row : rows)
    if (!row.superseded) segments.push_back(mirrored(row, archive_.identity.segment_size));
  const auto announce = [&](std::uint64_t xid) -> Result<std::string> {
    OwnXids own = TRY(own_xids(catalog));
    own.add(xid);
    TRY(catalog.put_fact(kXidsFact, own.text()));
    return own.text();
  };
  TRY(mirror_segments(connection, {slot_, segments, kept, announce}));

  const bool all = rows.size() < static_cast<std::size_t>(kMirrorRowsPerRound);
  TRY(catalog.transaction([&]() -> Status {
    TRY(catalog.put_fact(kVersionFact, std::to_string(newest)));
    TRY(catalog.put_fact(kRemovalsFact, std::to_string(removals)));
    if (!all) return {};
    return catalog.put_fact(kSeenFact, seen_text(*end));
  }));
  return segments.size();
}

}  // namespace walback
