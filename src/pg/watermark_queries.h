#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/timestamp.h"
#include "pg/connection.h"
#include "wal/lsn.h"

/// The questions of the watermark rule (docs/design.md, step 7); archive/ puts them in order:
///
///   W = server_clock(); X = write_transactions(); until settled(): unsettled(X, W); L = insert_lsn().
///
/// Why it holds: a commit stamps itself and then inserts its record, and it keeps the transactionid lock
/// until after that. So a commit stamped at or before W whose record is not yet inserted belongs to an xid
/// that is in X. When that xid's lock is gone its record is in the WAL, below L. When its backend is idle in
/// transaction, or in a statement begun after W, its COMMIT has not been stamped yet, or will be stamped (or
/// was) after W. All must run in ONE session, in this order, each as its own statement.
namespace walback {

/// A transaction with an xid that had not ended when we looked.
struct WriteTransaction {
  std::uint32_t xid = 0;
  int pid = 0;  ///< 0: prepared
  bool prepared = false;
};

/// X: who holds an ExclusiveLock of type transactionid in pg_locks, prepared ones (no pid) too.
[[nodiscard]] Result<std::vector<WriteTransaction>> write_transactions(Connection& connection);

/// Those of X that may still insert a commit record stamped at or before `w`. For a prepared one: as long as
/// any backend is active in a statement begun at or before `w` (it may be COMMIT PREPARED).
///
/// `unavailable` where the role cannot see what other sessions do (without pg_read_all_stats state and
/// query_start are NULL): no watermark then, never a guess.
[[nodiscard]] Result<std::vector<WriteTransaction>> unsettled(
    Connection& connection, const std::vector<WriteTransaction>& transactions, Timestamp w);

/// L: where the next record will be inserted.
[[nodiscard]] Result<Lsn> insert_lsn(Connection& connection);

}  // namespace walback
