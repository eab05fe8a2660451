#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "restore/resolve_stop.h"

/// Targets that are named by what happened: a transaction, a restore point.
namespace walback {
namespace {

bool is_abort(const TransactionEnd& end) {
  return !is_commit(end.kind);
}

tl::unexpected<Refused> not_on_path(std::string_view what, TimelineId timeline, Lsn lsn,
                                    const WalPath& path) {
  return refuse(ErrorKind::not_found,
                fmt::format("{} is at {} on timeline {}, which is not on the path of timeline {}", what,
                            to_string(lsn), timeline.value, path.timeline.value),
                fmt::format("Add --timeline {} to restore on that path.", timeline.value));
}

tl::unexpected<Refused> aborted(std::uint32_t xid, const TransactionEnd& end) {
  const auto who = end.xid == xid ? fmt::format("transaction {}", xid)
                                  : fmt::format("transaction {} (a subtransaction of {})", xid, end.xid);
  return refuse(ErrorKind::not_found,
                fmt::format("{} was aborted at {}: nothing of it is visible at any moment", who,
                            moment_text(end.lsn, end.time)),
                fmt::format("--to-lsn {} --before is the moment just before its abort.", to_string(end.lsn)));
}

std::string restore_point_line(const MomentRow& row) {
  return fmt::format("{} on timeline {}", moment_text(row.lsn, row.time), row.timeline.value);
}

/// The names that were typed almost like this one.
Result<std::string> name_hint(const std::string& name, const WalPath& path) {
  std::vector<std::string> names;
  for (const auto& row : TRY(path.moments({}, kMaxLsn, MomentKind::restore_point))) names.push_back(row.name);
  if (names.empty())
    return std::string("No restore point is captured; pg_create_restore_point('name') makes one.");
  if (const auto near = nearest(name, names)) return fmt::format("Did you mean --to-name '{}'?", *near);
  return fmt::format("The newest one captured is '{}'.", names.back());
}

}  // namespace

OrRefused<ResolvedStop> resolve_xid(const RecoveryTarget& target, const WalPath& path) {
  const auto found = TRY(path.catalog->find_xid(target.xid));
  if (found.empty())
    return refuse(
        ErrorKind::not_found, fmt::format("no commit or abort of transaction {} is captured", target.xid),
        "A transaction without an xid (read-only) leaves no trace; `walback commits` lists those that did.");
  std::vector<std::pair<std::size_t, TransactionEnd>> here;
  for (const auto& one : found)
    if (const auto part = path.part_of(one.timeline, one.end.lsn)) here.emplace_back(*part, one.end);
  if (here.empty())
    return not_on_path(fmt::format("transaction {}", target.xid), found.front().timeline,
                       found.front().end.lsn, path);
  const auto& [part, end] =
      *std::ranges::max_element(here, {}, [](const auto& one) { return one.second.lsn; });
  if (is_abort(end)) return aborted(target.xid, end);

  auto at = stop_at_record(path, part, end.lsn, end.end_lsn, !target.before);
  if (end.xid != target.xid)
    at.warnings.push_back(
        {"subtransaction", fmt::format("{} is a subtransaction: it ends with its top-level transaction {}",
                                       target.xid, end.xid)});
  if (here.size() > 1)
    at.warnings.push_back(
        {"xid_reused", fmt::format("{} transactions with xid {} are captured (the counter wrapped "
                                   "around); this is the newest, of {}",
                                   here.size(), target.xid, to_rfc3339(end.time))});
  return at;
}

OrRefused<ResolvedStop> resolve_name(const RecoveryTarget& target, const WalPath& path) {
  const auto found = TRY(path.catalog->restore_points(target.name));
  if (found.empty())
    return refuse(ErrorKind::not_found, fmt::format("no restore point '{}' is captured", target.name),
                  TRY(name_hint(target.name, path)));
  std::vector<MomentRow> here;
  for (const auto& row : found)
    if (path.part_of(row.timeline, row.lsn)) here.push_back(row);
  std::ranges::sort(here, {}, &MomentRow::lsn);
  if (here.empty())
    return not_on_path(fmt::format("restore point '{}'", target.name), found.front().timeline,
                       found.front().lsn, path);
  if (here.size() > 1) {
    std::vector<std::string> lines;
    for (const auto& row : here) lines.push_back(restore_point_line(row));
    return refuse(
        ErrorKind::conflict,
        fmt::format("{} restore points are named '{}': {}", here.size(), target.name, join(lines, "; ")),
        "Name the one you mean by its position: --to-lsn with the LSN above.");
  }
  const auto& row = here.front();
  return stop_at_record(path, *path.part_of(row.timeline, row.lsn), row.lsn, row.end_lsn, !target.before);
}

}  // namespace walback
