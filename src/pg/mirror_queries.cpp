#include "pg/mirror_queries.h"

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"

namespace walback {
namespace {

constexpr const char* kFind = R"(
  select to_regnamespace('walback') is not null, to_regclass('walback.wal_segments') is not null,
         to_regclass('walback.mirrors') is not null,
         exists (select from pg_catalog.pg_attribute
                  where attrelid = to_regclass('walback.wal_segments') and attname = 'slot'))";

constexpr const char* kForeignOwner = R"(
  select r.rolname, o.what
    from (select nspowner as owner, 'schema walback' as what
            from pg_catalog.pg_namespace where nspname = 'walback'
          union all
          select relowner, 'table walback.' || relname from pg_catalog.pg_class
           where oid in (to_regclass('walback.wal_segments'), to_regclass('walback.mirrors'))) o
    join pg_catalog.pg_roles r on r.oid = o.owner
   where not r.rolsuper and r.rolname <> current_user
   limit 1)";

// fillfactor leaves room for updates in place: the open segment's row changes at every round.
constexpr const char* kCreateTable = R"(
  create table walback.wal_segments (
    slot          text not null,
    timeline      integer not null,
    segment       text not null,
    epoch         integer not null,
    state         text not null,
    start_lsn     pg_lsn not null,
    valid_end_lsn pg_lsn not null,
    size_bytes    bigint not null,
    records       bigint not null,
    commits       bigint not null,
    aborts        bigint not null,
    first_time    timestamptz,
    last_time     timestamptz,
    problem       text not null,
    primary key (slot, timeline, segment)
  ) with (fillfactor = 50))";

// Made by a walback that knew of no other beside it.
constexpr const char* kAddSlot = R"(
  alter table walback.wal_segments add column slot text)";
constexpr const char* kFillSlot = "update walback.wal_segments set slot = $1";
constexpr const char* kKeyWithSlot = R"(
  alter table walback.wal_segments alter column slot set not null, drop constraint wal_segments_pkey,
    add primary key (slot, timeline, segment))";

// One row a walback, written with each round: its newest transactions, by which others tell them from
// people's.
constexpr const char* kCreateMirrors = R"(
  create table walback.mirrors (slot text primary key, xids text not null) with (fillfactor = 50))";
constexpr const char* kWriteXids = R"(
  insert into walback.mirrors as mine values ($1, $2)
  on conflict (slot) do update set xids = excluded.xids)";
constexpr const char* kOtherXids = "select xids from walback.mirrors where slot <> $1";

constexpr const char* kDescribeTable = R"(
  comment on table walback.wal_segments is
    'WAL segments in the walback archive that is fed by the slot: a copy of its catalog, written by `walback manage`')";

constexpr const char* kUpsert = R"(
  insert into walback.wal_segments as mine
  select * from pg_catalog.jsonb_populate_recordset(null::walback.wal_segments, $1::jsonb)
  on conflict (slot, timeline, segment) do update
     set (epoch, state, start_lsn, valid_end_lsn, size_bytes, records, commits, aborts, first_time, last_time, problem)
       = (excluded.epoch, excluded.state, excluded.start_lsn, excluded.valid_end_lsn, excluded.size_bytes,
          excluded.records, excluded.commits, excluded.aborts, excluded.first_time, excluded.last_time,
          excluded.problem)
   where mine.* is distinct from excluded.*)";

// Names of one timeline have one length and upper-case digits: as bytes they stand in the order of the WAL.
constexpr const char* kRemoveOthers = R"(
  delete from walback.wal_segments mine
   where mine.slot = $2
     and not exists (select from pg_catalog.jsonb_to_recordset($1::jsonb) as kept (timeline integer, first text, last text)
                      where kept.timeline = mine.timeline
                        and mine.segment collate "C" between kept.first and kept.last))";

Json optional_time(const std::optional<Timestamp>& time) {
  return time ? Json(to_rfc3339(*time)) : Json(nullptr);
}

