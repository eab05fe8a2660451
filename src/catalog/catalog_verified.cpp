#include <algorithm>
#include <array>

#include "catalog/catalog_impl.h"

// What was verified, and drills.

namespace walback {
namespace {

using namespace catalog_read;

constexpr std::array<std::string_view, 4> kDrillStates{"running", "passed", "failed", "interrupted"};

auto drill_reader(const Database& database) {
  return [&database](const Statement& row) -> Result<DrillRow> {
    const auto state = drill_state_named(row.text(2));
    if (!state) return unknown_word(database, "state of a drill", row.text(2));
    return DrillRow{.started_at = time(row, 0),
                    .finished_at = maybe(row, 1, time(row, 1)),
                    .state = *state,
                    .seed = static_cast<std::uint64_t>(row.integer(3)),
                    .target = row.text(4),
                    .directory = row.text(5),
                    .rto_us = row.integer(6),
                    .base_bytes = static_cast<std::uint64_t>(row.integer(7)),
                    .wal_bytes = static_cast<std::uint64_t>(row.integer(8)),
                    .checks = row.text(9),
                    .error = row.text(10),
                    .kept = row.integer(11) != 0};
  };
}

}  // namespace

std::string_view name_of(DrillState state) {
  return kDrillStates.at(static_cast<std::size_t>(state));
}
std::optional<DrillState> drill_state_named(std::string_view name) {
  const auto found = std::ranges::find(kDrillStates, name);
  if (found == kDrillStates.end()) return std::nullopt;
  return static_cast<DrillState>(found - kDrillStates.begin());
}

Status Catalog::put_verified(const VerifiedRun& run) {
  return impl_->database->atomically([&]() -> Status {
    Statement covered = TRY(impl_->database->statement(
        "DELETE FROM verified_runs WHERE timeline = ? AND epoch = ? AND first >= ? AND last <= ?"));
    TRY(covered.bind(run.timeline, run.epoch, run.first, run.last).run());
    Statement put = TRY(impl_->database->statement(
        "INSERT OR REPLACE INTO verified_runs (timeline, epoch, first, last, digest, verified_at_us) "
        "VALUES (?, ?, ?, ?, ?, ?)"));
    return put.bind(run.timeline, run.epoch, run.first, run.last, run.digest, run.verified_at).run();
  });
}

Result<std::vector<VerifiedRun>> Catalog::verified_runs() const {
  Statement statement = TRY(impl_->database->statement(
      "SELECT timeline, epoch, first, last, digest, verified_at_us FROM verified_runs "
      "ORDER BY timeline, epoch, first"));
  return all<VerifiedRun>(statement, [](const Statement& row) {
    return VerifiedRun{.timeline = timeline(row, 0),
                       .epoch = static_cast<std::uint32_t>(row.integer(1)),
                       .first = {static_cast<std::uint64_t>(row.integer(2))},
                       .last = {static_cast<std::uint64_t>(row.integer(3))},
                       .digest = static_cast<std::uint32_t>(row.integer(4)),
                       .verified_at = time(row, 5)};
  });
}

Status Catalog::put_verified(const VerifiedBackup& backup) {
  Statement statement = TRY(impl_->database->statement(
      "INSERT OR REPLACE INTO verified_backups (id, digest, verified_at_us) VALUES (?, ?, ?)"));
  return statement.bind(backup.id, backup.digest, backup.verified_at).run();
}

Result<std::optional<VerifiedBackup>> Catalog::verified_backup(const std::string& id) const {
  Statement statement =
      TRY(impl_->database->statement("SELECT id, digest, verified_at_us FROM verified_backups WHERE id = ?"));
  statement.bind(id);
  return first<VerifiedBackup>(statement, [](const Statement& row) {
    return VerifiedBackup{row.text(0), static_cast<std::uint32_t>(row.integer(1)), time(row, 2)};
  });
}

Status Catalog::put_drill(const DrillRow& drill) {
  Statement statement = TRY(impl_->database->statement(
      "INSERT OR REPLACE INTO drills (started_at_us, finished_at_us, state, seed, target, directory, rto_us, "
      "base_bytes, wal_bytes, checks, error, kept) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  return statement
      .bind(drill.started_at, drill.finished_at, name_of(drill.state), drill.seed, drill.target,
            drill.directory, drill.rto_us, drill.base_bytes, drill.wal_bytes, drill.checks, drill.error,
            drill.kept)
      .run();
}

Result<std::vector<DrillRow>> Catalog::drills() const {
  Statement statement = TRY(impl_->database->statement(
      "SELECT started_at_us, finished_at_us, state, seed, target, directory, rto_us, base_bytes, wal_bytes, "
      "checks, error, kept FROM drills ORDER BY started_at_us DESC"));
  return all<DrillRow>(statement, drill_reader(*impl_->database));
}

}  // namespace walback
