#include "catalog/expiry_journal.h"

#include <fmt/format.h>

#include <algorithm>

#include "os/crash_point.h"

namespace walback {
namespace {

constexpr std::string_view kExpired = "expired";
/// Rows and blobs of so many segments go in a tenth of a second.
constexpr std::uint64_t kSegmentsPerStep = 2'048;

std::optional<ExpiredWal> wal_of(const Json& json) {
  const auto timeline = member<std::uint64_t>(json, "timeline");
  const auto below = member<std::uint64_t>(json, "below");
  const auto lsn = parse_lsn(member<std::string>(json, "below_lsn").value_or(""));
  if (!timeline || *timeline == 0 || *timeline > UINT32_MAX || !below || !lsn) return std::nullopt;
  return ExpiredWal{{static_cast<std::uint32_t>(*timeline)}, {*below}, *lsn};
}

std::optional<ExpiredBackup> backup_of(const Json& json) {
  const auto id = member<std::string>(json, "id");
  const auto start = parse_lsn(member<std::string>(json, "start_lsn").value_or(""));
  if (!id || !start) return std::nullopt;
  return ExpiredBackup{*id, *start};
}

/// The members of an array, each read by `read`; nothing when one is not whole.
template <class T>
bool read_all(const Json& body, const char* key, std::optional<T> (*read)(const Json&), std::vector<T>& to) {
  if (!body.contains(key) || !body[key].is_array()) return false;
  return std::ranges::all_of(body[key], [&](const Json& json) {
    auto one = json.is_object() ? read(json) : std::nullopt;
    if (one) to.push_back(std::move(*one));
    return one.has_value();
  });
}

Status expire_in_steps(Catalog& catalog, const ExpiredWal& expired) {
  const auto oldest = TRY(catalog.oldest_segment(expired.timeline));
  if (oldest && expired.below.value != 0) {
    const std::uint64_t segment_bytes = expired.below_lsn.value / expired.below.value;
    for (std::uint64_t below = oldest->name.number.value + kSegmentsPerStep; below < expired.below.value;
         below += kSegmentsPerStep)
      TRY(catalog.expire_wal({expired.timeline, {below}, {below * segment_bytes}}));
  }
  return catalog.expire_wal(expired);
}

Status expire_backups(Catalog& catalog, const Expiry& expiry) {
  return catalog.transaction([&]() -> Status {
    for (const ExpiredBackup& backup : expiry.backups) TRY(catalog.expire_backup(backup));
    return {};
  });
}

Status expire_wal(Catalog& catalog, const Expiry& expiry) {
  for (const ExpiredWal& wal : expiry.wal) TRY(expire_in_steps(catalog, wal));
  return {};
}

}  // namespace

JournalEntry journal_entry(Timestamp at, const Expiry& expiry) {
  Json body{{"at", to_rfc3339(at)}, {"kind", kExpired}};
  body["backups"] = Json::array();
  for (const ExpiredBackup& backup : expiry.backups)
    body["backups"].push_back({{"id", backup.id}, {"start_lsn", to_string(backup.start_lsn)}});
  body["wal"] = Json::array();
  for (const ExpiredWal& wal : expiry.wal)
    body["wal"].push_back({{"timeline", wal.timeline.value},
                           {"below", wal.below.value},
                           {"below_lsn", to_string(wal.below_lsn)}});
  return {at, std::string(kExpired), std::move(body)};
}

Result<Expiry> expiry_of(const JournalEntry& entry) {
  Expiry expiry;
  if (!read_all(entry.body, "backups", backup_of, expiry.backups) ||
      !read_all(entry.body, "wal", wal_of, expiry.wal))
    return fail(ErrorKind::corrupt, fmt::format("the journal's entry '{}' of {} is incomplete: {}",
                                                entry.kind, to_rfc3339(entry.at), to_line(entry.body)));
  return expiry;
}

Status apply_expiry(Catalog& catalog, const Expiry& expiry) {
  TRY(expire_backups(catalog, expiry));
  return expire_wal(catalog, expiry);
}

Status record_expiry(FileSystem& files, const ArchiveLayout& layout, Catalog& catalog, Timestamp at,
                     const Expiry& expiry) {
  TRY(append_journal(files, layout.journal(), journal_entry(at, expiry)));
  crash_point("expire.journalled");
  TRY(catalog.write_through());
  TRY(expire_backups(catalog, expiry));
  crash_point("expire.backup_rows_removed");
  TRY(expire_wal(catalog, expiry));
  crash_point("expire.rows_removed");
  return {};
}

}  // namespace walback
