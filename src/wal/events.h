#pragma once
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/timestamp.h"
#include "wal/lsn.h"
#include "wal/segment_name.h"

/// What the record reader yields besides plain records: the facts in the WAL that a plan, a proof or a person
/// asks for. All are values. `lsn` is always the record's START, `end_lsn` the end of its last byte rounded
/// up to 8 (PostgreSQL's EndRecPtr; for a segment switch the end of the segment).
namespace walback {

enum class TransactionEndKind : std::uint8_t { commit, abort, commit_prepared, abort_prepared };
[[nodiscard]] constexpr bool is_commit(TransactionEndKind kind) {
  return kind == TransactionEndKind::commit || kind == TransactionEndKind::commit_prepared;
}

/// A relation's files, as a commit record names those it removes.
struct RelationFiles {
  std::uint32_t tablespace = 0, database = 0, relfilenode = 0;
  auto operator<=>(const RelationFiles&) const = default;
};
/// A relation (by OID) whose statistics the commit removes: it was dropped, not rewritten or truncated.
struct DroppedRelation {
  std::uint32_t database = 0, oid = 0;
  auto operator<=>(const DroppedRelation&) const = default;
};

/// A commit or abort record: the only records that carry a transaction's end, and with its time.
struct TransactionEnd {
  Lsn lsn, end_lsn;
  Timestamp time;
  std::uint32_t xid = 0;  ///< top-level; of a prepared transaction, the prepared one
  TransactionEndKind kind = TransactionEndKind::commit;
  std::vector<std::uint32_t> subxids;
  std::vector<RelationFiles> removed_files;
  std::vector<DroppedRelation> dropped_relations;
  bool operator==(const TransactionEnd&) const = default;
};

struct RestorePointSet {
  Timestamp time;
  std::string name;
  bool operator==(const RestorePointSet&) const = default;
};
struct CheckpointDone {
  Lsn redo;
  TimelineId timeline, previous_timeline;
  bool shutdown = false;
  bool operator==(const CheckpointDone&) const = default;
};
/// Settings that a hot standby must not fall below; each change of them on the primary is WAL-logged.
struct ParametersChanged {
  std::int32_t max_connections = 0, max_worker_processes = 0, max_wal_senders = 0,
               max_prepared_transactions = 0, max_locks_per_transaction = 0, wal_level = 0;
  bool wal_log_hints = false, track_commit_timestamp = false;
  bool operator==(const ParametersChanged&) const = default;
};
struct TablespaceCreated {
  std::uint32_t oid = 0;
  std::string path;
  bool operator==(const TablespaceCreated&) const = default;
};
struct TablespaceDropped {
  std::uint32_t oid = 0;
  bool operator==(const TablespaceDropped&) const = default;
};
struct DatabaseDropped {
  std::uint32_t oid = 0;
  bool operator==(const DatabaseDropped&) const = default;
};
/// The record with which a new timeline begins (end of recovery, or a shutdown checkpoint that changes it).
struct TimelineSwitched {
  TimelineId timeline, previous_timeline;
  Timestamp time;
  bool operator==(const TimelineSwitched&) const = default;
};
/// The end of a base backup; `start_lsn` is the backup's start.
struct BackupEnded {
  Lsn start_lsn;
  bool operator==(const BackupEnded&) const = default;
};

/// Everything rarer than a transaction's end.
struct Event {
  Lsn lsn, end_lsn;
  std::uint32_t xid = 0;
  std::variant<RestorePointSet, CheckpointDone, ParametersChanged, TablespaceCreated, TablespaceDropped,
               DatabaseDropped, TimelineSwitched, BackupEnded>
      what;
  bool operator==(const Event&) const = default;
};

}  // namespace walback
