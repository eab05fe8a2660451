#include "restore/recoverable_window.h"

#include <fmt/format.h>

#include "restore/reach.h"

namespace walback {
namespace {

Result<std::optional<WatermarkRow>> newest_that_holds(const WalPath& path) {
  for (auto part = path.parts.size(); part-- > 0;) {
    auto newest = TRY(newest_covered_watermark(path, part));
    if (newest && !TRY(contradiction(path, part, *newest))) return newest;
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
  window.watermark = TRY(newest_that_holds(*path));
  window.clock_set_back = TRY(clock_set_back(*path, window.watermark));
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
  json["clock_set_back"] = nullptr;
  if (const auto& clock = window.clock_set_back)
    json["clock_set_back"] = Json{{"before", to_rfc3339(clock->before)},
                                  {"before_lsn", to_string(clock->before_lsn)},
                                  {"now", to_rfc3339(clock->now)},
                                  {"now_lsn", to_string(clock->now_lsn)}};
  json["obstacles"] = window.obstacles;
  json["problem"] = window.problem;
  return json;
}

}  // namespace walback
