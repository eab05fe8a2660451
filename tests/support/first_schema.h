#pragma once

/// A catalog as the first released schema made it, with rows: what a newer walback must be able to take over.
/// Never edited again.
namespace walback::test {

inline constexpr const char* kFirstSchema = R"sql(
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

inline constexpr const char* kFirstRows = R"sql(
INSERT INTO wal_segments VALUES (1, 1, '000000010000000000000003', 3, 1, 'finished', 50331648, 67108864, 50331688,
  67108800, 16777216, 1795176000123456789, 3735928559, 17, 2, 1, 1795176000000001, 1795176000000003,
  1795176000000001, 1795176000000003, 700, 702, 50331700, 50331900, '', 0, 1);
INSERT INTO wal_segments VALUES (2, 1, '000000010000000000000004', 4, 1, 'open', 67108864, 67109000, NULL, NULL,
  16777216, 0, NULL, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'damaged at 0/4000088: bad CRC', 0, 2);
INSERT INTO segment_blocks VALUES (1, 0, 1795176000000001, 1795176000000003, 700, 702);
UPDATE catalog_counters SET value = 2;
INSERT INTO moments VALUES (1, 50331700, 50331800, 'restore_point', 0, 1795176000000002, 'before', '{}');
INSERT INTO gaps VALUES (1, 33554432, 50331648, 'missing: segment 000000010000000000000002', 1795176000000009, 1);
INSERT INTO timelines VALUES (1, '', 0);
INSERT INTO watermarks VALUES (1, 50332000, 1795176000000007);
INSERT INTO backups VALUES ('20261120T120000Z', 1, 50331688, 50331744, 50332000, 1795176000000000, 1795176001000000,
  23000000, 150020, '[]', '');
INSERT INTO restores VALUES ('copy', '/somewhere/copy', 15432, 'complete', 1795176000000000, 1795176009000000,
  'latest', '{}', '{}', '');
INSERT INTO facts VALUES ('filled_from_archive', '1');
)sql";

/// "WALB", and the version.
inline constexpr const char* kFirstMarks = "PRAGMA application_id = 1463897154; PRAGMA user_version = 1";

}  // namespace walback::test
