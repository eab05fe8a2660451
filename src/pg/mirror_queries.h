#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/timestamp.h"
#include "pg/connection.h"
#include "wal/lsn.h"

/// `walback.wal_segments` on the primary: the index of the archive for people with psql. A copy that nothing
/// of ours reads back.
namespace walback {

struct MirroredSegment {
  std::uint32_t timeline = 0;
  std::string segment;  ///< its file name
  std::uint32_t epoch = 0;
  std::string state;
  Lsn start_lsn, valid_end_lsn;
  std::uint64_t size_bytes = 0, records = 0, commits = 0, aborts = 0;
  std::optional<Timestamp> first_time, last_time;
  std::string problem;
};

/// Files whose rows stay: those of one timeline from `first` to `last`, both included.
struct MirroredSpan {
  std::uint32_t timeline = 0;
  std::string first, last;
};

/// What is there now, for people who ask.
struct MirrorTable {
  bool present = false;
  std::string foreign_owner;  ///< a role that is neither ours nor a superuser, of schema or table; else empty
};
[[nodiscard]] Result<MirrorTable> mirror_table(Connection& connection);

/// Hears the transaction's xid before it commits, so that its commit record can be told from other people's
/// even when we die right after it, and answers with the newest xids of this mirror, for those beside it. An
/// error rolls the transaction back.
using AnnounceXid = std::function<Result<std::string>(std::uint64_t xid)>;

struct MirrorRound {
  std::string slot;  ///< tells one walback's rows from another's on the same primary
  std::vector<MirroredSegment> segments;
  std::optional<std::vector<MirroredSpan>> kept;  ///< with it, rows of other segments than those go
  AnnounceXid announce;
};

/// Upserts the rows in one transaction; makes schema and tables where they are missing. Rows that are the
/// same already are not written again; other slots' rows are never touched.
///
/// `config` where the role may not create them, and `conflict` where somebody who is neither this role nor a
/// superuser owns what has their name: a trigger of theirs would run with our rights.
[[nodiscard]] Status mirror_segments(Connection& connection, const MirrorRound& round);

/// The newest transactions of every other walback's mirror on this primary, each as its AnnounceXid answered.
[[nodiscard]] Result<std::vector<std::string>> other_mirrors_xids(Connection& connection,
                                                                  const std::string& slot);

}  // namespace walback
