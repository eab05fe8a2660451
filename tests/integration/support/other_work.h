#pragma once
#include <cstdint>
#include <random>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "pg/connection.h"
#include "wal/lsn.h"

namespace walback::test {

/// What a load of plain commits has none of, from one more session on `test_data`: savepoints rolled back and
/// released, aborts, prepared transactions that stay open for a while, more subtransactions than a snapshot
/// holds, restore points, segment switches.
class OtherWork {
 public:
  OtherWork(Connection connection, std::uint64_t seed) : connection_(std::move(connection)), random_(seed) {}

  /// Until a stop is requested. The last prepared transaction stays open.
  [[nodiscard]] Status run(std::stop_token stop);

  // What it did.
  [[nodiscard]] const std::vector<std::pair<std::int64_t, std::uint32_t>>& rows() const { return rows_; }
  [[nodiscard]] const std::vector<std::uint32_t>& committed_subxids() const { return committed_subxids_; }
  [[nodiscard]] const std::vector<std::uint32_t>& aborted_subxids() const { return aborted_subxids_; }
  [[nodiscard]] const std::vector<std::uint32_t>& aborted_xids() const { return aborted_xids_; }
  [[nodiscard]] const std::vector<std::uint32_t>& prepared_xids() const { return prepared_xids_; }
  [[nodiscard]] const std::vector<std::string>& restore_points() const { return restore_points_; }
  /// pg_current_wal_insert_lsn() and pg_current_wal_lsn(), between the rest.
  [[nodiscard]] const std::vector<Lsn>& positions() const { return positions_; }

 private:
  /// One row by the current (sub)transaction; its xid.
  [[nodiscard]] Result<std::uint32_t> insert();
  [[nodiscard]] Status savepoints();
  [[nodiscard]] Status many_subtransactions();
  [[nodiscard]] Status abort();
  [[nodiscard]] Status prepare();
  [[nodiscard]] Status end_oldest_prepared();
  [[nodiscard]] Status restore_point();
  [[nodiscard]] Status look();
  [[nodiscard]] Status one(std::uint64_t which);

  Connection connection_;
  std::mt19937_64 random_;
  std::int64_t next_id_ = -1;  ///< the load's ids are positive
  std::uint64_t steps_ = 0;
  std::vector<std::pair<std::string, std::uint32_t>> open_;  ///< prepared: gid and xid
  std::vector<std::pair<std::int64_t, std::uint32_t>> rows_;
  std::vector<std::uint32_t> committed_subxids_, aborted_subxids_, aborted_xids_, prepared_xids_;
  std::vector<std::string> restore_points_;
  std::vector<Lsn> positions_;
};

}  // namespace walback::test
