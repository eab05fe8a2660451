#include "backup/backup_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstring>
#include <tuple>

#include "backup/backup_manifest.h"
#include "base/json.h"
#include "base/text.h"
#include "catalog/backup_tablespaces.h"
#include "os/crash_point.h"
#include "wal/backup_label.h"

namespace walback {
namespace {

constexpr std::uint64_t kManifestLimit = 2ULL << 30;
constexpr std::uint64_t kSmallFile = 1U << 20;
constexpr std::string_view kUnfinished = ".unfinished";
constexpr std::string_view kFactsSuffix = ".json";

bool is_unfinished(std::string_view name) {
  return name.size() > kUnfinished.size() + 1 && name.front() == '.' && name.ends_with(kUnfinished) &&
         parse_backup_id(name.substr(1, name.size() - 1 - kUnfinished.size()));
}

/// The id in "<id>.json" or "<id>.json.tmp".
std::optional<std::string> id_of_facts_file(std::string_view name) {
  if (name.ends_with(".tmp")) name.remove_suffix(4);
  if (!name.ends_with(kFactsSuffix)) return std::nullopt;
  name.remove_suffix(kFactsSuffix.size());
  return parse_backup_id(name) ? std::optional(std::string(name)) : std::nullopt;
}

/// ControlFileData begins with the system identifier, in the byte order of the machine that both run on.
Result<std::uint64_t> system_identifier_in(FileSystem& files, const Path& control_file) {
  std::array<char, sizeof(std::uint64_t)> bytes{};
  if (TRY(files.read_at(control_file, 0, bytes)) != bytes.size()) {
    return fail(ErrorKind::corrupt, control_file.string() + " is cut short");
  }
  return std::bit_cast<std::uint64_t>(bytes);
}

Result<std::uint32_t> major_version_in(FileSystem& files, const Path& version_file) {
  const auto text = TRY(files.read(version_file, kSmallFile));
  const auto major = parse_decimal(trim(text));
  if (!major || *major < 10 || *major > 99) {
    return fail(ErrorKind::corrupt,
                fmt::format("{} holds '{}', expected a major version", version_file.string(), trim(text)));
  }
  return static_cast<std::uint32_t>(*major * 10000);
}

/// The part of the manifest's promise that the label can be held against.
Status join_wal_range(BackupRow& row, const BackupLabel& label, const BackupManifest& manifest) {
  if (manifest.wal_ranges.size() != 1) {
    return fail(ErrorKind::corrupt, fmt::format("base backup '{}' spans {} timelines, expected one", row.id,
                                                manifest.wal_ranges.size()));
  }
  const auto& range = manifest.wal_ranges.front();
  if (range.timeline != label.timeline || range.start_lsn != label.start_lsn) {
    return fail(
        ErrorKind::corrupt,
        fmt::format("base backup '{}': its manifest begins at {} on timeline {}, its backup_label at {} on "
                    "timeline {}",
                    row.id, to_string(range.start_lsn), range.timeline.value, to_string(label.start_lsn),
                    label.timeline.value));
  }
  row.timeline = range.timeline;
  row.start_lsn = range.start_lsn;
  row.stop_lsn = range.end_lsn;
  row.checkpoint_lsn = label.checkpoint_lsn;
  row.size_bytes = manifest.size_bytes;
  return {};
}

Status fill(BackupRow& row, FileSystem& files, const Path& directory, const ArchiveIdentity& identity) {
  row.server_version_num = TRY(major_version_in(files, directory / "PG_VERSION"));
  const auto found = TRY(system_identifier_in(files, directory / "global" / "pg_control"));
  if (found != identity.system_identifier) {
    return fail(
        ErrorKind::foreign_system,
        fmt::format("base backup '{}' carries system identifier {}, the archive expects {}", row.id, found,
                    identity.system_identifier),
        "Was it copied here from another archive? Move it away: an archive never mixes two clusters.");
  }
  const auto label_text = TRY(files.read(directory / "backup_label", kSmallFile));
  const auto label = TRY(parse_backup_label(label_text));
  const auto manifest_text = TRY(files.read(directory / "backup_manifest", kManifestLimit));
  const auto manifest = TRY(parse_backup_manifest(manifest_text));
  for (const std::uint32_t oid : TRY(tablespaces_in_backup(files, directory))) {
    row.tablespaces.push_back(std::to_string(oid));
  }
  return join_wal_range(row, label, manifest);
}

BackupRow row_on_disk(FileSystem& files, const ArchiveLayout& archive, const std::string& id,
                      const ArchiveIdentity& identity) {
  BackupRow row;
  row.id = id;
  row.started_at = row.finished_at = *parse_backup_id(id);
  const auto filled = fill(row, files, archive.backup(id), identity);
  if (!filled) row.problem = filled.error().message;
  // Lost facts cost no more than the exact times: the backup itself is whole without them.
  const auto path = backup_facts_file(archive, id);
  const auto text = files.read(path, kSmallFile);
  if (!text) return row;
  if (const auto facts = parse_backup_facts(*text, path.string())) {
    add_facts(row, *facts);
  }
  return row;
}

}  // namespace

std::string backup_id(Timestamp started) {
  const auto text = to_rfc3339(started);  // 2026-11-20T10:42:07.123456Z
  std::string id;
  for (const char c : text.substr(0, text.find('.'))) {
    if (c != '-' && c != ':') id += c;
  }
  return id + "Z";
}

std::optional<Timestamp> parse_backup_id(std::string_view id) {
  constexpr std::string_view shape = "ddddddddTddddddZ";
  if (id.size() < shape.size()) return std::nullopt;
  const auto suffix = id.substr(shape.size());
  if (!suffix.empty()) {
    const auto number = suffix.front() == '-' ? parse_decimal(suffix.substr(1)) : std::nullopt;
    if (!number || *number < 2 || fmt::format("-{}", *number) != suffix) return std::nullopt;
  }
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const bool digit = id[i] >= '0' && id[i] <= '9';
    if (shape[i] == 'd' ? !digit : id[i] != shape[i]) return std::nullopt;
  }
  const auto part = [&](std::size_t at, std::size_t length) {
    return static_cast<unsigned>(parse_decimal(id.substr(at, length)).value_or(0));
  };
  using namespace std::chrono;
  const year_month_day day{year(static_cast<int>(part(0, 4))), month(part(4, 2)),
                           std::chrono::day(part(6, 2))};
  if (!day.ok() || part(9, 2) > 23 || part(11, 2) > 59 || part(13, 2) > 59) return std::nullopt;
  const auto time = sys_days(day) + hours(part(9, 2)) + minutes(part(11, 2)) + seconds(part(13, 2));
  return Timestamp{duration_cast<microseconds>(time.time_since_epoch()).count()};
}

