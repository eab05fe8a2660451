#include "archive/retention.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

namespace walback {
namespace {

using Place = std::pair<std::uint32_t, std::uint64_t>;

/// In the order of the WAL: what stands on a newer timeline is newer.
Place place_of(const BackupRow& row) {
  return {row.timeline.value, row.start_lsn.value};
}

class Decision {
 public:
  explicit Decision(const RetentionInput& input) : input_(input), backups_(input.backups) {
    std::ranges::sort(backups_, {}, [](const RetentionBackup& backup) { return place_of(backup.row); });
  }

  Retention made() {
    keep_newest();
    if (input_.since) keep_what_reaches_back();
    Retention retention;
    for (const RetentionBackup& backup : backups_) retention.backups.push_back(verdict_on(backup));
    for (const BackupVerdict& verdict : retention.backups)
      if (verdict.stays) kept_.push_back(&verdict.row);
    for (const RetentionWal& wal : input_.wal) judge_wal(wal, retention.wal);
    return retention;
  }

 private:
  /// The newest ones may all stand on a branch that was left: those that lead to what is captured now count
  /// for themselves.
  void keep_newest() {
    keep_newest_of([](const BackupRow&) { return true; }, "");
    const auto captured = captured_timeline();
    if (!captured) return;
    if (const auto path = path_to(*captured)) {
      keep_newest_of([&](const BackupRow& row) { return leads_on(row, *path); },
                     fmt::format(" that lead to timeline {}", captured->value));
      return;
    }
    for (const RetentionBackup& backup : backups_)
      if (backup.unusable_because.empty())
        reasons_.try_emplace(
            backup.row.id,
            fmt::format("the history of timeline {}, which is captured, is not known", captured->value));
  }

  void keep_newest_of(const std::function<bool(const BackupRow&)>& counts, const std::string& which) {
    std::uint64_t counted = 0;
    for (auto backup = backups_.rbegin(); backup != backups_.rend() && counted < input_.keep; ++backup) {
      if (!backup->unusable_because.empty() || !counts(backup->row)) continue;
      ++counted;
      reasons_.try_emplace(
          backup->row.id,
          input_.keep == 1
              ? which.empty() ? "the newest usable one" : "the newest usable one of those" + which
              : fmt::format("usable, {} of the {} newest{}", counted, input_.keep, which));
    }
  }

  /// A new epoch may hold nothing yet: then a server that was promoted last has the highest number.
  [[nodiscard]] std::optional<TimelineId> captured_timeline() const {
    if (input_.newest_captured) return input_.newest_captured->timeline;
    std::optional<TimelineId> newest;
    for (const RetentionWal& wal : input_.wal) newest = std::max(newest, std::optional(wal.timeline));
    for (const TimelineHistory& history : input_.histories)
      newest = std::max(newest, std::optional(history.timeline));
    return newest;
  }

  /// Nothing: its path is not known.
  [[nodiscard]] std::optional<std::vector<TimelineRange>> path_to(TimelineId timeline) const {
    const auto history = std::ranges::find(input_.histories, timeline, &TimelineHistory::timeline);
    if (history != input_.histories.end()) return ranges_of(*history);
    if (timeline.value == 1) return ranges_of({timeline, {}});
    return std::nullopt;
  }

  static bool leads_on(const BackupRow& row, const std::vector<TimelineRange>& path) {
    return std::ranges::any_of(path, [&](const TimelineRange& range) {
      return range.timeline == row.timeline && (!range.end || row.stop_lsn <= *range.end);
    });
  }

  void keep_what_reaches_back() {
    for (const auto& [timeline, lsn] : input_.since_lsn) {
      const auto path = path_to(timeline);
      if (!path) continue;
      std::vector<const RetentionBackup*> leading;
      std::size_t from = 0;
      bool reaches_back = false;
      for (const RetentionBackup& backup : backups_) {
        if (!backup.unusable_because.empty() || !leads_on(backup.row, *path)) continue;
        // Taken in a silence around that moment, it does not tell what was committed in the part before it.
        const bool before = (backup.row.timeline != timeline || backup.row.stop_lsn <= lsn) &&
                            backup.row.finished_at <= *input_.since;
        if (before) {
          from = leading.size();
          reaches_back = true;
        }
        leading.push_back(&backup);
      }
      for (std::size_t i = from; i < leading.size(); ++i)
        reasons_.try_emplace(leading[i]->row.id,
                             reaches_back && i == from
                                 ? fmt::format("reaches back to {}", to_rfc3339(*input_.since))
                                 : fmt::format("taken after {}", to_rfc3339(*input_.since)));
    }
  }

