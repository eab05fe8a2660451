#include "pg/load_queries.h"

#include <fmt/format.h>

namespace walback {
namespace {

constexpr const char* kCreateTable =
    "CREATE TABLE IF NOT EXISTS test_data (id bigint PRIMARY KEY, writer integer NOT NULL, "
    "payload text NOT NULL, created_at timestamptz NOT NULL DEFAULT clock_timestamp())";

/// Does a COMMIT of this session wait for a flush elsewhere?
constexpr const char* kWaits =
    "(current_setting('synchronous_standby_names') <> '' "
    "AND current_setting('synchronous_commit') IN ('on', 'remote_apply') "
    "AND pg_conf_load_time() < clock_timestamp() - interval '1 second')";

std::string microseconds(const std::string& time) {
  return "(extract(epoch FROM " + time + ") * 1000000)::bigint";
}

/// The payload is ours and alphanumeric, but a text that is pasted into SQL is quoted all the same.
std::string quoted(const std::string& text) {
  std::string literal = "'";
  for (const char c : text) literal.append(c == '\'' ? 2 : 1, c);
  return literal + "'";
}

tl::unexpected<Error> no_answer(const char* statement) {
  return fail(ErrorKind::internal, fmt::format("{} returned no row", statement));
}

}  // namespace

Status create_load_table(Connection& connection) {
  const auto found = TRY(connection.query("SELECT to_regclass('test_data') IS NOT NULL"));
  if (found.boolean(0, 0)) return {};
  const Status created = connection.execute(kCreateTable);
  // Two generators at once: IF NOT EXISTS does not keep them from colliding in pg_type or pg_class.
  if (!created && (connection.sqlstate() == "23505" || connection.sqlstate() == "42P07")) return {};
  return created;
}

Result<LoadSession> prepare_load_session(Connection& connection, const std::string& synchronous_commit) {
  TRY(connection.execute("SET standard_conforming_strings = on"));
  TRY(connection.query("SELECT set_config('synchronous_commit', $1, false)", {synchronous_commit}));
  const auto session =
      TRY(connection.query("SELECT pg_backend_pid(), current_setting('track_commit_timestamp')::boolean"));
  LoadSession prepared;
  prepared.backend_pid = static_cast<int>(session.integer(0, 0));
  prepared.tracks_commit_time = session.boolean(0, 1);
  TRY(connection.execute(
      fmt::format("PREPARE walback_insert (bigint, integer, text) AS "
                  "INSERT INTO test_data (id, writer, payload) VALUES ($1, $2, $3) "
                  "RETURNING pg_current_xact_id()::xid, {}, pg_current_wal_insert_lsn(), {}",
                  microseconds("created_at"), kWaits)));
  TRY(connection.execute(fmt::format(
      "PREPARE walback_look (xid) AS SELECT pg_current_wal_insert_lsn(), {}, {}, $1",
      prepared.tracks_commit_time ? microseconds("pg_xact_commit_timestamp($1)") : "NULL::bigint", kWaits)));
  return prepared;
}

Result<InsertedRow> begin_and_insert(Connection& connection, const LoadRow& row) {
  const auto rows = TRY(connection.query(
      fmt::format("BEGIN; EXECUTE walback_insert({}, {}, {})", row.id, row.writer, quoted(row.payload))));
  const auto lsn = rows.count() == 1 ? rows.lsn(0, 2) : std::nullopt;
  if (!lsn) return no_answer("the insert into test_data");
  InsertedRow inserted;
  inserted.xid = static_cast<std::uint32_t>(rows.integer(0, 0));
  inserted.created_at = {rows.integer(0, 1)};
  inserted.insert_lsn = *lsn;
  inserted.waits = rows.boolean(0, 3);
  return inserted;
}

Result<CommittedRow> commit_and_look(Connection& connection, std::uint32_t xid) {
  const auto rows = TRY(connection.query(fmt::format("COMMIT; EXECUTE walback_look('{}')", xid)));
  const auto lsn = rows.count() == 1 ? rows.lsn(0, 0) : std::nullopt;
  if (!lsn) return no_answer("the look after COMMIT");
  CommittedRow committed;
  committed.insert_lsn = *lsn;
  if (!rows.is_null(0, 1)) committed.commit_time = Timestamp{rows.integer(0, 1)};
  committed.waits = rows.boolean(0, 2);
  return committed;
}

Result<bool> commits_wait(Connection& connection) {
  const auto rows = TRY(connection.query(fmt::format("SELECT {}", kWaits)));
  return rows.count() == 1 && rows.boolean(0, 0);
}

Status roll_back(Connection& connection) {
  return connection.execute("ROLLBACK");
}

Status cancel_statement(Connection& connection, int backend_pid) {
  return connection.execute(fmt::format("SELECT pg_cancel_backend({})", backend_pid));
}

Result<std::optional<bool>> load_row_present(Connection& connection, std::int64_t id) {
  const auto table = TRY(connection.query("SELECT to_regclass('test_data') IS NOT NULL"));
  if (!table.boolean(0, 0)) return std::optional<bool>();
  const auto rows = TRY(connection.query("SELECT FROM test_data WHERE id = $1", {std::to_string(id)}));
  return std::optional<bool>(rows.count() > 0);
}

Result<std::vector<SeenLoadRow>> load_rows(Connection& connection) {
  const auto table = TRY(connection.query("SELECT to_regclass('test_data') IS NOT NULL"));
  if (!table.boolean(0, 0))
    return fail(ErrorKind::not_found, "there is no table test_data", "`walback load` makes it.");
  const auto found = TRY(connection.query("SELECT id, writer, xmin::text::bigint FROM test_data"));
  std::vector<SeenLoadRow> rows;
  rows.reserve(static_cast<std::size_t>(found.count()));
  for (int row = 0; row < found.count(); ++row) {
    rows.push_back({found.integer(row, 0), static_cast<int>(found.integer(row, 1)),
                    static_cast<std::uint32_t>(found.integer(row, 2))});
  }
  return rows;
}

}  // namespace walback
