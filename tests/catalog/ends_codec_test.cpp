#include "catalog/ends_codec.h"

#include <random>

#include "base/crc32c.h"
#include "catalog_fixture.h"

namespace walback {
namespace {

using namespace catalog_test;

/// What 8 pgbench clients leave: a commit every 60 us or so, xids nearly in order, now and then a page
/// border.
std::vector<TransactionEnd> like_pgbench(std::size_t count) {
  Dice dice(20261120);
  std::vector<TransactionEnd> ends;
  Lsn lsn{0x3F2A000028};
  std::int64_t time = 0;
  for (std::size_t i = 0; i < count; ++i) {
    lsn = lsn + 8 * (40 + dice() % 60);
    time += 20 + dice() % 90 - (dice() % 200 == 0 ? 120 : 0);
    auto end = end_at(lsn, time, static_cast<std::uint32_t>(1000 + i + dice() % 4));
    end.end_lsn = lsn + (dice() % 50 == 0 ? 72 : 48);
    ends.push_back(end);
    lsn = end.end_lsn;
  }
  return ends;
}

std::vector<TransactionEnd> of_every_kind() {
  auto commit = end_at({0x1000028}, 0, 733);
  commit.subxids = {734, 735, 900, 740};
  commit.removed_files = {{1663, 5, 16384}, {1663, 5, 16388}, {1664, 0, UINT32_MAX}};
  commit.dropped_relations = {{5, 16384}, {0, 1262}};
  auto abort = end_at({0x1000100}, -5, 740, TransactionEndKind::abort);
  abort.subxids = {741};
  auto prepared = end_at({0x1000200}, 1, 3, TransactionEndKind::commit_prepared);
  prepared.dropped_relations = {{1, 2}};
  return {commit, abort, prepared, end_at({0x1000300}, 1, UINT32_MAX, TransactionEndKind::abort_prepared)};
}

TEST_CASE("ends codec: every kind and list makes the round trip") {
  CHECK(value(decode_ends(encode_ends(of_every_kind()))) == of_every_kind());
  CHECK(value(decode_ends(encode_ends({}))).empty());
  CHECK(value(decode_ends(encode_ends(like_pgbench(5000)))) == like_pgbench(5000));
}

TEST_CASE("ends codec: any values make the round trip, sorted or not, aligned or not") {
  std::mt19937_64 dice(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<TransactionEnd> ends(1 + dice() % 20);
    for (TransactionEnd& end : ends) {
      const std::uint64_t mask = round % 2 == 0 ? ~std::uint64_t{7} : ~std::uint64_t{0};
      end.lsn = {dice() & mask};
      end.end_lsn = {dice() & mask};
      end.time = {static_cast<std::int64_t>(dice())};
      end.xid = static_cast<std::uint32_t>(dice());
      end.kind = static_cast<TransactionEndKind>(dice() % 4);
      end.subxids.resize(dice() % 3, static_cast<std::uint32_t>(dice()));
    }
    REQUIRE(value(decode_ends(encode_ends(ends))) == ends);
  }
}

TEST_CASE("ends codec: a pgbench-like commit costs at most 5 bytes") {
  const auto ends = like_pgbench(4096);
  const double bytes = static_cast<double>(encode_ends(ends).size()) / static_cast<double>(ends.size());
  MESSAGE("bytes per commit: ", bytes);
  CHECK(bytes < 5.0);
}

TEST_CASE("ends codec: a visit may stop") {
  int seen = 0;
  value(decode_ends(encode_ends(like_pgbench(100)), [&](TransactionEnd&&) { return ++seen < 3; }));
  CHECK(seen == 3);
}

TEST_CASE("ends codec: damage is corrupt, with what was found") {
  const std::string blob = encode_ends(of_every_kind());
  CHECK(decode_ends("").error() ==
        Error{ErrorKind::corrupt, "stored transaction ends are damaged: 0 bytes are too few", ""});
  std::string newer = blob;
  newer[0] = 2;
  CHECK(decode_ends(newer).error().message == "stored transaction ends are damaged: format 2, expected 1");
  for (std::size_t i = 1; i < blob.size(); ++i) {
    std::string damaged = blob;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    REQUIRE_FALSE(decode_ends(damaged));
    REQUIRE_FALSE(decode_ends(blob.substr(0, i)));
  }
}

/// Garbage behind a good checksum: what a defect of ours would write, or somebody on purpose.
std::string framed(std::string body) {
  const std::uint32_t checksum = crc32c(body);
  for (unsigned i = 0; i < 4; ++i) body += static_cast<char>(checksum >> (8 * i) & 0xFF);
  return body;
}

TEST_CASE("ends codec: garbage with a right checksum neither crashes nor allocates") {
  CHECK(decode_ends(framed(std::string("\x01\x03\x05", 3))).error().message ==
        "stored transaction ends are damaged: a number does not fit");
  CHECK(decode_ends(framed(std::string("\x01\x03\x00zz", 5))).error().message ==
        "stored transaction ends are damaged: 2 bytes too many");
  CHECK(decode_ends(framed(std::string("\x01\x02\x00", 3))).error().message ==
        "stored transaction ends are damaged: shift 2");
  // One end that promises 2^60 subtransactions.
  CHECK_FALSE(decode_ends(
      framed(std::string("\x01\x03\x01\x44\x01\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\x0f", 16))));
  Dice dice(3);
  for (int round = 0; round < 20'000; ++round) {
    std::string body("\x01\x03", 2);
    for (unsigned i = dice() % 60 + 1; i > 0; --i) body += static_cast<char>(dice());
    static_cast<void>(decode_ends(framed(body)));
  }
}

}  // namespace
}  // namespace walback
