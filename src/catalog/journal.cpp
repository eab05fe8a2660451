#include "catalog/journal.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>

#include "base/text.h"
#include "catalog/expiry_journal.h"
#include "catalog/verified_journal.h"
#include "os/crash_point.h"

namespace walback {
namespace {

constexpr std::size_t kReadBytes = 1U << 20;

// --- Times as to_rfc3339 writes them, and nothing else.

std::optional<Timestamp> parse_own_time(std::string_view text) {
  constexpr std::string_view shape = "0000-00-00T00:00:00.000000Z";
  if (text.size() != shape.size()) return std::nullopt;
  std::array<std::uint64_t, 7> fields{};
  std::size_t field = 0;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (shape[i] == '0' ? !digit : text[i] != shape[i]) return std::nullopt;
    if (digit) {
      fields.at(field) = fields.at(field) * 10 + static_cast<std::uint64_t>(text[i] - '0');
    } else {
      ++field;
    }
  }
  using namespace std::chrono;
  const auto [y, mo, d, h, mi, s, us] = fields;
  const year_month_day date{year{static_cast<int>(y)}, month{static_cast<unsigned>(mo)},
                            day{static_cast<unsigned>(d)}};
  if (!date.ok() || h > 23 || mi > 59 || s > 59) return std::nullopt;
  const auto time =
      sys_days(date).time_since_epoch() + hours(h) + minutes(mi) + seconds(s) + microseconds(us);
  return Timestamp{duration_cast<microseconds>(time).count()};
}

std::optional<Timestamp> time_member(const Json& json, std::string_view key) {
  const auto text = member<std::string>(json, key);
  return text ? parse_own_time(*text) : std::nullopt;
}

std::optional<Lsn> lsn_member(const Json& json, std::string_view key) {
  const auto text = member<std::string>(json, key);
  return text ? parse_lsn(*text) : std::nullopt;
}

template <class T>
std::optional<T> number_member(const Json& json, std::string_view key) {
  const auto number = member<std::uint64_t>(json, key);
  if (!number || *number > std::numeric_limits<T>::max()) return std::nullopt;
  return static_cast<T>(*number);
}

tl::unexpected<Error> unreadable(const JournalEntry& entry) {
  return fail(ErrorKind::corrupt, fmt::format("the journal's entry '{}' of {} is incomplete: {}", entry.kind,
                                              to_rfc3339(entry.at), to_line(entry.body)));
}

// --- Lines.

/// Calls `visit(line, number)` for every line that ends, and for what is left behind the last one with
/// `number` 0. Returns where the last line that ends does so.
Result<std::uint64_t> each_line(FileSystem& files, const Path& path, std::uint64_t from,
                                const std::function<void(std::string_view, std::size_t)>& visit) {
  std::string pending;
  std::string buffer(kReadBytes, '\0');
  std::size_t number = 0;
  std::uint64_t offset = from;
  while (true) {
    const std::size_t count = TRY(files.read_at(path, offset, buffer));
    if (count == 0) break;
    offset += count;
    std::string_view rest(buffer.data(), count);
    for (auto end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
      pending += rest.substr(0, end);
      visit(pending, ++number);
      pending.clear();
      rest.remove_prefix(end + 1);
    }
    pending += rest;
  }
  if (!pending.empty()) visit(pending, 0);
  return offset - pending.size();
}

/// An entry of a kind that the catalog holds must be whole: an incomplete one would fail every rebuild.
bool is_whole(const JournalEntry& entry) {
  if (entry.kind == "watermark") return watermark_of(entry).has_value();
  if (entry.kind == "restore") return restore_of(entry).has_value();
  if (entry.kind == "gap_accepted") return accepted_gap_of(entry).has_value();
  if (entry.kind == "expired") return expiry_of(entry).has_value();
  return is_whole_verified_entry(entry);
}

std::optional<JournalEntry> parse_line(std::string_view line) {
  Json json = Json::parse(line, nullptr, false);
  const auto at = time_member(json, "at");
  auto kind = member<std::string>(json, "kind");
  if (!at || !kind) return std::nullopt;
  JournalEntry entry{*at, std::move(*kind), std::move(json)};
  if (!is_whole(entry)) return std::nullopt;
  return entry;
}

Json started(Timestamp at, std::string_view kind) {
  return Json{{"at", to_rfc3339(at)}, {"kind", kind}};
}

JournalEntry entry_of(Timestamp at, Json body) {
  return {at, body["kind"].get<std::string>(), std::move(body)};
}

Json embedded(const std::string& text) {
  Json json = Json::parse(text, nullptr, false);
  return json.is_object() ? json : Json(text);
}

std::string extracted(const Json& json, const char* key) {
  if (!json.contains(key)) return {};
  return json[key].is_string() ? json[key].get<std::string>() : to_line(json[key]);
}

}  // namespace

