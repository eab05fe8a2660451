#include "integration/support/other_work.h"

#include <fmt/format.h>

#include <chrono>

#include "os/system.h"

namespace walback::test {
namespace {

constexpr std::size_t kOpenPrepared = 3;
/// A snapshot holds 64 of a transaction's.
constexpr int kManySubtransactions = 70;
constexpr std::uint64_t kStepsBetweenSwitches = 60;

}  // namespace

Status OtherWork::run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    TRY(one(random_() % 10));
    if (++steps_ % kStepsBetweenSwitches == 0) TRY(connection_.execute("SELECT pg_switch_wal()"));
    sleep_for(stop, std::chrono::milliseconds(5));
  }
  if (open_.empty()) TRY(prepare());
  while (open_.size() > 1) TRY(end_oldest_prepared());
  return {};
}

Status OtherWork::one(std::uint64_t which) {
  if (which < 3) return savepoints();
  if (which == 3) return abort();
  if (which == 4) return restore_point();
  if (which == 5) return many_subtransactions();
  if (which < 8) return open_.size() < kOpenPrepared ? prepare() : end_oldest_prepared();
  return look();
}

Result<std::uint32_t> OtherWork::insert() {
  const std::int64_t id = next_id_--;
  const Rows rows = TRY(connection_.query(fmt::format(
      "INSERT INTO test_data (id, writer, payload) VALUES ({}, 99, 'other work') RETURNING xmin::text", id)));
  const auto xid = static_cast<std::uint32_t>(rows.integer(0, 0));
  rows_.emplace_back(id, xid);
  return xid;
}

Status OtherWork::savepoints() {
  TRY(connection_.execute("BEGIN"));
  TRY(insert());
  TRY(connection_.execute("SAVEPOINT lost"));
  aborted_subxids_.push_back(TRY(insert()));
  TRY(connection_.execute("ROLLBACK TO lost"));
  TRY(connection_.execute("SAVEPOINT kept"));
  committed_subxids_.push_back(TRY(insert()));
  TRY(connection_.execute("SAVEPOINT inner_kept"));
  committed_subxids_.push_back(TRY(insert()));
  TRY(connection_.execute("RELEASE kept"));
  return connection_.execute("COMMIT");
}

Status OtherWork::many_subtransactions() {
  TRY(connection_.execute("BEGIN"));
  for (int i = 0; i < kManySubtransactions; ++i) {
    TRY(connection_.execute("SAVEPOINT one_more"));
    committed_subxids_.push_back(TRY(insert()));
  }
  return connection_.execute("COMMIT");
}

Status OtherWork::abort() {
  TRY(connection_.execute("BEGIN"));
  aborted_xids_.push_back(TRY(insert()));
  TRY(connection_.execute("SAVEPOINT lost_too"));
  aborted_subxids_.push_back(TRY(insert()));
  return connection_.execute("ROLLBACK");
}

Status OtherWork::prepare() {
  TRY(connection_.execute("BEGIN"));
  const std::uint32_t xid = TRY(insert());
  TRY(connection_.execute("SAVEPOINT of_a_prepared"));
  TRY(insert());
  const std::string gid = fmt::format("other work {}", xid);
  open_.emplace_back(gid, xid);
  return connection_.execute(fmt::format("PREPARE TRANSACTION '{}'", gid));
}

Status OtherWork::end_oldest_prepared() {
  const auto [gid, xid] = open_.front();
  open_.erase(open_.begin());
  const bool commit = random_() % 3 != 0;
  (commit ? prepared_xids_ : aborted_xids_).push_back(xid);
  return connection_.execute(fmt::format("{} PREPARED '{}'", commit ? "COMMIT" : "ROLLBACK", gid));
}

Status OtherWork::restore_point() {
  const std::string name = fmt::format("point {}", restore_points_.size() + 1);
  TRY(connection_.execute(fmt::format("SELECT pg_create_restore_point('{}')", name)));
  restore_points_.push_back(name);
  return {};
}

Status OtherWork::look() {
  const Rows rows = TRY(connection_.query("SELECT pg_current_wal_insert_lsn(), pg_current_wal_lsn()"));
  for (const int column : {0, 1}) {
    if (const auto lsn = rows.lsn(0, column)) positions_.push_back(*lsn);
  }
  return {};
}

}  // namespace walback::test