Path backup_facts_file(const ArchiveLayout& archive, const std::string& id) {
  return archive.backups() / (id + std::string(kFactsSuffix));
}

Result<std::string> free_backup_id(FileSystem& files, const ArchiveLayout& archive, Timestamp started) {
  const auto base = backup_id(started);
  for (int number = 1; number <= 1000; ++number) {
    const auto id = number == 1 ? base : fmt::format("{}-{}", base, number);
    if (!exists(files, archive.backup(id)) && !exists(files, backup_facts_file(archive, id))) return id;
  }
  return fail(ErrorKind::conflict, fmt::format("1000 base backups named '{}' exist", base),
              "Does the clock of this machine stand still?");
}

std::string to_text(const BackupFacts& facts) {
  Json json;
  json["started_at"] = to_rfc3339(facts.started_at);
  json["finished_at"] = to_rfc3339(facts.finished_at);
  json["started_at_us"] = facts.started_at.unix_us;
  json["finished_at_us"] = facts.finished_at.unix_us;
  json["server_version_num"] = facts.server_version_num;
  json["tablespaces"] = facts.tablespaces;
  return to_text(json) + "\n";
}

Result<BackupFacts> parse_backup_facts(const std::string& text, const std::string& what) {
  const auto json = TRY(parse_json(text, what));
  const auto started = member<std::int64_t>(json, "started_at_us");
  const auto finished = member<std::int64_t>(json, "finished_at_us");
  const auto version = member<std::int64_t>(json, "server_version_num");
  if (!started || !finished || !version || *version < 0 || *version > INT32_MAX) {
    return fail(ErrorKind::corrupt,
                what + ": expected the numbers started_at_us, finished_at_us and server_version_num");
  }
  BackupFacts facts{{*started}, {*finished}, static_cast<std::uint32_t>(*version), {}};
  for (const Json& tablespace : json.value("tablespaces", Json::array())) {
    if (tablespace.is_string()) facts.tablespaces.push_back(tablespace.get<std::string>());
  }
  return facts;
}

