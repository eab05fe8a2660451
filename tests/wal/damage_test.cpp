#include <doctest/doctest.h>

#include "wal/reading.h"

using namespace walback;
using namespace walback::test;

namespace {

/// Three commits and a wide record; each test damages one thing.
struct Damage {
  WalBuilder wal;
  WrittenRecord first = wal.commit({.xid = 5, .time = at_second(1)});
  WrittenRecord second = wal.commit({.xid = 6, .time = at_second(2), .subxids = {7}});
  WrittenRecord wide = wal.filler(20'000);
  WrittenRecord last = wal.commit({.xid = 8, .time = at_second(3)});
  MemoryWal source = wal.source();

  [[nodiscard]] Reading read() { return read_all(wal, source); }
};

}  // namespace

TEST_CASE("damage: one flipped bit in a body, a checksum or a header stops before that record") {
  for (const std::uint64_t offset : {30U, 20U, 4U, 9U, 16U}) {
    Damage it;
    it.source.at(it.second.lsn + offset) ^= 0x10;
    const auto reading = it.read();
    CAPTURE(offset);
    CHECK(reading.starts() == std::vector<Lsn>{it.first.lsn});
    CHECK(reading.stop.kind == StopKind::invalid);
    CHECK(reading.stop.lsn == it.second.lsn);
    CHECK(reading.position == it.first.end_lsn);
  }
}

TEST_CASE("damage: a checksum is named with what the bytes have") {
  Damage it;
  it.source.at(it.second.lsn + 20) = 0;
  it.source.at(it.second.lsn + 21) = 0;
  it.source.at(it.second.lsn + 22) = 0;
  it.source.at(it.second.lsn + 23) = 0;
  const auto reason = it.read().stop.reason;
  CHECK(reason.starts_with("record at " + to_string(it.second.lsn) +
                           " carries checksum 00000000, its bytes have "));
}

TEST_CASE("damage: wrong back pointer, impossible length, unknown resource manager") {
  {
    Damage it;
    it.source.at(it.last.lsn + 8) ^= 0x40;
    CHECK(it.read().stop.reason.starts_with("record at " + to_string(it.last.lsn) +
                                            " says that the one before it begins at "));
  }
  {
    Damage it;
    it.source.at(it.second.lsn) = 23;
    CHECK(it.read().stop.reason ==
          "record at " + to_string(it.second.lsn) + " has length 23, expected 24 to 1069547520");
  }
  {
    Damage it;
    it.source.at(it.second.lsn + 3) = 0x7F;
    CHECK(it.read().stop.kind == StopKind::invalid);
  }
  {
    Damage it;
    it.source.at(it.second.lsn) = 0;
    CHECK(it.read().stop.reason ==
          "record at " + to_string(it.second.lsn) + " has length 0 in a header that is not zero");
  }
  {
    Damage it;
    it.source.at(it.second.lsn + 17) = 99;
    CHECK(it.read().stop.reason ==
          "record at " + to_string(it.second.lsn) + " names resource manager 99, which does not exist");
  }
}

TEST_CASE("damage: a page of another place, with another magic, with unknown flags, of zeroes") {
  const Lsn page{0x102000};
  {
    Damage it;
    it.source.at(page + 9) = 0x30;
    const auto reading = it.read();
    CHECK(reading.stop ==
          ReadStop{StopKind::invalid, it.wide.lsn, page, "page at 0/102000 carries address 0/103000"});
  }
  {
    Damage it;
    it.source.at(page) = 0x13;
    CHECK(it.read().stop.reason == "page at 0/102000 has magic D113, expected D110 as on the pages before");
  }
  {
    Damage it;
    it.source.at(page + 2) = 0x11;
    CHECK(it.read().stop.reason ==
          "page at 0/102000 has flags 0011, expected no long header and none unknown");
  }
  {
    Damage it;
    it.source.at(page + 16) ^= 1;
    CHECK(it.read().stop.reason.starts_with("page at 0/102000 continues a record with "));
  }
  {
    Damage it;
    for (std::uint64_t i = 0; i < kPageSize; ++i) it.source.at(page + i) = 0;
    CHECK(it.read().stop ==
          ReadStop{StopKind::zeroes, it.wide.lsn, page, "zeroes in place of the page at 0/102000"});
  }
}

TEST_CASE("damage: another cluster's segment, another segment size, another program's bytes") {
  Damage it;
  auto options = options_for(it.wal);
  options.system_identifier = 42;
  // Also when reading begins in the middle of the segment.
  for (const auto& from : {ReadFrom::boundary({0x100000}), ReadFrom::boundary(it.last.lsn)}) {
    const auto foreign = read_all(it.source, options, from);
    CHECK(foreign.stop.kind == StopKind::foreign_system);
    CHECK(foreign.stop.reason ==
          "segment at 0/100000 carries system identifier 7300000000000000001, expected 42");
    CHECK(foreign.records.empty());
  }
  it.source.at({0x100020 + 2}) = 0x20;
  CHECK(it.read().stop.reason ==
        "segment at 0/100000 says segments of 2097152 and pages of 8192 bytes, expected 1048576 and 8192");
  it.source.at({0x100000}) = 0x0D;
  const auto unknown = it.read();
  CHECK(unknown.stop.kind == StopKind::unknown_magic);
  CHECK(unknown.stop.reason ==
        "page at 0/100000 has magic D10D, expected that of PostgreSQL 15 to 18 (D110, D113, D116, D118)");
}

TEST_CASE("damage: a file cut off anywhere ends before the record that it cuts") {
  Damage it;
  const auto whole = it.read().records;
  for (std::size_t size = 0; size < (it.last.end_lsn - Lsn{0x100000}) + 64; size += 8) {
    auto cut = it.source;
    cut.segment({1}).resize(size);
    const auto reading = read_all(it.wal, cut);
    std::size_t expected = 0;
    while (expected < whole.size() && whole[expected].end_lsn.value - 0x100000 <= size) ++expected;
    CAPTURE(size);
    REQUIRE(reading.records.size() == expected);
    const bool all_there = expected == whole.size() && size > it.last.end_lsn.value - 0x100000;
    REQUIRE(reading.stop.kind == (all_there ? StopKind::zeroes : StopKind::end_of_bytes));
  }
}

TEST_CASE("damage: a good checksum over a body that announces more than it has") {
  WalBuilder wal;
  const std::string short_time(4, 't');
  const auto bad = wal.record(rmgr::transaction, transaction_op::commit, 5, short_time);
  const auto reading = read_all(wal);
  CHECK(reading.records.empty());
  CHECK(reading.stop.kind == StopKind::invalid);
  CHECK(reading.stop.reason ==
        "record at " + to_string(bad.lsn) +
            " is damaged: its 4 bytes of data (resource manager 1, info 00) are too short for "
            "what they announce");

  WalBuilder greedy;
  std::string body(8, 't');
  body.append("\x02\x00\x00\x00", 4);  // subtransactions follow
  body.append("\xFF\xFF\xFF\x7F", 4);  // two thousand million of them
  greedy.record(rmgr::transaction, transaction_op::commit | transaction_op::has_info, 5, body);
  CHECK(read_all(greedy).stop.kind == StopKind::invalid);
}

TEST_CASE("damage: a source that fails is neither an end nor damage") {
  class Failing : public WalSource {
    Result<std::span<const char>> bytes_from(Lsn) override {
      return fail(ErrorKind::internal, "cannot read 'x': Input/output error");
    }
  } source;
  const WalBuilder wal;
  RecordReader reader(source, options_for(wal), ReadFrom::boundary({0x100000}));
  CHECK(reader.next() == nullptr);
  CHECK(reader.next() == nullptr);
  CHECK(reader.stop().kind == StopKind::unreadable);
  CHECK(reader.source_error() == Error{ErrorKind::internal, "cannot read 'x': Input/output error", ""});
  const auto scan = scan_segment(source, request_for(wal, {1}));
  REQUIRE_FALSE(scan.has_value());
  CHECK(scan.error() == reader.source_error());
}
