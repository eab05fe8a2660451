#include "restore/recoverable_window.h"

#include <fmt/format.h>

#include <algorithm>

#include "restore/reach.h"
#include "wal/page.h"

namespace walback {
namespace {

Result<std::optional<WatermarkRow>> newest_covered(const WalPath& path, Lsn captured) {
  const auto size = path.identity.segment_size;
  for (auto part = path.parts.rbegin(); part != path.parts.rend(); ++part) {
    const auto newest = TRY(path.catalog->newest_watermark(part->range.timeline));
    if (newest && newest->lsn <= part->range.to &&
        skip_page_header(newest->lsn, size) <= skip_page_header(captured, size))
      return newest;
  }
  return std::nullopt;
}

std::string why_nothing(const std::vector<BackupRow>& backups) {
  if (backups.empty()) return "the archive holds no base backup";
  return "no base backup has its whole WAL range in the archive";
}

Result<RecoverableWindow> window_of(const Catalog& catalog, const ArchiveIdentity& identity) {
  const auto backups = TRY(catalog.backups());
  RecoverableWindow window;
  const auto path = wal_path(catalog, identity, std::nullopt);
  if (!path && path.error().kind != ErrorKind::not_found) return tl::unexpected(path.error());
  if (!path) {
    window.problem = path.error().message;
    return window;
  }
  window.timeline = path->timeline;
  const auto spans = TRY(reaches(*path, backups));
  for (const auto& span : spans) {
    const auto commit = TRY(path->last_end_before(span.to, /*commits_only=*/true));
    window.spans.push_back({span.backup.id, span.from, span.from_time, span.to,
                            commit && commit->lsn >= span.from ? std::optional(commit->time) : std::nullopt});
  }
  if (spans.empty()) {
    window.problem = why_nothing(backups);
    return window;
  }
  const Lsn captured = path->parts[*path->last_part_with_records()].last_record->end;
  window.watermark = TRY(newest_covered(*path, captured));
  for (const auto& obstacle : path->obstacles(path->parts.size() - 1))
    if (obstacle.to > spans.front().from)
      window.obstacles.push_back(
          fmt::format("{} ({} to {})", obstacle.what, to_string(obstacle.from), to_string(obstacle.to)));
  return window;
}

}  // namespace

Result<RecoverableWindow> recoverable_window(const Catalog& catalog, const ArchiveIdentity& identity) {
  std::optional<Result<RecoverableWindow>> window;
  TRY(catalog.consistent_reads([&]() -> Status {
    window = window_of(catalog, identity);
    return {};
  }));
  return std::move(*window);
}

Json to_json(const RecoverableWindow& window) {
  Json json{{"timeline", window.timeline.value}, {"spans", Json::array()}};
  for (const auto& span : window.spans)
    json["spans"].push_back(
        Json{{"backup", span.backup},
             {"from_lsn", to_string(span.from_lsn)},
             {"from_time", to_rfc3339(span.from_time)},
             {"to_lsn", to_string(span.to_lsn)},
             {"last_commit_time",
              span.last_commit_time ? Json(to_rfc3339(*span.last_commit_time)) : Json(nullptr)}});
  json["watermark"] = nullptr;
  if (window.watermark)
    json["watermark"] =
        Json{{"lsn", to_string(window.watermark->lsn)}, {"time", to_rfc3339(window.watermark->time)}};
  json["obstacles"] = window.obstacles;
  json["problem"] = window.problem;
  return json;
}

}  // namespace walback
