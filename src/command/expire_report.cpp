#include "command/expire_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "command/command.h"

namespace walback {
namespace {

std::uint64_t segments_in(const WalVerdict& verdict) {
  return verdict.last.value - verdict.first.value + 1;
}

std::string word(bool stays) {
  return stays ? "stays" : "goes";
}

std::string window_text(const RecoverableWindow& window) {
  if (window.spans.empty()) return "none: " + window.problem;
  const RecoverableSpan& first = window.spans.front();
  return fmt::format("from {} (base backup {}, {}) to {}", to_string(first.from_lsn), first.backup,
                     to_rfc3339(first.from_time), to_string(window.spans.back().to_lsn));
}

struct Sums {
  std::size_t backups = 0;
  std::uint64_t segments = 0, bytes = 0;
};

Sums what_goes(const ExpireReport& report) {
  Sums sums;
  for (const BackupVerdict& verdict : report.retention.backups) {
    if (verdict.stays) continue;
    ++sums.backups;
    sums.bytes += verdict.row.size_bytes;
  }
  for (const WalVerdict& verdict : report.retention.wal) {
    if (verdict.stays) continue;
    sums.segments += segments_in(verdict);
    sums.bytes += segments_in(verdict) * report.size.bytes();
  }
  return sums;
}

std::string conclusion(const ExpireReport& report) {
  const Sums sums = what_goes(report);
  const bool leftovers = report.removed.files > sums.segments;
  if (sums.backups == 0 && sums.segments == 0 && !leftovers) return "nothing goes\n";
  std::string text = fmt::format("{} {} and {} of WAL, {}\n", report.dry_run ? "would remove" : "removed",
                                 count_of(sums.backups, "base backup"), count_of(sums.segments, "segment"),
                                 render_bytes(sums.bytes));
  if (leftovers)
    text += fmt::format("{} that an interrupted expiry had left are removed\n",
                        count_of(report.removed.files - sums.segments, "file"));
  return text;
}

}  // namespace

std::string render_text(const ExpireReport& report) {
  std::string text;
  for (const BackupVerdict& verdict : report.retention.backups)
    text += fmt::format("base backup {:<18} {:<5} {:>9}  {}\n", verdict.row.id, word(verdict.stays),
                        render_bytes(verdict.row.size_bytes), verdict.why);
  for (const WalVerdict& verdict : report.retention.wal)
    text += fmt::format("WAL {} to {} {:<5} {}, {}: {}\n",
                        file_name({verdict.timeline, verdict.first}, report.size),
                        file_name({verdict.timeline, verdict.last}, report.size), word(verdict.stays),
                        count_of(segments_in(verdict), "segment"),
                        render_bytes(segments_in(verdict) * report.size.bytes()), verdict.why);
  if (report.histories != 0)
    text += fmt::format("history files stay, all {}: the way to every timeline must remain known\n",
                        report.histories);
  text += fmt::format("window before  {}\n", window_text(report.before));
  text += fmt::format("window {}  {}\n", report.dry_run ? "then  " : "now   ", window_text(report.after));
  return text + conclusion(report);
}

Json to_json(const ExpireReport& report) {
  Json json{{"dry_run", report.dry_run},
            {"keep", report.keep},
            {"since", report.since ? Json(to_rfc3339(*report.since)) : Json(nullptr)}};
  json["backups"] = Json::array();
  for (const BackupVerdict& verdict : report.retention.backups)
    json["backups"].push_back({{"id", verdict.row.id},
                               {"timeline", verdict.row.timeline.value},
                               {"start_lsn", to_string(verdict.row.start_lsn)},
                               {"size_bytes", verdict.row.size_bytes},
                               {"stays", verdict.stays},
                               {"why", verdict.why}});
  json["wal"] = Json::array();
  for (const WalVerdict& verdict : report.retention.wal)
    json["wal"].push_back({{"timeline", verdict.timeline.value},
                           {"first", file_name({verdict.timeline, verdict.first}, report.size)},
                           {"last", file_name({verdict.timeline, verdict.last}, report.size)},
                           {"segments", segments_in(verdict)},
                           {"stays", verdict.stays},
                           {"why", verdict.why}});
  json["window_before"] = to_json(report.before);
  json["window_after"] = to_json(report.after);
  json["removed_files"] = report.removed.files;
  json["removed_wal_bytes"] = report.removed.bytes;
  return json;
}

}  // namespace walback