Result<JournalContent> read_journal_part(FileSystem& files, const Path& path, std::uint64_t from) {
  JournalContent content;
  std::optional<Error> last_line_damage;
  const auto read = each_line(files, path, from, [&](std::string_view line, std::size_t number) {
    if (trim(line).empty()) return;
    auto entry = parse_line(line);
    // The line before was torn and never acknowledged; whoever appended next has said so.
    const bool excuses = entry && entry->kind == kTornLine;
    if (last_line_damage && !excuses) content.damage.push_back(std::move(*last_line_damage));
    last_line_damage.reset();
    if (!entry && number != 0) {
      last_line_damage = Error{ErrorKind::corrupt,
                               fmt::format("line {} of the journal {} is damaged", number, path.string()),
                               "Compare it with a copy of the archive; the other lines are used without it."};
    }
    if (entry && !excuses) content.entries.push_back(std::move(*entry));
  });
  if (last_line_damage) content.damage.push_back(std::move(*last_line_damage));
  if (!read && read.error().kind != ErrorKind::not_found) return tl::unexpected(read.error());
  content.end = read.value_or(0);
  return content;
}

Result<JournalContent> read_journal(FileSystem& files, const Path& path, std::uint64_t from) {
  JournalContent newest = TRY(read_journal_part(files, path, from));
  if (from != 0) return newest;
  // Against the direction in which lines move: one that moves meanwhile is read twice, and never not at all.
  JournalContent closed = TRY(read_journal_part(files, closed_journal(path), 0));
  JournalContent all = TRY(read_journal_part(files, compacted_journal(path), 0));
  for (JournalContent* part : {&closed, &newest}) {
    std::ranges::move(part->entries, std::back_inserter(all.entries));
    std::ranges::move(part->damage, std::back_inserter(all.damage));
  }
  all.end = newest.end;
  return all;
}

JournalEntry journal_entry(Timestamp at, const WatermarkRow& watermark) {
  Json body = started(at, "watermark");
  body["timeline"] = watermark.timeline.value;
  body["lsn"] = to_string(watermark.lsn);
  body["time"] = to_rfc3339(watermark.time);
  return entry_of(at, std::move(body));
}

JournalEntry journal_entry(Timestamp at, const RestoreRow& restore) {
  Json body = started(at, "restore");
  body["name"] = restore.name;
  body["directory"] = restore.directory;
  body["port"] = restore.port;
  body["state"] = name_of(restore.state);
  body["started_at"] = to_rfc3339(restore.started_at);
  if (restore.finished_at) body["finished_at"] = to_rfc3339(*restore.finished_at);
  body["target"] = restore.target;
  if (!restore.plan.empty()) body["plan"] = embedded(restore.plan);
  if (!restore.proof.empty()) body["proof"] = embedded(restore.proof);
  if (!restore.error.empty()) body["error"] = restore.error;
  return entry_of(at, std::move(body));
}

JournalEntry journal_entry(Timestamp at, const ArchiveIdentity& identity) {
  Json body = started(at, "archive_created");
  body["system_identifier"] = std::to_string(identity.system_identifier);
  body["wal_segment_size"] = identity.segment_size.bytes();
  return entry_of(at, std::move(body));
}

JournalEntry gap_accepted_entry(Timestamp at, const GapRow& gap) {
  Json body = started(at, "gap_accepted");
  body["timeline"] = gap.timeline.value;
  body["from"] = to_string(gap.from);
  body["to"] = to_string(gap.to);
  body["reason"] = gap.reason;
  body["detected_at"] = to_rfc3339(gap.detected_at);
  return entry_of(at, std::move(body));
}

