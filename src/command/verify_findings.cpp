#include "command/verify_findings.h"

#include <fmt/format.h>

#include <algorithm>

namespace walback {
namespace {

constexpr const char* kNewBackup = "walback backup (a new base backup, so that what comes is safe)";

std::string until_consistent(const BackupRow& backup) {
  return fmt::format("until base backup {} is consistent at {}", backup.id, to_string(backup.stop_lsn));
}

std::string mend_wal(const WalFinding& finding) {
  using Kind = WalFinding::Kind;
  switch (finding.kind) {
    case Kind::damaged:
    case Kind::missing:
      return fmt::format(
          "put a good copy there if one exists anywhere (pg_wal of the primary or a standby, another "
          "archive); "
          "then {}",
          kNewBackup);
    case Kind::gap:
      return kNewBackup;
    case Kind::history:
      return "copy it from pg_wal of the primary or a standby into the newest directory under wal/";
    case Kind::accepted:
      return "nothing to do: a person accepted that it is lost";
    case Kind::not_indexed:
      return "nothing to do: the WAL manager's next full scan takes it in";
    case Kind::unknown_name:
    case Kind::leftover:
      return "nothing to do: it is never used, and left alone";
  }
  return "";
}

bool is_note(WalFinding::Kind kind) {
  return kind == WalFinding::Kind::unknown_name || kind == WalFinding::Kind::leftover ||
         kind == WalFinding::Kind::not_indexed || kind == WalFinding::Kind::accepted;
}

}  // namespace

std::string unreachable_without(const WalRange& lost, const std::vector<BackupRow>& usable) {
  const bool needed =
      std::ranges::any_of(usable, [&](const BackupRow& backup) { return backup.start_lsn < lost.to; });
  if (!needed) return "";
  const auto next =
      std::ranges::find_if(usable, [&](const BackupRow& backup) { return backup.start_lsn >= lost.to; });
  return fmt::format("every moment from {} on {}", to_string(lost.from),
                     next == usable.end() ? "timeline " + std::to_string(lost.timeline.value) +
                                                " on, until a new base backup is taken"
                                          : until_consistent(*next));
}

std::string unreachable_without(const std::string& backup, const std::vector<BackupRow>& all,
                                const std::vector<BackupRow>& usable) {
  const auto own = std::ranges::find(all, backup, &BackupRow::id);
  std::vector<BackupRow> others = usable;
  std::erase_if(others, [&](const BackupRow& other) { return other.id == backup; });
  if (own == all.end()) return "";
  const auto older =
      std::ranges::find_if(others, [&](const BackupRow& other) { return other.start_lsn < own->start_lsn; });
  if (older != others.end()) return "";
  if (others.empty()) return "everything: there is no other base backup";
  return fmt::format("every moment from {} on {}", to_string(own->stop_lsn),
                     until_consistent(others.front()));
}

VerifyFinding explain(const WalFinding& finding, const std::vector<BackupRow>& usable) {
  VerifyFinding explained{.severity = is_note(finding.kind) ? Severity::note : Severity::wrong,
                          .subject = finding.subject,
                          .text = finding.text,
                          .unreachable = finding.lost ? unreachable_without(*finding.lost, usable) : "",
                          .mend = mend_wal(finding)};
  if (finding.kind == WalFinding::Kind::history)
    explained.unreachable = "every moment on that timeline, and on those that descend from it";
  return explained;
}

VerifyFinding explain(const BackupFinding& finding, const std::vector<BackupRow>& all,
                      const std::vector<BackupRow>& usable) {
  using Kind = BackupFinding::Kind;
  const bool note = finding.kind == Kind::unknown_name || finding.kind == Kind::unfinished;
  VerifyFinding explained{.severity = note ? Severity::note : Severity::wrong,
                          .subject = (note ? "" : "base backup ") + finding.id,
                          .text = finding.text,
                          .unreachable = {},
                          .mend = {}};
  switch (finding.kind) {
    case Kind::missing:
    case Kind::differs:
      explained.unreachable = unreachable_without(finding.id, all, usable);
      explained.mend = fmt::format("put its files back if there is a copy; then {}", kNewBackup);
      break;
    case Kind::cannot_tell:
      explained.mend = "install what is missing, then: walback verify";
      break;
    case Kind::unknown_name:
      explained.mend = "nothing to do: it is never used, and left alone";
      break;
    case Kind::unfinished:
      explained.mend = "nothing to do: the next one removes it";
      break;
  }
  return explained;
}

Json to_json(const VerifyFinding& finding) {
  const auto or_null = [](const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); };
  return {{"severity", name_of(finding.severity)},
          {"subject", finding.subject},
          {"text", finding.text},
          {"unreachable", or_null(finding.unreachable)},
          {"mend", or_null(finding.mend)}};
}

std::string render_text(const VerifyFinding& finding) {
  std::string text = fmt::format("{:<6} {}: {}\n", name_of(finding.severity), finding.subject, finding.text);
  if (!finding.unreachable.empty()) text += fmt::format("       unreachable: {}\n", finding.unreachable);
  if (!finding.mend.empty()) text += fmt::format("       mend: {}\n", finding.mend);
  return text;
}

}  // namespace walback
