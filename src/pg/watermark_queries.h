#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/timestamp.h"
#include "pg/connection.h"
#include "wal/lsn.h"

/// The questions of the watermark rule (docs/design.md, step 7); archive/ puts them in order:
///
///     W = server_clock();  X = write_transactions();  until unsettled(X, W) is empty;  L = insert_lsn().
///
/// Why it holds: a transaction stamps its commit and then inserts the record, and gives back the lock on its
/// xid only after that. So a commit stamped at or before W whose record is not in the WAL when X is read
/// belongs to an xid of X. Once that lock is gone, the record lies below L. Once its backend is seen idle in
/// transaction, or in a statement begun after W, a COMMIT can only have been stamped later than W.
///
/// All of it in ONE session, in this order, each as a statement of its own outside a transaction block:
/// inside one, pg_stat_activity would show the same picture for ever.
namespace walback {

/// A transaction with an xid (a subtransaction is one too) that has not ended.
struct WriteTransaction {
  std::uint32_t xid = 0;
  int pid = 0;  ///< of its backend; 0 for a prepared one, which has none
  bool prepared = false;
  /// Of what is unsettled, for people: pg_stat_activity.state, "prepared", "gone" (its backend), or "hidden":
  /// the role may not see it, and should be granted pg_read_all_stats.
  std::string state;
};

/// X: who holds an ExclusiveLock of type transactionid in pg_locks.
[[nodiscard]] Result<std::vector<WriteTransaction>> write_transactions(Connection& connection);

/// Those of X that may still put a commit stamped at or before `w` into the WAL. A prepared one may as long
/// as any backend is active in a statement begun at or before `w`: it could be the COMMIT PREPARED. What
/// cannot be seen is unsettled: never a guess.
[[nodiscard]] Result<std::vector<WriteTransaction>> unsettled(
    Connection& connection, const std::vector<WriteTransaction>& transactions, Timestamp w);

/// L: where the next record will be inserted. A standby has none: an error.
[[nodiscard]] Result<Lsn> insert_lsn(Connection& connection);

}  // namespace walback