void add_facts(BackupRow& row, const BackupFacts& facts) {
  row.started_at = facts.started_at;
  row.finished_at = facts.finished_at;
  if (facts.server_version_num / 10000 == row.server_version_num / 10000) {
    row.server_version_num = facts.server_version_num;
  }
  for (std::string& tablespace : row.tablespaces) {
    const auto named = std::ranges::find_if(
        facts.tablespaces, [&](const std::string& known) { return known.starts_with(tablespace + " "); });
    if (named != facts.tablespaces.end()) tablespace = *named;
  }
}

Result<BackupRow> read_backup(FileSystem& files, const Path& directory, const std::string& id,
                              const ArchiveIdentity& identity) {
  BackupRow row;
  row.id = id;
  TRY(fill(row, files, directory, identity));
  return row;
}

Status check_backup(FileSystem& files, const ArchiveLayout& archive, const std::string& id,
                    const ArchiveIdentity& identity) {
  const Path directory = archive.backup(id);
  if (!exists(files, directory)) {
    return fail(ErrorKind::not_found, fmt::format("its directory '{}' is gone", directory.string()));
  }
  const auto read = read_backup(files, directory, id, identity);
  if (!read && read.error().kind == ErrorKind::not_found)
    return fail(ErrorKind::corrupt, read.error().message);
  TRY(read);
  const auto tablespaces = TRY(tablespaces_in_backup(files, directory));
  std::string first;
  std::uint64_t unfit = 0;
  const auto look = [&](const std::string& path, std::uint64_t bytes) {
    const auto info = files.stat(file_in_backup(directory, tablespaces, path));
    if (info && info->size_bytes == bytes) return;
    if (++unfit > 1) return;
    first = !info ? fmt::format("'{}' is missing", path)
                  : fmt::format("'{}' has {} bytes, its manifest says {}", path, info->size_bytes, bytes);
  };
  const auto manifest_text = TRY(files.read(directory / "backup_manifest", kManifestLimit));
  TRY(parse_backup_manifest(manifest_text, look));
  if (unfit == 0) return {};
  return fail(
      ErrorKind::corrupt,
      unfit == 1 ? first : fmt::format("{}, and {} more files are not as they were", first, unfit - 1));
}

Result<std::vector<BackupRow>> scan_backups(FileSystem& files, const ArchiveLayout& archive,
                                            const ArchiveIdentity& identity) {
  std::vector<BackupRow> rows;
  const auto entries = files.list(archive.backups());
  if (!entries && entries.error().kind == ErrorKind::not_found) return rows;
  if (!entries) return tl::unexpected(entries.error());
  for (const auto& entry : *entries) {
    if (entry.kind != FileKind::directory || !parse_backup_id(entry.name)) continue;
    rows.push_back(row_on_disk(files, archive, entry.name, identity));
  }
  std::ranges::sort(rows, {},
                    [](const BackupRow& row) { return std::tuple(row.timeline, row.start_lsn, row.id); });
  return rows;
}

Status register_unknown_backups(FileSystem& files, const ArchiveLayout& archive,
                                const ArchiveIdentity& identity, Catalog& catalog) {
  const auto entries = files.list(archive.backups());
  if (!entries)
    return entries.error().kind == ErrorKind::not_found ? Status() : tl::unexpected(entries.error());
  const auto known = TRY(catalog.backups());
  const auto expired = TRY(catalog.expired_backups());
  for (const auto& entry : *entries) {
    if (entry.kind != FileKind::directory || !parse_backup_id(entry.name)) continue;
    if (std::ranges::find(known, entry.name, &BackupRow::id) != known.end()) continue;
    const BackupRow row = row_on_disk(files, archive, entry.name, identity);
    // A later one may bear the id of one that expired: an id is made of a clock.
    const auto gone = std::ranges::find(expired, row.id, &ExpiredBackup::id);
    if (gone != expired.end() && (!row.problem.empty() || row.start_lsn == gone->start_lsn)) continue;
    TRY(catalog.put_backup(row));
  }
  return {};
}

Result<std::vector<std::string>> remove_leftovers(FileSystem& files, const ArchiveLayout& archive) {
  std::vector<std::string> removed;
  for (const auto& entry : TRY(files.list(archive.backups()))) {
    const auto id = id_of_facts_file(entry.name);
    const bool orphan = id && (entry.name.ends_with(".tmp") || !exists(files, archive.backup(*id)));
    if (!is_unfinished(entry.name) && !orphan) continue;
    TRY(files.remove_tree(archive.backups() / entry.name));
    crash_point("backup.leftover_removed");
    removed.push_back(entry.name);
  }
  return removed;
}

}  // namespace walback
