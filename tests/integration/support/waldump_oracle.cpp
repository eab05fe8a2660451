#include "integration/support/waldump_oracle.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "base/text.h"
#include "os/process.h"

namespace walback::test {
namespace {

std::uint32_t number(std::string_view text) {
  const auto value = parse_decimal(text);
  REQUIRE_MESSAGE(value, "pg_waldump printed '" << text << "' where a number is expected");
  return static_cast<std::uint32_t>(*value);
}

/// "2026-11-20 10:42:07.123456 UTC"
Timestamp parse_time(std::string_view text) {
  using namespace std::chrono;
  REQUIRE_MESSAGE((text.size() == 30 && text.ends_with(" UTC")), "a time of pg_waldump: '" << text << "'");
  const auto part = [&](std::size_t at, std::size_t size) { return number(text.substr(at, size)); };
  const auto day = sys_days(year(static_cast<int>(part(0, 4))) / part(5, 2) / part(8, 2));
  const auto time = day.time_since_epoch() + hours(part(11, 2)) + minutes(part(14, 2)) +
                    seconds(part(17, 2)) + microseconds(part(20, 6));
  return {duration_cast<microseconds>(time).count()};
}

/// What stands between `before` and `after`, or the end.
std::string_view between(std::string_view text, std::string_view before, std::string_view after) {
  const auto begin = text.find(before);
  if (begin == std::string_view::npos) return {};
  text.remove_prefix(begin + before.size());
  return trim(text.substr(0, text.find(after)));
}

/// pg_waldump wants one directory of bare names. The archive's files stay as they are.
std::string first_segment_in(const Path& epoch, const Path& scratch, std::uint32_t timeline) {
  REQUIRE(real_file_system().remove_tree(scratch));
  REQUIRE(real_file_system().create_directories(scratch));
  const auto entries = real_file_system().list(epoch);
  REQUIRE(entries);
  std::string first;
  for (const auto& entry : *entries) {
    const std::string bare = entry.name.substr(0, 24);
    const bool segment = bare.size() == 24 && bare.find_first_not_of("0123456789ABCDEF") == std::string::npos;
    if (!segment || bare.substr(0, 8) != fmt::format("{:08X}", timeline)) continue;
    REQUIRE(real_file_system().copy_file(epoch / entry.name, scratch / bare));
    if (first.empty()) first = bare;
  }
  REQUIRE(!first.empty());
  return first;
}

}  // namespace

WaldumpOracle::WaldumpOracle(const Binaries& binaries, const Path& epoch, const Path& scratch,
                             std::uint32_t timeline) {
  const std::string first = first_segment_in(epoch, scratch, timeline);
  const auto size = std::filesystem::file_size(scratch / first);
  const std::uint64_t begin = parse_hex(first.substr(8, 8)).value() * 0x1'0000'0000ULL +
                              parse_hex(first.substr(16, 8)).value() * size;
  const Command command{binaries.program("pg_waldump"),
                        {"-p", scratch.string(), "-t", std::to_string(timeline), "-s", to_string(Lsn{begin})},
                        {{"TZ", "UTC"}},
                        "/"};
  // Not run(): its output is larger than what run() keeps.
  auto process = real_processes().spawn(command, [&](std::string_view line) { take_line(line); });
  REQUIRE_MESSAGE(process, process.error().message);
  REQUIRE((*process)->wait(std::chrono::minutes(3)));
  REQUIRE(!records_.empty());
}

/// "rmgr: Transaction len (rec/tot): 34/ 34, tx: 731, lsn: 0/014E1F40, prev 0/014E1F08, desc: COMMIT 2026-…"
void WaldumpOracle::take_line(std::string_view line) {
  if (line.starts_with("pg_waldump: error: error in WAL record")) {
    const auto at = between(line, " at ", ":");
    const auto rest = line.substr(line.find(": ", line.find(at)) + 2);
    const auto where = between(rest, " at ", ":");
    end_ = parse_lsn(where.substr(0, where.find(',')));
  }
  if (!line.starts_with("rmgr: ")) return;
  const auto lsn = parse_lsn(between(line, "lsn: ", ","));
  REQUIRE_MESSAGE(lsn, "a line of pg_waldump: '" << line << "'");
  records_.push_back(*lsn);
  const auto at = line.find("desc: ");
  const auto desc = at == std::string_view::npos ? std::string_view{} : line.substr(at + 6);
  const auto manager = between(line, "rmgr: ", " ");
  if (manager == "Transaction") take_end(desc, number(between(line, "tx: ", ",")));
  if (manager == "XLOG" && desc.starts_with("RESTORE_POINT "))
    restore_points_.emplace_back(desc.substr(14), records_.size() - 1);
  if (manager == "XLOG" && desc.starts_with("BACKUP_END")) backup_ends_.push_back(records_.size());
}

void WaldumpOracle::take_end(std::string_view desc, std::uint32_t xid) {
  const auto word = desc.substr(0, desc.find(' '));
  const bool prepared = word == "COMMIT_PREPARED" || word == "ABORT_PREPARED";
  const bool commit = word.starts_with("COMMIT");
  if (!commit && !word.starts_with("ABORT")) return;
  auto rest = desc.substr(word.size() + 1);
  if (prepared) {
    xid = number(rest.substr(0, rest.find(':')));
    rest.remove_prefix(rest.find(':') + 2);
  }
  DumpedEnd end{records_.size() - 1, records_.back(), commit, xid, parse_time(rest.substr(0, 30)), {}};
  const auto subxacts = between(rest, "subxacts: ", ";");
  if (!subxacts.empty()) {
    for (const auto each : split(subxacts, ' ')) end.subxids.push_back(number(each));
  }
  for (const std::uint32_t each : end.subxids) {
    if (!commit) aborted_.insert(each);
    if (commit) committed_[each] = ends_.size();
  }
  if (commit) committed_[xid] = ends_.size();
  if (!commit) aborted_.insert(xid);
  ends_.push_back(std::move(end));
}

std::vector<DumpedEnd> WaldumpOracle::commits() const {
  std::vector<DumpedEnd> commits;
  std::ranges::copy_if(ends_, std::back_inserter(commits), &DumpedEnd::commit);
  return commits;
}

std::optional<Cut> WaldumpOracle::at_time(Timestamp time, bool before) const {
  for (const DumpedEnd& end : ends_) {
    if (end.time > time || (before && end.time == time)) return end.record;
  }
  return std::nullopt;
}

std::optional<Cut> WaldumpOracle::at_lsn(Lsn lsn, bool before) const {
  const auto decides = std::ranges::lower_bound(records_, lsn);
  if (decides == records_.end()) return std::nullopt;
  return static_cast<Cut>(decides - records_.begin()) + (before ? 0 : 1);
}

std::optional<Cut> WaldumpOracle::at_xid(std::uint32_t xid, bool before) const {
  const auto found = committed_.find(xid);
  if (found == committed_.end()) return std::nullopt;
  return ends_[found->second].record + (before ? 0 : 1);
}

std::optional<Cut> WaldumpOracle::at_name(const std::string& name, bool before) const {
  for (const auto& [each, record] : restore_points_) {
    if (each == name) return record + (before ? 0 : 1);
  }
  return std::nullopt;
}

const DumpedEnd* WaldumpOracle::last_commit(Cut cut) const {
  for (auto end = ends_.rbegin(); end != ends_.rend(); ++end) {
    if (end->commit && end->record < cut) return &*end;
  }
  return nullptr;
}

const DumpedEnd* WaldumpOracle::next_commit(Cut cut) const {
  for (const DumpedEnd& end : ends_) {
    if (end.commit && end.record >= cut) return &end;
  }
  return nullptr;
}

std::set<std::int64_t> WaldumpOracle::visible(const std::vector<std::pair<std::int64_t, std::uint32_t>>& rows,
                                              Cut cut) const {
  std::set<std::int64_t> ids;
  for (const auto& [id, xid] : rows) {
    const auto found = committed_.find(xid);
    if (found != committed_.end() && ends_[found->second].record < cut) ids.insert(id);
  }
  return ids;
}

}  // namespace walback::test
