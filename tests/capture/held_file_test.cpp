#include "capture/held_file.h"

#include <doctest/doctest.h>

#include "support/memory_file_system.h"

using namespace walback;

TEST_CASE("held file: a file that was deleted under pg_receivewal is missed at the second look") {
  const SegmentSize size = *SegmentSize::from_bytes(1U << 20);
  MemoryFileSystem files;
  const Path epoch = "/archive/wal/0001";
  const Path partial = epoch / "000000010000000000000005.partial";
  REQUIRE(files.create_directories(epoch));
  REQUIRE(files.write(partial, "x"));
  HeldFile held;
  const auto missed = [&](std::uint64_t write_lsn, std::uint32_t timeline = 1) {
    const auto found = held.missed(files, epoch, {timeline}, Lsn{write_lsn}, size);
    REQUIRE(found);
    return found->value_or("");
  };
  CHECK(missed(0x500148) == "");
  CHECK(missed(0x500148) == "");
  // On the segment's border the next file is not made yet.
  CHECK(missed(0x600000) == "");
  CHECK(missed(0x600000) == "");
  // Around a timeline switch it may still bear the old name.
  CHECK(missed(0x500148, 2) == "");
  CHECK(missed(0x500148, 2) == "");
  REQUIRE(files.rename(partial, epoch / "000000010000000000000005"));
  CHECK(missed(0x500148) == "");
  REQUIRE(files.remove(epoch / "000000010000000000000005"));
  CHECK(missed(0x500148) == "");
  CHECK(missed(0x500148) == "000000010000000000000005.partial");
  REQUIRE(files.remove_tree("/archive/wal"));
  CHECK(missed(0x500148) == "");
  CHECK(missed(0x500148) == "000000010000000000000005.partial");
}
