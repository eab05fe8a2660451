#include "catalog/schema.h"

#include <fmt/format.h>

#include <array>

#include "os/crash_point.h"

namespace walback {
namespace {

// Positions are integers so that SQL can compare them, times microseconds since 1970 in UTC; the views at the
// end show both as people write them.
//
// The blobs of transaction ends have a table of their own: inside wal_segments they made a scan of all rows 5
// to 8 times slower (measured with 20,000 rows of 13 kB, warm).
//
// segment_blocks summarises 256 segments a row, so that a time or an xid is found in any order of time and
// whatever was written last. A running maximum of time in each row was the alternative: it finds the first
// end after T by one look-up, but only from a timeline's beginning; it must be repaired to the end of the
// timeline after each row that comes late (a rebuild from the newest to the oldest would cost n²); and it is
// no help for "commits at or before T" and for xids.
constexpr const char* kFirstSchema = R"sql(
CREATE TABLE wal_segments (
  id               INTEGER PRIMARY KEY,
  timeline         INTEGER NOT NULL,
  segment          TEXT    NOT NULL,  -- the file's name, 24 hexadecimal digits
  number           INTEGER NOT NULL,
  epoch            INTEGER NOT NULL,
  state            TEXT    NOT NULL CHECK (state IN ('open', 'finished', 'ended')),
  start_lsn        INTEGER NOT NULL,
  valid_end_lsn    INTEGER NOT NULL,
  first_record_lsn INTEGER,
  last_record_lsn  INTEGER,
  size_bytes       INTEGER NOT NULL,
  mtime_ns         INTEGER NOT NULL,
  file_crc32c      INTEGER,
  records          INTEGER NOT NULL,
  commits          INTEGER NOT NULL,
  aborts           INTEGER NOT NULL,
  first_time_us    INTEGER,           -- of the first and last commit or abort, in WAL order
  last_time_us     INTEGER,
  min_time_us      INTEGER,
  max_time_us      INTEGER,
  min_xid          INTEGER,
  max_xid          INTEGER,
  first_xact_lsn   INTEGER,           -- START of the first and last commit or abort
  last_xact_lsn    INTEGER,
  problem          TEXT    NOT NULL,
  superseded       INTEGER NOT NULL DEFAULT 0,  -- another epoch's row of this segment counts
  version          INTEGER NOT NULL,            -- of the last change, from catalog_counters
  UNIQUE (timeline, number, epoch)
);
CREATE INDEX wal_segments_by_xact ON wal_segments (timeline, last_xact_lsn, commits)
  WHERE superseded = 0 AND last_xact_lsn IS NOT NULL;
CREATE INDEX wal_segments_by_version ON wal_segments (version);
CREATE INDEX wal_segments_runs ON wal_segments (timeline, number, epoch, state, problem, superseded)
  WHERE superseded = 0;               -- all that each_segment_run reads

CREATE TABLE segment_ends (           -- what ends_codec.h describes, in WAL order
  segment_id INTEGER NOT NULL,
  part       INTEGER NOT NULL,
  ends       BLOB    NOT NULL,
  PRIMARY KEY (segment_id, part)
);

CREATE TABLE segment_blocks (         -- block = number / 256
  timeline INTEGER NOT NULL,
  block    INTEGER NOT NULL,
  min_time_us INTEGER NOT NULL, max_time_us INTEGER NOT NULL,
  min_xid     INTEGER NOT NULL, max_xid     INTEGER NOT NULL,
  PRIMARY KEY (timeline, block)
) WITHOUT ROWID;

CREATE TABLE catalog_counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO catalog_counters VALUES ('segment_version', 0);

CREATE TABLE moments (
  timeline INTEGER NOT NULL,
  lsn      INTEGER NOT NULL,
  end_lsn  INTEGER NOT NULL,
  kind     TEXT    NOT NULL,
  xid      INTEGER NOT NULL,
  time_us  INTEGER,
  name     TEXT    NOT NULL,
  detail   TEXT    NOT NULL,
  PRIMARY KEY (timeline, lsn)
) WITHOUT ROWID;
CREATE INDEX moments_by_kind ON moments (timeline, kind, lsn);
CREATE INDEX moments_restore_points ON moments (name) WHERE kind = 'restore_point';

CREATE TABLE gaps (
  timeline       INTEGER NOT NULL,
  from_lsn       INTEGER NOT NULL,
  to_lsn         INTEGER NOT NULL,
  reason         TEXT    NOT NULL,
  detected_at_us INTEGER NOT NULL,
  accepted       INTEGER NOT NULL,
  PRIMARY KEY (timeline, from_lsn)
) WITHOUT ROWID;

CREATE TABLE timelines (
  timeline         INTEGER PRIMARY KEY,
  history          TEXT    NOT NULL,
  history_captured INTEGER NOT NULL
);

CREATE TABLE watermarks (
  timeline INTEGER NOT NULL,
  lsn      INTEGER NOT NULL,
  time_us  INTEGER NOT NULL,
  PRIMARY KEY (timeline, lsn)
) WITHOUT ROWID;
CREATE INDEX watermarks_by_time ON watermarks (timeline, time_us, lsn);

CREATE TABLE backups (
  id                 TEXT    PRIMARY KEY,
  timeline           INTEGER NOT NULL,
  start_lsn          INTEGER NOT NULL,
  checkpoint_lsn     INTEGER NOT NULL,
  stop_lsn           INTEGER NOT NULL,
  started_at_us      INTEGER NOT NULL,
  finished_at_us     INTEGER NOT NULL,
  size_bytes         INTEGER NOT NULL,
  server_version_num INTEGER NOT NULL,
  tablespaces        TEXT    NOT NULL,  -- a JSON array of "<oid> <path on the primary>"
  problem            TEXT    NOT NULL
) WITHOUT ROWID;

CREATE TABLE restores (
  name           TEXT    PRIMARY KEY,
  directory      TEXT    NOT NULL,
  port           INTEGER NOT NULL,
  state          TEXT    NOT NULL,
  started_at_us  INTEGER NOT NULL,
  finished_at_us INTEGER,
  target         TEXT    NOT NULL,
  plan           TEXT    NOT NULL,
  proof          TEXT    NOT NULL,
  error          TEXT    NOT NULL
);

CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE VIEW wal_segments_text AS
SELECT timeline, segment, epoch, state,
       printf('%X/%X', start_lsn >> 32, start_lsn & 0xFFFFFFFF) AS start_lsn,
       printf('%X/%X', valid_end_lsn >> 32, valid_end_lsn & 0xFFFFFFFF) AS valid_end_lsn,
       size_bytes, records, commits, aborts,
       strftime('%Y-%m-%dT%H:%M:%S', first_time_us / 1000000, 'unixepoch')
         || printf('.%06dZ', first_time_us % 1000000) AS first_time,
       strftime('%Y-%m-%dT%H:%M:%S', last_time_us / 1000000, 'unixepoch')
         || printf('.%06dZ', last_time_us % 1000000) AS last_time,
       problem, superseded
FROM wal_segments ORDER BY timeline, number, epoch;

CREATE VIEW moments_text AS
SELECT timeline, printf('%X/%X', lsn >> 32, lsn & 0xFFFFFFFF) AS lsn, kind, xid,
       strftime('%Y-%m-%dT%H:%M:%S', time_us / 1000000, 'unixepoch')
         || printf('.%06dZ', time_us % 1000000) AS time,
       name, detail
FROM moments ORDER BY timeline, lsn;
)sql";

constexpr const char* kVerifiedSchema = R"sql(
CREATE TABLE verified_runs (          -- segments [first, last] of one epoch, read whole and right
  timeline       INTEGER NOT NULL,
  epoch          INTEGER NOT NULL,
  first          INTEGER NOT NULL,
  last           INTEGER NOT NULL,
  digest         INTEGER NOT NULL,
  verified_at_us INTEGER NOT NULL,
  PRIMARY KEY (timeline, epoch, first)
) WITHOUT ROWID;

CREATE TABLE verified_backups (
  id             TEXT    PRIMARY KEY,
  digest         INTEGER NOT NULL,
  verified_at_us INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE drills (
  started_at_us  INTEGER PRIMARY KEY,
  finished_at_us INTEGER,
  state          TEXT    NOT NULL,
  seed           INTEGER NOT NULL,
  target         TEXT    NOT NULL,
  directory      TEXT    NOT NULL,
  rto_us         INTEGER NOT NULL,
  base_bytes     INTEGER NOT NULL,
  wal_bytes      INTEGER NOT NULL,
  checks         TEXT    NOT NULL,
  error          TEXT    NOT NULL,
  kept           INTEGER NOT NULL
);
)sql";

constexpr const char* kExpiredSchema = R"sql(
CREATE TABLE expired_wal (            -- of each timeline everything below this was let go by retention
  timeline  INTEGER PRIMARY KEY,
  below     INTEGER NOT NULL,         -- a segment's number
  below_lsn INTEGER NOT NULL
);

CREATE TABLE expired_backups (        -- let go, their files perhaps not yet removed
  id        TEXT    PRIMARY KEY,
  start_lsn INTEGER NOT NULL
) WITHOUT ROWID;

DROP INDEX watermarks_by_time;        -- the one taken last is asked for, never a time
)sql";