JournalEntry epoch_opened_entry(Timestamp at, std::uint32_t epoch, const std::string& reason) {
  Json body = started(at, "epoch_opened");
  body["epoch"] = epoch;
  body["reason"] = reason;
  return entry_of(at, std::move(body));
}

Result<WatermarkRow> watermark_of(const JournalEntry& entry) {
  const auto timeline = number_member<std::uint32_t>(entry.body, "timeline");
  const auto lsn = lsn_member(entry.body, "lsn");
  const auto time = time_member(entry.body, "time");
  if (!timeline || !lsn || !time) return unreadable(entry);
  return WatermarkRow{{*timeline}, *lsn, *time};
}

Result<RestoreRow> restore_of(const JournalEntry& entry) {
  const auto text = [&](const char* key) { return member<std::string>(entry.body, key); };
  const auto port = number_member<std::uint16_t>(entry.body, "port");
  const auto state = restore_state_named(text("state").value_or(""));
  const auto started_at = time_member(entry.body, "started_at");
  const auto finished_at = time_member(entry.body, "finished_at");
  const bool finish_is_lost = entry.body.contains("finished_at") && !finished_at;
  if (!text("name") || !text("directory") || !port || !state || !started_at || finish_is_lost ||
      !text("target")) {
    return unreadable(entry);
  }
  return RestoreRow{*text("name"),
                    *text("directory"),
                    *port,
                    *state,
                    *started_at,
                    finished_at,
                    *text("target"),
                    extracted(entry.body, "plan"),
                    extracted(entry.body, "proof"),
                    text("error").value_or("")};
}

Result<GapRow> accepted_gap_of(const JournalEntry& entry) {
  const auto timeline = number_member<std::uint32_t>(entry.body, "timeline");
  const auto from = lsn_member(entry.body, "from");
  const auto to = lsn_member(entry.body, "to");
  const auto reason = member<std::string>(entry.body, "reason");
  const auto detected_at = time_member(entry.body, "detected_at");
  if (!timeline || !from || !to || !reason || !detected_at) return unreadable(entry);
  return GapRow{{*timeline}, *from, *to, *reason, *detected_at, true};
}

namespace {

Status replay(Catalog& catalog, const JournalEntry& entry) {
  if (entry.kind == "watermark") {
    const WatermarkRow watermark = TRY(watermark_of(entry));
    return catalog.put_watermark(watermark);
  }
  if (entry.kind == "restore") {
    const RestoreRow restore = TRY(restore_of(entry));
    return catalog.put_restore(restore);
  }
  if (entry.kind == "gap_accepted") {
    const GapRow gap = TRY(accepted_gap_of(entry));
    return catalog.put_gap(gap);
  }
  if (entry.kind == "expired") return apply_expiry(catalog, TRY(expiry_of(entry)));
  return replay_verified_entry(catalog, entry);
}

}  // namespace

Status replay_journal(Catalog& catalog, std::span<const JournalEntry> entries) {
  return catalog.transaction([&]() -> Status {
    for (const JournalEntry& entry : entries) {
      const Status status = replay(catalog, entry);
      if (!status) return status;
    }
    return {};
  });
}

Status record_watermark(FileSystem& files, const ArchiveLayout& layout, Catalog& catalog,
                        const WatermarkRow& watermark) {
  TRY(append_journal(files, layout.journal(), journal_entry(watermark.time, watermark)));
  crash_point("journal.appended");
  return catalog.put_watermark(watermark);
}

Status record_restore(FileSystem& files, const ArchiveLayout& layout, Catalog& catalog,
                      const RestoreRow& restore) {
  const Timestamp at = restore.finished_at.value_or(restore.started_at);
  TRY(append_journal(files, layout.journal(), journal_entry(at, restore)));
  crash_point("journal.appended");
  return catalog.put_restore(restore);
}

Status record_accepted_gap(FileSystem& files, const ArchiveLayout& layout, Catalog& catalog, Timestamp at,
                           GapRow gap) {
  gap.accepted = true;
  TRY(append_journal(files, layout.journal(), gap_accepted_entry(at, gap)));
  crash_point("journal.appended");
  return catalog.put_gap(gap);
}

}  // namespace walback
