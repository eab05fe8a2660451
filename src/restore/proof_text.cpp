#include <fmt/format.h>

#include "base/text.h"
#include "restore/proof.h"

namespace walback {
namespace {

/// Whether it is still running at the pause or was rolled back by the promotion makes no difference to a
/// person.
std::string_view shown(const std::optional<TransactionStatus>& status) {
  if (!status) return "not asked";
  return *status == TransactionStatus::committed ? "committed" : "not committed";
}

std::string commit_line(std::string_view what, const std::optional<TransactionEnd>& commit,
                        const std::optional<TransactionStatus>& status) {
  if (!commit) return fmt::format("  {:<18} none\n", what);
  return fmt::format("  {:<18} transaction {} at {}, {}: {}\n", what, commit->xid, to_string(commit->lsn),
                     to_rfc3339(commit->time), shown(status));
}

}  // namespace

std::string render_text(const Proof& proof) {
  const Reached& reached = proof.reached;
  std::string text = fmt::format("{}: {}, {}\n", proof.holds() ? "proven" : "NOT what was planned",
                                 proof.name, proof.target);
  for (const std::string& difference : proof.differences) text += "  differs            " + difference + "\n";
  const Lsn end = reached.replay_lsn.value_or(reached.switch_point.value_or(Lsn{}));
  text += fmt::format("  {:<18} {} on timeline {}, planned {}\n", "replayed to", to_string(end),
                      proof.expected.timeline.value, to_string(proof.expected.replay_end));
  if (reached.new_timeline && reached.switch_point) {
    text += fmt::format("  {:<18} timeline {} from {}\n", "continues as", reached.new_timeline->value,
                        to_string(*reached.switch_point));
  }
  text += commit_line("last commit in", proof.expected.last_commit, reached.last_commit);
  text += commit_line("first commit out", proof.expected.next_commit, reached.next_commit);
  text += fmt::format("  {:<18} base backup {} ({}), {} segment{} of WAL ({})\n", "made of", proof.backup_id,
                      render_bytes(proof.base_bytes), proof.wal_segments, proof.wal_segments == 1 ? "" : "s",
                      render_bytes(proof.wal_bytes));
  std::vector<std::string> phases;
  std::int64_t total_us = 0;
  for (const PhaseTiming& timing : proof.timings) {
    phases.push_back(fmt::format("{} {}", timing.phase, render_duration_us(timing.duration_us)));
    total_us += timing.duration_us;
  }
  text += fmt::format("  {:<18} {} ({})\n", "took", render_duration_us(total_us), join(phases, ", "));
  for (const RestoredTablespace& tablespace : proof.tablespaces)
    text += fmt::format("  {:<18} {}\n", "tablespace", render_text(tablespace));
  for (const std::string& warning : proof.warnings) text += "  note               " + warning + "\n";
  for (const std::string& prepared : proof.curiosities.prepared_transactions) {
    text += "  note               prepared transaction waits and holds its locks: " + prepared + "\n";
  }
  if (proof.curiosities.unlogged_tables > 0) {
    text += fmt::format("  note               {} unlogged tables come back empty\n",
                        proof.curiosities.unlogged_tables);
  }
  for (const std::string& collation : proof.curiosities.collations) {
    text += "  note               collation version differs, " + collation + "\n";
  }
  if (!proof.dropped_settings.empty()) {
    text += fmt::format(
        "  note               {} settings of the base were not taken over: walback-proof.json lists them\n",
        proof.dropped_settings.size());
  }
  return text;
}

}  // namespace walback
