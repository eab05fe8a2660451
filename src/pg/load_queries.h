#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/timestamp.h"
#include "pg/connection.h"
#include "wal/lsn.h"

/// What the load generator asks: two round trips a commit, with the WAL's insert position read on both sides
/// of COMMIT.
namespace walback {

/// `test_data`, if it is not there. A table of that name with other columns shows at the first insert.
[[nodiscard]] Status create_load_table(Connection& connection);

/// A session of one writer: synchronous_commit set to `synchronous_commit` ("on", "off", …; walback's own
/// sessions are `local`, and a load must wait as an application would), statements prepared.
struct LoadSession {
  int backend_pid = 0;
  bool tracks_commit_time = false;
};
[[nodiscard]] Result<LoadSession> prepare_load_session(Connection& connection,
                                                       const std::string& synchronous_commit);

struct LoadRow {
  std::int64_t id = 0;
  int writer = 0;
  std::string payload;
};

/// BEGIN and INSERT. `waits` says whether a COMMIT would now wait until a synchronous receiver has flushed.
/// A setting that was loaded less than a second ago does not count: the checkpointer, which switches the wait
/// on for everybody, may not have read it yet.
struct InsertedRow {
  std::uint32_t xid = 0;
  Timestamp created_at;
  Lsn insert_lsn;
  bool waits = false;
};
[[nodiscard]] Result<InsertedRow> begin_and_insert(Connection& connection, const LoadRow& row);

/// COMMIT, and what is known after it. A WARNING stays in connection.notices(). An error does not tell
/// whether the commit happened.
struct CommittedRow {
  Lsn insert_lsn;
  std::optional<Timestamp> commit_time;
  bool waits = false;
};
[[nodiscard]] Result<CommittedRow> commit_and_look(Connection& connection, std::uint32_t xid);

/// Would a COMMIT wait now? A statement of its own, because settings are read anew only between two: a commit
/// that was let go because nobody is to be waited for any more still sees the old ones in its own statement.
[[nodiscard]] Result<bool> commits_wait(Connection& connection);

[[nodiscard]] Status roll_back(Connection& connection);
/// Ends a statement of another session; a COMMIT that waits for its receiver returns with a WARNING.
[[nodiscard]] Status cancel_statement(Connection& connection, int backend_pid);

/// Is there a row with this id? Nothing: there is no such table.
[[nodiscard]] Result<std::optional<bool>> load_row_present(Connection& connection, std::int64_t id);

/// A row of `test_data`, and the transaction that wrote it.
struct SeenLoadRow {
  std::int64_t id = 0;
  int writer = 0;
  std::uint32_t xid = 0;
};
/// All of them; not_found where there is no such table.
[[nodiscard]] Result<std::vector<SeenLoadRow>> load_rows(Connection& connection);

}  // namespace walback
