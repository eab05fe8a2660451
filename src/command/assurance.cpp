#include "command/assurance.h"

#include <fmt/format.h>

#include "base/text.h"
#include "catalog/verified_journal.h"
#include "command/command.h"

namespace walback {
namespace {

std::string ago(Timestamp now, Timestamp then) {
  return render_duration_us(now.unix_us - then.unix_us) + " ago";
}

/// One that was refused before it had drawn a moment has none.
std::string moment_of(const DrillRow& drill) {
  return drill.target.empty() ? "no moment" : drill.target;
}

Json to_json(const DrillRow& drill) {
  return {{"at", to_rfc3339(drill.finished_at.value_or(drill.started_at))},
          {"result", name_of(drill.state)},
          {"target", drill.target},
          {"seed", drill.seed},
          {"rto_us", drill.rto_us},
          {"base_bytes", drill.base_bytes},
          {"wal_bytes", drill.wal_bytes},
          {"checks", drill.checks},
          {"error", drill.error.empty() ? Json(nullptr) : Json(drill.error)}};
}

}  // namespace

Result<Assurance> take_assurance(const Catalog& catalog) {
  Assurance assurance{.verification = TRY(last_verification(catalog)), .drill = {}, .passed_drill = {}};
  for (const DrillRow& drill : TRY(catalog.drills())) {
    const bool ended = drill.state == DrillState::passed || drill.state == DrillState::failed;
    if (ended && !assurance.drill) assurance.drill = drill;
    if (drill.state == DrillState::passed && !assurance.passed_drill) assurance.passed_drill = drill;
  }
  return assurance;
}

std::vector<std::string> problems_of(const Assurance& assurance) {
  std::vector<std::string> problems;
  if (assurance.verification && assurance.verification->findings > 0) {
    problems.push_back(fmt::format("verification at {} found {} wrong: `walback verify` names them",
                                   to_rfc3339(assurance.verification->finished_at),
                                   count_of(assurance.verification->findings, "thing")));
  }
  if (assurance.drill && assurance.drill->state == DrillState::failed) {
    problems.push_back(fmt::format("the last drill failed ({}, seed {}): {}", moment_of(*assurance.drill),
                                   assurance.drill->seed, assurance.drill->error));
  }
  return problems;
}

Json to_json(const Assurance& assurance) {
  Json verification = nullptr;
  if (assurance.verification) {
    const VerificationRow& row = *assurance.verification;
    verification = {{"at", to_rfc3339(row.finished_at)},
                    {"everything", row.everything},
                    {"findings", row.findings},
                    {"segments", row.segments},
                    {"backups", row.backups},
                    {"oldest_look", to_rfc3339(row.oldest_look)}};
  }
  return {{"last_verification", verification},
          {"last_drill", assurance.drill ? to_json(*assurance.drill) : Json(nullptr)},
          {"last_passed_drill", assurance.passed_drill ? to_json(*assurance.passed_drill) : Json(nullptr)}};
}

std::string render_text(const Assurance& assurance, Timestamp now) {
  std::string text = "  verified   never: `walback verify` reads everything once\n";
  if (const auto& row = assurance.verification) {
    text = fmt::format("  verified   {}: {}, {}, {}; all was read since {}\n", ago(now, row->finished_at),
                       count_of(row->segments, "segment"), count_of(row->backups, "base backup"),
                       row->findings == 0 ? "nothing wrong" : fmt::format("{} WRONG", row->findings),
                       to_rfc3339(row->oldest_look));
  }
  if (!assurance.drill)
    return text + "  drill      never: `walback drill` measures how long a restore takes\n";
  const DrillRow& drill = *assurance.drill;
  text += fmt::format("  drill      {} {} ({})", drill.state == DrillState::passed ? "passed" : "FAILED",
                      ago(now, drill.finished_at.value_or(drill.started_at)), moment_of(drill));
  if (const auto& passed = assurance.passed_drill) {
    text +=
        fmt::format("; a restore took {} ({} of base backup, {} of WAL)", render_duration_us(passed->rto_us),
                    render_bytes(passed->base_bytes), render_bytes(passed->wal_bytes));
  }
  return text + "\n";
}

}  // namespace walback
