#include "pg/watermark_queries.h"

#include <fmt/format.h>

#include "base/text.h"
#include "pg/sql.h"

namespace walback {
namespace {

constexpr std::string_view kHeldXids =
    "FROM pg_locks WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock' AND granted";

/// Backends that might be inside a COMMIT PREPARED begun at or before $3: all that are not known to be
/// something else. A walsender can run SQL too, but not while it streams, and a streaming one (our own
/// receiver's) has been active since it began. backend_type is NULL where the role may not look; state is
/// also NULL in a background worker that never reports one.
std::string maybe_committing_prepared() {
  return fmt::format(R"(
    SELECT FROM pg_stat_activity b
     WHERE b.pid <> pg_backend_pid()
       AND coalesce(b.backend_type, '') NOT IN
           ('archiver', 'autovacuum launcher', 'autovacuum worker', 'background writer', 'checkpointer',
            'io worker', 'logger', 'logical replication launcher', 'parallel worker', 'startup', 'walreceiver',
            'walsummarizer', 'walwriter')
       AND NOT (b.backend_type IS NOT DISTINCT FROM 'walsender'
                AND b.query ~* '^\s*(START_REPLICATION|BASE_BACKUP)\y')
       AND (b.backend_type IS NULL OR NOT coalesce(b.state LIKE 'idle%' OR {} > $3::bigint, false)))",
                     sql_time("b.query_start"));
}

std::string array_of(const std::vector<std::string>& items) {
  return "{" + join(items, ",") + "}";
}

}  // namespace

Result<std::vector<WriteTransaction>> write_transactions(Connection& connection) {
  const Rows rows = TRY(connection.query(fmt::format("SELECT transactionid, pid {}", kHeldXids)));
  std::vector<WriteTransaction> transactions;
  for (int i = 0; i < rows.count(); ++i) {
    WriteTransaction transaction;
    transaction.xid = static_cast<std::uint32_t>(rows.integer(i, 0));
    transaction.prepared = rows.is_null(i, 1);
    transaction.pid = static_cast<int>(rows.integer(i, 1));
    transactions.push_back(std::move(transaction));
  }
  return transactions;
}

Result<std::vector<WriteTransaction>> unsettled(Connection& connection,
                                                const std::vector<WriteTransaction>& transactions,
                                                Timestamp w) {
  if (transactions.empty()) return std::vector<WriteTransaction>{};
  std::vector<std::string> xids, pids;
  for (const WriteTransaction& transaction : transactions) {
    xids.push_back(std::to_string(transaction.xid));
    pids.push_back(std::to_string(transaction.prepared ? 0 : transaction.pid));
  }
  // A backend that is gone while its xid is still locked was prepared in between: the next round, which sees
  // it as that, decides.
  const Rows rows =
      TRY(connection.query(fmt::format(R"(
    WITH held AS MATERIALIZED (SELECT transactionid {}),
         prepared_may_commit AS MATERIALIZED (SELECT EXISTS ({}) AS yes)
    SELECT x.xid, x.pid, CASE WHEN x.pid = 0 THEN 'prepared' WHEN a.pid IS NULL THEN 'gone'
                              WHEN a.backend_type IS NULL THEN 'hidden' ELSE coalesce(a.state, 'unknown') END
      FROM unnest($1::text::xid[], $2::text::int[]) AS x (xid, pid) LEFT JOIN pg_stat_activity a ON a.pid = x.pid
     WHERE x.xid IN (SELECT transactionid FROM held)
       AND CASE WHEN x.pid = 0 THEN (SELECT yes FROM prepared_may_commit)
                ELSE NOT coalesce(a.state LIKE 'idle%' OR {} > $3::bigint, false) END)",
                                       kHeldXids, maybe_committing_prepared(), sql_time("a.query_start")),
                           {array_of(xids), array_of(pids), std::to_string(w.unix_us)}));
  std::vector<WriteTransaction> open;
  for (int i = 0; i < rows.count(); ++i) {
    WriteTransaction transaction;
    transaction.xid = static_cast<std::uint32_t>(rows.integer(i, 0));
    transaction.pid = static_cast<int>(rows.integer(i, 1));
    transaction.prepared = transaction.pid == 0;
    transaction.state = rows.text(i, 2);
    open.push_back(std::move(transaction));
  }
  return open;
}

Result<Lsn> insert_lsn(Connection& connection) {
  const Rows rows = TRY(connection.query("SELECT pg_current_wal_insert_lsn()"));
  const auto lsn = rows.lsn(0, 0);
  if (!lsn) return fail(ErrorKind::internal, fmt::format("'{}' is no insert LSN", rows.text(0, 0)));
  return *lsn;
}

}  // namespace walback