std::string rows_as_json(const std::string& slot, const std::vector<MirroredSegment>& segments) {
  Json rows = Json::array();
  for (const MirroredSegment& segment : segments)
    rows.push_back({{"slot", slot},
                    {"timeline", segment.timeline},
                    {"segment", segment.segment},
                    {"epoch", segment.epoch},
                    {"state", segment.state},
                    {"start_lsn", to_string(segment.start_lsn)},
                    {"valid_end_lsn", to_string(segment.valid_end_lsn)},
                    {"size_bytes", segment.size_bytes},
                    {"records", segment.records},
                    {"commits", segment.commits},
                    {"aborts", segment.aborts},
                    {"first_time", optional_time(segment.first_time)},
                    {"last_time", optional_time(segment.last_time)},
                    {"problem", segment.problem}});
  return to_line(rows);
}

std::string spans_as_json(const std::vector<MirroredSpan>& spans) {
  Json rows = Json::array();
  for (const MirroredSpan& span : spans)
    rows.push_back({{"timeline", span.timeline}, {"first", span.first}, {"last", span.last}});
  return to_line(rows);
}

Status refuse_foreign_owner(Connection& connection) {
  const Rows owners = TRY(connection.query(kForeignOwner));
  if (owners.count() == 0) return {};
  return fail(
      ErrorKind::conflict,
      fmt::format("{} belongs to role '{}', expected the role that walback connects as, or a superuser",
                  owners.text(0, 1), owners.text(0, 0)),
      "Drop or rename it, change its owner, or set `manage: {mirror: false}` in walback.yaml.");
}

Status create_what_is_missing(Connection& connection, const std::string& slot) {
  const Rows found = TRY(connection.query(kFind));
  const bool has_schema = found.boolean(0, 0), has_table = found.boolean(0, 1);
  const bool has_mirrors = found.boolean(0, 2), has_slot = found.boolean(0, 3);
  TRY(refuse_foreign_owner(connection));
  if (!has_schema) TRY(connection.execute("create schema walback"));
  if (!has_table) {
    TRY(connection.execute(kCreateTable));
    TRY(connection.execute(kDescribeTable));
  } else if (!has_slot) {
    TRY(connection.execute(kAddSlot));
    TRY(connection.execute(kFillSlot, {slot}));
    TRY(connection.execute(kKeyWithSlot));
  }
  if (!has_mirrors) TRY(connection.execute(kCreateMirrors));
  return {};
}

Status write_in_transaction(Connection& connection, const MirrorRound& round) {
  const Rows assigned = TRY(connection.query("select pg_catalog.pg_current_xact_id()::text"));
  const auto xid = parse_decimal(assigned.text(0, 0));
  if (!xid) return fail(ErrorKind::internal, "the primary named no xid for the mirror's transaction");
  const std::string xids = TRY(round.announce(*xid));
  TRY(create_what_is_missing(connection, round.slot));
  TRY(connection.execute(kWriteXids, {round.slot, xids}));
  if (round.kept) TRY(connection.execute(kRemoveOthers, {spans_as_json(*round.kept), round.slot}));
  return connection.execute(kUpsert, {rows_as_json(round.slot, round.segments)});
}

}  // namespace

Result<MirrorTable> mirror_table(Connection& connection) {
  MirrorTable table;
  table.present = TRY(connection.query(kFind)).boolean(0, 1);
  const Rows owners = TRY(connection.query(kForeignOwner));
  if (owners.count() > 0) table.foreign_owner = owners.text(0, 0);
  return table;
}

Result<std::vector<std::string>> other_mirrors_xids(Connection& connection, const std::string& slot) {
  std::vector<std::string> xids;
  if (!TRY(connection.query(kFind)).boolean(0, 2)) return xids;
  const Rows rows = TRY(connection.query(kOtherXids, {slot}));
  for (int row = 0; row < rows.count(); ++row) xids.push_back(rows.text(row, 0));
  return xids;
}

Status mirror_segments(Connection& connection, const MirrorRound& round) {
  if (round.segments.empty() && !round.kept) return {};
  TRY(connection.execute("begin"));
  if (const Status written = write_in_transaction(connection, round); !written) {
    // What went wrong first is what a person must read; a failing rollback ends with the session anyway.
    (void)connection.execute("rollback");
    return written;
  }
  return connection.execute("commit");
}

}  // namespace walback
