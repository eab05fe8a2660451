#include "restore/recovery_target.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/text.h"
#include "restore/target_time.h"

namespace walback {
namespace {

constexpr std::uint32_t kFirstNormalXid = 3;  ///< below are bootstrap and frozen
constexpr std::size_t kLongestName = 63;      ///< MAXFNAMELEN - 1, as pg_create_restore_point has it
constexpr std::string_view kTargets =
    "--to-time, --to-lsn, --to-xid, --to-name, --to-latest or --to-consistent";

Result<RecoveryTarget> of_options(const TargetOptions& options, std::string_view zone, Timestamp now) {
  RecoveryTarget target;
  if (options.to_time) {
    target.kind = TargetKind::time;
    target.time = TRY(parse_target_time(*options.to_time, zone, now)).time;
  } else if (options.to_lsn) {
    target.kind = TargetKind::lsn;
    target.lsn = TRY(parse_target_lsn(*options.to_lsn));
  } else if (options.to_xid) {
    target.kind = TargetKind::xid;
    target.xid = TRY(parse_target_xid(*options.to_xid));
  } else if (options.to_name) {
    target.kind = TargetKind::name;
    target.name = TRY(parse_target_name(*options.to_name));
  } else {
    target.kind = options.to_consistent ? TargetKind::consistent : TargetKind::latest;
  }
  return target;
}

}  // namespace

std::string_view name_of(TargetKind kind) {
  switch (kind) {
    case TargetKind::time:
      return "time";
    case TargetKind::lsn:
      return "lsn";
    case TargetKind::xid:
      return "xid";
    case TargetKind::name:
      return "name";
    case TargetKind::latest:
      return "latest";
    case TargetKind::consistent:
      return "consistent";
  }
  return "latest";
}

Result<Lsn> parse_target_lsn(std::string_view text) {
  const auto lsn = parse_lsn(trim(text));
  if (lsn && lsn->valid()) return *lsn;
  return fail(
      ErrorKind::usage, fmt::format("'{}' is no LSN, expected two hexadecimal numbers and a slash", text),
      "An LSN looks like 0/3000148; pg_current_wal_lsn() returns one, and `walback commits` lists them.");
}

Result<std::uint32_t> parse_target_xid(std::string_view text) {
  const auto number = parse_decimal(trim(text));
  if (!number)
    return fail(ErrorKind::usage, fmt::format("'{}' is no transaction id, expected a number", text),
                "txid_current() returns one, and `walback commits` lists them.");
  if (*number > UINT32_MAX)
    return fail(ErrorKind::usage,
                fmt::format("transaction id {} has an epoch in its upper half, expected 32 bits", *number),
                fmt::format("The WAL carries the lower half alone: --to-xid {}.", *number & UINT32_MAX));
  if (*number < kFirstNormalXid)
    return fail(ErrorKind::usage,
                fmt::format("transaction id {} is one of PostgreSQL's own, expected {} or more", *number,
                            kFirstNormalXid),
                "txid_current() returns one, and `walback commits` lists them.");
  return static_cast<std::uint32_t>(*number);
}

Result<std::string> parse_target_name(std::string_view text) {
  if (!text.empty() && text.size() <= kLongestName) return std::string(text);
  return fail(ErrorKind::usage,
              text.empty() ? std::string("the name of a restore point is empty")
                           : fmt::format("the name of a restore point has {} bytes, at most {} are possible",
                                         text.size(), kLongestName),
              "pg_create_restore_point('name') makes one.");
}

Result<TimelineId> parse_target_timeline(std::string_view text) {
  const auto number = parse_decimal(trim(text));
  if (number && *number >= 1 && *number <= UINT32_MAX) return TimelineId{static_cast<std::uint32_t>(*number)};
  return fail(ErrorKind::usage, fmt::format("'{}' is no timeline, expected a number from 1 on", text),
              "`walback list timelines` shows them, in decimal.");
}

Result<RecoveryTarget> parse_recovery_target(const TargetOptions& options, std::string_view zone,
                                             Timestamp now) {
  std::vector<std::string> given;
  if (options.to_time) given.emplace_back("--to-time");
  if (options.to_lsn) given.emplace_back("--to-lsn");
  if (options.to_xid) given.emplace_back("--to-xid");
  if (options.to_name) given.emplace_back("--to-name");
  if (options.to_latest) given.emplace_back("--to-latest");
  if (options.to_consistent) given.emplace_back("--to-consistent");
  if (given.empty())
    return fail(ErrorKind::usage, "no recovery target is given", fmt::format("Name one with {}.", kTargets));
  if (given.size() > 1)
    return fail(
        ErrorKind::usage,
        fmt::format("{} recovery targets are given, expected one: {}", given.size(), join(given, ", ")),
        "Leave out all but one.");
  if (options.before && (options.to_latest || options.to_consistent))
    return fail(ErrorKind::usage, fmt::format("--before makes no sense with {}", given.front()),
                "It leaves out what stands exactly at a time, LSN, transaction or restore point.");
  auto target = TRY(of_options(options, zone, now));
  target.before = options.before;
  if (options.timeline) target.timeline = TRY(parse_target_timeline(*options.timeline));
  return target;
}

std::string to_string(const RecoveryTarget& target) {
  std::string text = target.before ? "before " : "";
  switch (target.kind) {
    case TargetKind::time:
      text += to_rfc3339(target.time);
      break;
    case TargetKind::lsn:
      text += to_string(target.lsn);
      break;
    case TargetKind::xid:
      text += fmt::format("transaction {}", target.xid);
      break;
    case TargetKind::name:
      text += fmt::format("restore point '{}'", target.name);
      break;
    case TargetKind::latest:
      text += "the end of the captured WAL";
      break;
    case TargetKind::consistent:
      text += "the latest base backup's consistency";
      break;
  }
  if (target.timeline) text += fmt::format(" on timeline {}", target.timeline->value);
  return text;
}

std::string to_options(const RecoveryTarget& target) {
  std::string text = fmt::format("--to-{}", name_of(target.kind));
  if (target.kind == TargetKind::time) text += ' ' + to_rfc3339(target.time);
  if (target.kind == TargetKind::lsn) text += ' ' + to_string(target.lsn);
  if (target.kind == TargetKind::xid) text += fmt::format(" {}", target.xid);
  if (target.kind == TargetKind::name) {
    // Quoted for a shell: within single quotes nothing is special but the quote itself.
    text += " '";
    for (const char c : target.name) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
    text += '\'';
  }
  if (target.before) text += " --before";
  if (target.timeline) text += fmt::format(" --timeline {}", target.timeline->value);
  return text;
}

}  // namespace walback