/// Step n brings version n to n + 1. A step that has been released is never edited; a new one is added.
constexpr std::array kMigrations{kFirstSchema, kVerifiedSchema, kExpiredSchema};

/// The version; 0 for a new file.
Result<std::int64_t> known_version(Database& database) {
  // One statement, so one moment: between two, another process may write the first schema.
  Statement statement =
      TRY(database.statement("SELECT a.application_id, v.user_version, (SELECT count(*) FROM sqlite_schema) "
                             "FROM pragma_application_id AS a, pragma_user_version AS v"));
  if (!TRY(statement.step())) return 0;
  const std::int64_t application = statement.integer(0);
  const std::int64_t version = statement.integer(1);
  const std::int64_t tables = statement.integer(2);
  if (application != kApplicationId && (application != 0 || version != 0 || tables != 0)) {
    return fail(ErrorKind::conflict,
                fmt::format("{} is an SQLite database of another program", database.path().string()),
                "Correct `catalog:` in walback.yaml.");
  }
  if (version > newest_schema()) {
    return fail(
        ErrorKind::conflict,
        fmt::format("the catalog {} has schema {}, this walback knows up to {}", database.path().string(),
                    version, newest_schema()),
        "A newer walback wrote it: use that one, or let `walback reindex` build a catalog for this one.");
  }
  return version;
}

}  // namespace

std::int64_t newest_schema() {
  return kMigrations.size();
}

Status refuse_other_schema(Database& database) {
  TRY(known_version(database));
  return {};
}

Status migrate(Database& database) {
  if (TRY(known_version(database)) == newest_schema()) return {};
  return database.atomically([&]() -> Status {
    // Asked again behind the lock: two processes may have come to the same old file.
    const std::int64_t version = TRY(known_version(database));
    for (auto step = static_cast<std::size_t>(version); step < kMigrations.size(); ++step) {
      TRY(database.execute(kMigrations[step]));
      crash_point("catalog.migration_step");
    }
    TRY(database.execute(fmt::format("PRAGMA application_id = {}", kApplicationId).c_str()));
    return database.execute(fmt::format("PRAGMA user_version = {}", newest_schema()).c_str());
  });
}

Status require_newest_schema(Database& database) {
  const std::int64_t version = TRY(known_version(database));
  if (version == newest_schema()) return {};
  return fail(ErrorKind::conflict,
              fmt::format("the catalog {} has schema {}, this walback reads {}", database.path().string(),
                          version, newest_schema()),
              "Start this version's `walback manage`, or let `walback reindex` build another: both bring it "
              "up to date.");
}

}  // namespace walback
