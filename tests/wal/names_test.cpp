#include <doctest/doctest.h>

#include <initializer_list>

#include "wal/lsn.h"
#include "wal/page.h"
#include "wal/segment_name.h"

using namespace walback;

namespace {
constexpr unsigned long long kMegabyte = 1ULL << 20;
SegmentSize megabytes(std::uint64_t count) {
  return *SegmentSize::from_bytes(count * kMegabyte);
}
}  // namespace

TEST_CASE("segment size: powers of two from 1 MB to 1 GB") {
  for (const std::uint64_t size : {1ULL, 2ULL, 16ULL, 64ULL, 1024ULL}) {
    CHECK(SegmentSize::from_bytes(size * kMegabyte).has_value());
  }
  for (const std::uint64_t bytes :
       {0ULL, 1ULL, kMegabyte / 2, 3 * kMegabyte, 2048 * kMegabyte, kMegabyte + 1}) {
    CHECK_FALSE(SegmentSize::from_bytes(bytes).has_value());
  }
}

TEST_CASE("segment name: the arithmetic of 16 MB, 1 MB and 1 GB segments") {
  const Lsn lsn = *parse_lsn("3F/2A123456");
  const auto name = [&](SegmentSize size) { return file_name({{1}, segment_of(lsn, size)}, size); };
  CHECK(name(megabytes(16)) == "000000010000003F0000002A");
  CHECK(name(megabytes(1)) == "000000010000003F000002A1");
  CHECK(name(megabytes(1024)) == "000000010000003F00000000");
  const auto size = megabytes(16);
  // A border belongs to the segment that begins there; a record that ends there belongs to the one before.
  CHECK(segment_of(*parse_lsn("3F/2B000000"), size) == SegmentNumber{0x3F2B});
  CHECK(segment_ending_at(*parse_lsn("3F/2B000000"), size) == SegmentNumber{0x3F2A});
  CHECK(start_of({0x3F2B}, size) == *parse_lsn("3F/2B000000"));
  CHECK(partial_file_name({{0xAB}, {0x100}}, size) == "000000AB0000000100000000.partial");
  CHECK(history_file_name({0x1A}) == "0000001A.history");
}

TEST_CASE("segment name: what is written is read back, and nothing else is") {
  const auto size = megabytes(16);
  for (const std::uint64_t number : {0ULL, 1ULL, 0xFFULL, 0x100ULL, 0x3F2AULL, 0xFFFFFFFFFFULL}) {
    const SegmentName name{{0xC0FFEE}, {number}};
    CHECK(parse_wal_file_name(file_name(name, size), size) ==
          WalFileName{WalFileKind::segment, name.timeline, name.number});
    CHECK(parse_wal_file_name(partial_file_name(name, size), size) ==
          WalFileName{WalFileKind::partial, name.timeline, name.number});
  }
  CHECK(parse_wal_file_name("00000002.history", size) == WalFileName{WalFileKind::history, {2}, {}});
  for (const char* name : {"", "0", "00000001", "000000010000003F0000002", "000000010000003F0000002a",
                           "000000010000003f0000002A", "000000010000003F00000100", "000000000000003F0000002A",
                           "000000010000003F0000002A.gz", "000000010000003F0000002A.partial.tmp",
                           "000000010000003F0000002A.Partial", "00000000.history", "0000001a.history",
                           "00000002.HISTORY", "0000002.history", "000000010000003F0000002A.00000028.backup",
                           "+00000010000003F0000002A", "000000010000003F-000002A", "archive_status"}) {
    CAPTURE(name);
    CHECK_FALSE(parse_wal_file_name(name, size).has_value());
  }
}

TEST_CASE("page header: a page's first byte stands for the first record byte behind it") {
  const auto size = megabytes(1);
  const auto skipped = [&](const char* lsn) { return to_string(skip_page_header(*parse_lsn(lsn), size)); };
  CHECK(skipped("0/E000000") == "0/E000028");
  CHECK(skipped("0/E002000") == "0/E002018");
  CHECK(skipped("0/E002018") == "0/E002018");
  CHECK(skipped("0/E001FF8") == "0/E001FF8");
}

TEST_CASE("lsn: as pg_lsn reads and writes it") {
  CHECK(parse_lsn("16/B374D848") == Lsn{0x16B374D848});
  CHECK(parse_lsn("0/0") == Lsn{0});
  CHECK(parse_lsn("FFFFFFFF/ffffffff") == Lsn{~std::uint64_t{0}});
  CHECK(to_string(Lsn{0x16B374D848}) == "16/B374D848");
  for (const char* text :
       {"", "/", "0/", "/0", "0", "0/0/0", "123456789/0", "0/123456789", " 0/0", "0/ 0", "x/0"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_lsn(text).has_value());
  }
}