  [[nodiscard]] std::optional<Place> oldest_kept() const {
    for (const RetentionBackup& backup : backups_)
      if (reasons_.contains(backup.row.id)) return place_of(backup.row);
    return std::nullopt;
  }

  [[nodiscard]] BackupVerdict verdict_on(const RetentionBackup& backup) const {
    const auto stays = [&](std::string why) { return BackupVerdict{backup.row, true, std::move(why)}; };
    if (!backup.restore.empty()) return stays(fmt::format("restore '{}' works with it", backup.restore));
    const auto reason = reasons_.find(backup.row.id);
    if (reason != reasons_.end()) return stays(reason->second);
    const auto oldest = oldest_kept();
    if (!oldest) return stays("no base backup is usable: nothing goes until there is one");
    const std::string others =
        input_.keep == 1 ? "the newest usable one" : fmt::format("the {} newest usable ones", input_.keep);
    if (backup.unusable_because.empty()) {
      const std::string nor =
          input_.since ? fmt::format(", and not needed for {} and later", to_rfc3339(*input_.since)) : "";
      return {backup.row, false, fmt::format("older than {}{}", others, nor)};
    }
    if (backup.row.timeline.value == 0)
      return stays(fmt::format("not usable ({}), and its place in the WAL cannot be read: not counted",
                               backup.unusable_because));
    if (place_of(backup.row) < *oldest)
      return {backup.row, false,
              fmt::format("not usable ({}), and older than all that stay", backup.unusable_because)};
    return stays(fmt::format("not usable ({}), but newer than the oldest that stays: not counted",
                             backup.unusable_because));
  }

  // --- WAL.

  /// From where on the timeline is needed, and by which base backup.
  struct Need {
    SegmentNumber from;
    std::string why;
  };

  [[nodiscard]] std::optional<Need> need_of(const RetentionWal& wal) const {
    const auto path = path_to(wal.timeline);
    if (!path) return Need{{0}, fmt::format("the history of timeline {} is not known", wal.timeline.value)};
    if (backups_.empty()) return Need{{0}, "there is no base backup yet"};
    if (reasons_.empty()) return Need{{0}, "no base backup is usable"};
    std::optional<Need> need;
    for (const BackupRow* row : kept_) {
      if (row->timeline != wal.timeline && !leads_on(*row, *path)) continue;
      const SegmentNumber from =
          row->timeline == wal.timeline ? segment_of(row->start_lsn, input_.size) : SegmentNumber{0};
      if (!need || from < need->from)
        need = Need{from, fmt::format("needed from base backup {} on, which starts at {}", row->id,
                                      to_string(row->start_lsn))};
    }
    const auto& newest = input_.newest_captured;
    if (!need && newest && newest->timeline == wal.timeline)
      need = Need{{0}, "it is being captured, and no base backup that stays stands on it"};
    return need;
  }

  void judge_wal(const RetentionWal& wal, std::vector<WalVerdict>& verdicts) const {
    const auto need = need_of(wal);
    SegmentNumber from = need ? std::max(need->from, wal.first) : SegmentNumber{wal.last.value + 1};
    std::string why = need ? need->why : "";
    const auto& newest = input_.newest_captured;
    if (newest && newest->timeline == wal.timeline && newest->number < from) {
      from = std::max(newest->number, wal.first);
      why = "pg_receivewal goes on behind it";
    }
    if (from > wal.first)
      verdicts.push_back(
          {wal.timeline,
           wal.first,
           {from.value - 1},
           false,
           need ? "before all base backups that stay" : "no base backup that stays leads to this timeline"});
    if (from <= wal.last) verdicts.push_back({wal.timeline, from, wal.last, true, why});
  }

  const RetentionInput& input_;
  std::vector<RetentionBackup> backups_;
  std::map<std::string, std::string> reasons_;  ///< of those that stay
  std::vector<const BackupRow*> kept_;
};

}  // namespace

Retention decide_retention(const RetentionInput& input) {
  return Decision(input).made();
}

Expiry expiry_of(const Retention& retention, SegmentSize size) {
  Expiry expiry;
  for (const BackupVerdict& verdict : retention.backups)
    if (!verdict.stays) expiry.backups.push_back({verdict.row.id, verdict.row.start_lsn});
  for (const WalVerdict& verdict : retention.wal) {
    const SegmentNumber below{verdict.last.value + 1};
    if (!verdict.stays) expiry.wal.push_back({verdict.timeline, below, start_of(below, size)});
  }
  return expiry;
}

}  // namespace walback
