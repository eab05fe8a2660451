#include "capture/held_end.h"

#include <doctest/doctest.h>

#include "support/memory_file_system.h"
#include "support/wal_builder.h"

using namespace walback;
using namespace walback::test;

TEST_CASE("held end: behind the last valid record of the open segment, without one where it begins") {
  WalBuilder wal;
  const ArchiveIdentity identity{WalBuilderOptions{}.system_identifier, wal.size()};
  for (std::uint32_t xid = 100; xid < 200; ++xid) wal.commit({.xid = xid, .time = {}});
  const SegmentName name = wal.segments().back();
  const ResumePoint resume{name.timeline, start_of(name.number, wal.size())};
  MemoryFileSystem files;
  const Path epoch = "/archive/wal/0001";
  REQUIRE(files.create_directories(epoch));
  CHECK(held_end(files, epoch, identity, resume) == resume.lsn);
  REQUIRE(files.write(epoch / (file_name(name, wal.size()) + ".partial"), wal.segment(name)));
  CHECK(held_end(files, epoch, identity, resume) == wal.end_lsn());
  CHECK(held_end(files, epoch, {1, wal.size()}, resume) == resume.lsn);
}
