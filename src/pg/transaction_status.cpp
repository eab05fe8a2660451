// What a server knows of one transaction: its status and its commit time.
#include <fmt/format.h>

#include "base/text.h"
#include "pg/server.h"
#include "pg/sql.h"

namespace walback {

std::string_view name_of(TransactionStatus status) {
  switch (status) {
    case TransactionStatus::committed:
      return "committed";
    case TransactionStatus::aborted:
      return "aborted";
    case TransactionStatus::in_progress:
      return "in_progress";
    case TransactionStatus::in_future:
      return "in_future";
    case TransactionStatus::forgotten:
      return "forgotten";
  }
  return "forgotten";
}

namespace {

/// xids are 32 bits in the WAL and 64 in pg_xact_status(): of the candidates that end in `xid`, the one
/// nearest to the server's next.
std::uint64_t full_xid(std::uint32_t xid, std::uint64_t next) {
  constexpr std::uint64_t epoch = std::uint64_t{1} << 32;
  const std::uint64_t candidate = (next & ~(epoch - 1)) | xid;
  if (candidate > next && candidate - next > epoch / 2 && candidate >= epoch) return candidate - epoch;
  if (candidate < next && next - candidate > epoch / 2) return candidate + epoch;
  return candidate;
}

}  // namespace

Result<TransactionStatus> transaction_status(Connection& connection, std::uint32_t xid) {
  const Rows next = TRY(connection.query("SELECT pg_snapshot_xmax(pg_current_snapshot())"));
  const std::uint64_t full = full_xid(xid, parse_decimal(next.text(0, 0)).value_or(0));
  const Result<Rows> rows = connection.query("SELECT pg_xact_status($1::xid8)", {std::to_string(full)});
  if (!rows) {
    // 22023 "transaction ID … is in the future": its xid was never handed out here.
    if (connection.sqlstate() == "22023") return TransactionStatus::in_future;
    return tl::unexpected<Error>(rows.error());
  }
  if (rows->is_null(0, 0)) return TransactionStatus::forgotten;
  const std::string status = rows->text(0, 0);
  if (status == "committed") return TransactionStatus::committed;
  if (status == "aborted") return TransactionStatus::aborted;
  if (status == "in progress") return TransactionStatus::in_progress;
  return fail(ErrorKind::internal,
              fmt::format("pg_xact_status({}) is '{}', a word that walback does not know", xid, status));
}

Result<std::optional<Timestamp>> commit_timestamp(Connection& connection, std::uint32_t xid) {
  const Result<Rows> rows = connection.query("SELECT " + sql_time("pg_xact_commit_timestamp($1::text::xid)"),
                                             {std::to_string(xid)});
  if (rows) return rows->time(0, 0);
  if (connection.sqlstate() == "55000") {
    return fail(ErrorKind::conflict,
                "the server keeps no commit timestamps, expected track_commit_timestamp=on",
                "Set track_commit_timestamp=on in postgresql.conf and restart the server.");
  }
  return tl::unexpected<Error>(rows.error());
}

}  // namespace walback
