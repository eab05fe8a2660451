#pragma once
#include "support/wal_builder.h"

namespace walback::test {

/// Some pages of WAL in which every kind of record occurs: what mutations start from. `first_filler` moves
/// all that follows, so that page borders fall elsewhere.
inline WalBuilder seed_wal(std::size_t first_filler, unsigned server_major) {
  WalBuilder wal({.server_major = server_major});
  wal.filler(first_filler);
  const Timestamp time{1'795'000'000'000'000};
  std::uint32_t xid = 700;
  for (int i = 0; i < 12; ++i) {
    wal.commit({.xid = xid++, .time = time});
    wal.commit({.xid = xid++,
                .time = time,
                .subxids = std::vector<std::uint32_t>(static_cast<std::size_t>(i) * 30, xid),
                .removed_files = {{1663, 5, 16384}},
                .dropped_relations = {{5, 16384}},
                .invalidations = 3,
                .has_origin = true});
    wal.abort({.xid = xid++, .time = time, .subxids = {xid}});
    wal.commit_prepared({.xid = xid++, .time = time, .gid = "transfer"});
    wal.restore_point("before lunch", time);
    wal.checkpoint({0x100028}, i % 2 == 0, time);
    wal.parameters({100, 8, 10, 0, 64, 1, false, false});
    wal.tablespace_created(16400, "/srv/fast");
    wal.database_dropped(16401);
    wal.filler(600);
  }
  wal.filler(9'000);
  wal.overwrite_contrecord(12'000, time);
  wal.commit({.xid = xid++, .time = time});
  return wal;
}

}  // namespace walback::test
