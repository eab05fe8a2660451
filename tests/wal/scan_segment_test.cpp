#include "wal/scan_segment.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "wal/reading.h"

using namespace walback;
using namespace walback::test;

namespace {

SegmentScan scan(WalSource& source, const SegmentScanRequest& request) {
  auto result = scan_segment(source, request);
  REQUIRE(result.has_value());
  return *result;
}

std::vector<Lsn> commits_of(const SegmentScan& scan) {
  std::vector<Lsn> lsns;
  for (const auto& end : scan.ends) lsns.push_back(end.lsn);
  return lsns;
}

/// Some segments whose borders fall at every place of a record, and one record over two borders.
WalBuilder crossing_wal() {
  WalBuilder wal;
  std::uint32_t xid = 1'000;
  for (std::uint64_t border = 2; border < 9; ++border) {
    wal.commit({.xid = xid++, .time = at_second(xid)});
    wal.fill_to({(border << 20) - 8 * (border + 2)});
    wal.commit({.xid = xid++, .time = at_second(xid), .subxids = {xid++, xid++, xid++, xid++}});
  }
  wal.filler(2'500'000);
  wal.commit({.xid = xid++, .time = at_second(xid)});
  return wal;
}

}  // namespace

TEST_CASE("scan: each segment by itself, and one behind the other, find every record exactly once") {
  const auto wal = crossing_wal();
  const auto whole = read_all(wal);
  auto source = wal.source();
  auto names = wal.segments();
  std::vector<TransactionEnd> alone, chained;
  std::uint64_t alone_records = 0, chained_records = 0;
  std::optional<Lsn> resume{{wal.size().bytes()}}, previous;
  for (const auto& name : names) {
    CAPTURE(name.number.value);
    auto request = request_for(wal, name.number);
    const auto by_itself = scan(source, request);
    CHECK_FALSE(by_itself.headless_end.has_value());
    request.resume_at = resume;
    request.previous_record = previous;
    const auto resumed = scan(source, request);
    CHECK(by_itself.records == resumed.records);
    CHECK(skip_page_header(by_itself.valid_end_lsn, wal.size()) ==
          skip_page_header(resumed.valid_end_lsn, wal.size()));
    CHECK(by_itself.first_record_lsn == resumed.first_record_lsn);
    CHECK(by_itself.last_record_lsn == resumed.last_record_lsn);
    CHECK(resumed.complete() == (name != names.back()));
    CHECK_FALSE(resumed.wal_behind_stop.has_value());
    alone.insert(alone.end(), by_itself.ends.begin(), by_itself.ends.end());
    chained.insert(chained.end(), resumed.ends.begin(), resumed.ends.end());
    alone_records += by_itself.records;
    chained_records += resumed.records;
    resume = resumed.valid_end_lsn;
    if (resumed.last_record_lsn) previous = resumed.last_record_lsn;
  }
  CHECK(alone == whole.ends);
  CHECK(chained == whole.ends);
  CHECK(alone_records == whole.records.size());
  CHECK(chained_records == whole.records.size());
}

TEST_CASE("scan: the figures of a segment") {
  WalBuilder wal;
  const auto first = wal.commit({.xid = 10, .time = at_second(20), .subxids = {4, 12}});
  wal.abort({.xid = 11, .time = at_second(5)});
  wal.restore_point("here", at_second(21));
  const auto last = wal.commit({.xid = 9, .time = at_second(19)});
  auto source = wal.source();
  const auto found = scan(source, request_for(wal, {1}));
  CHECK(found.first_record_lsn == first.lsn);
  CHECK(found.last_record_lsn == last.lsn);
  CHECK(found.valid_end_lsn == last.end_lsn);
  CHECK(found.records == 4);
  CHECK(found.commits == 2);
  CHECK(found.aborts == 1);
  CHECK(found.first_time == at_second(20));
  CHECK(found.last_time == at_second(19));
  CHECK(found.min_time == at_second(5));
  CHECK(found.max_time == at_second(20));
  CHECK(found.min_xid == 4U);
  CHECK(found.max_xid == 12U);
  CHECK(found.ends.size() == 3);
  CHECK(found.events.size() == 1);
  CHECK(found.server_major == 15);
  CHECK(found.stop.kind == StopKind::zeroes);
}

TEST_CASE("scan: a growing segment read in steps equals one read at once, wherever the steps fall") {
  WalBuilder wal;
  std::uint32_t xid = 1;
  while (wal.next_lsn() < Lsn{0x10C000}) {
    wal.commit({.xid = xid++, .time = at_second(1000 - xid), .subxids = {xid++}});
    wal.filler(285 + (xid * 131) % 9'000);
  }
  const auto bytes = wal.segment(SegmentNumber{1});
  auto whole_source = wal.source();
  const auto whole = scan(whole_source, request_for(wal, {1}));

  std::optional<SegmentScan> grown;
  MemoryWal source(wal.size());
  for (std::size_t size = 0; size <= 0xE000; size += 1'111) {
    // As pg_receivewal leaves a `.partial`: full size, zeroes behind what has arrived.
    std::string partial = bytes.substr(0, size);
    partial.resize(bytes.size());
    source.set({1}, partial);
    auto request = request_for(wal, {1});
    if (grown) {
      request.resume_at = grown->valid_end_lsn;
      request.previous_record = grown->last_record_lsn;
    }
    auto more = scan(source, request);
    CAPTURE(size);
    REQUIRE_FALSE(more.wal_behind_stop.has_value());
    if (grown) {
      append(*grown, std::move(more));
    } else {
      grown = std::move(more);
    }
  }
  CHECK(*grown == whole);
}

TEST_CASE("scan: damage in the middle is told from the end") {
  WalBuilder wal;
  const auto first = wal.commit({.xid = 1, .time = at_second(1)});
  const auto second = wal.commit({.xid = 2, .time = at_second(2)});
  for (int i = 0; i < 20; ++i) wal.filler(5'000);
  wal.commit({.xid = 3, .time = at_second(3)});
  {
    auto source = wal.source();
    source.at(second.lsn + 20) ^= 1;
    const auto found = scan(source, request_for(wal, {1}));
    CHECK(found.valid_end_lsn == first.end_lsn);
    CHECK(found.stop.kind == StopKind::invalid);
    CHECK(found.wal_behind_stop == Lsn{0x102000});
  }
  {
    // A hole of zeroes inside a page.
    auto source = wal.source();
    for (std::uint64_t i = 0; i < 40; ++i) source.at(second.lsn + i) = 0;
    const auto found = scan(source, request_for(wal, {1}));
    CHECK(found.stop.kind == StopKind::zeroes);
    CHECK(found.wal_behind_stop.value() > second.lsn);
    CHECK(found.wal_behind_stop.value() < Lsn{0x102000});
  }
  {
    // A page lost.
    auto source = wal.source();
    for (std::uint64_t i = 0; i < kPageSize; ++i) source.at({0x104000 + i}) = 0;
    const auto found = scan(source, request_for(wal, {1}));
    CHECK(found.stop.kind == StopKind::zeroes);
    CHECK(found.wal_behind_stop == Lsn{0x106000});
  }
  {
    auto source = wal.source();
    const auto found = scan(source, request_for(wal, {1}));
    CHECK(found.stop.kind == StopKind::zeroes);
    CHECK_FALSE(found.wal_behind_stop.has_value());
  }
}

TEST_CASE("scan: a segment whose predecessor is missing says that a record's beginning is not there") {
  WalBuilder wal;
  wal.commit({.xid = 1, .time = at_second(1)});
  wal.fill_to({0x1FFFF0});
  const auto crossing = wal.commit({.xid = 2, .time = at_second(2)});
  const auto inside = wal.commit({.xid = 3, .time = at_second(3)});
  auto source = wal.source();
  source.erase({1});
  const auto found = scan(source, request_for(wal, {2}));
  CHECK(found.headless_end == crossing.end_lsn);
  CHECK(commits_of(found) == std::vector<Lsn>{inside.lsn});

  // The predecessor is there, and damaged where the record begins.
  source = wal.source();
  source.at(crossing.lsn + 4) ^= 1;
  const auto damaged = scan(source, request_for(wal, {2}));
  CHECK(damaged.headless_end == crossing.end_lsn);
  CHECK(commits_of(damaged) == std::vector<Lsn>{inside.lsn});
}

TEST_CASE("scan: a segment that ends with a switch is complete, the next begins at its header") {
  WalBuilder wal;
  wal.commit({.xid = 1, .time = at_second(1)});
  const auto change = wal.switch_segment();
  const auto next = wal.commit({.xid = 2, .time = at_second(2)});
  auto source = wal.source();
  const auto first = scan(source, request_for(wal, {1}));
  CHECK(first.complete());
  CHECK(first.last_record_lsn == change.lsn);
  CHECK(first.valid_end_lsn == Lsn{0x200000});
  CHECK(commits_of(scan(source, request_for(wal, {2}))) == std::vector<Lsn>{next.lsn});
}

TEST_CASE("scan: the record that a crash gave up across a border is reported with its successor") {
  WalBuilder wal;
  const auto before = wal.commit({.xid = 1, .time = at_second(1)});
  wal.fill_to({0x1FFF00});
  const auto overwrite = wal.overwrite_contrecord(50'000, at_second(2));
  const auto after = wal.commit({.xid = 2, .time = at_second(3)});
  CHECK(overwrite.lsn == Lsn{0x200028});
  auto source = wal.source();
  const auto first = scan(source, request_for(wal, {1}));
  CHECK(first.valid_end_lsn == Lsn{0x1FFF00});
  CHECK(first.complete());
  auto request = request_for(wal, {2});
  const auto alone = scan(source, request);
  request.resume_at = first.valid_end_lsn;
  request.previous_record = first.last_record_lsn;
  const auto resumed = scan(source, request);
  for (const auto& second : {alone, resumed}) {
    CHECK(second.given_up == std::vector<SegmentScan::GivenUp>{{{0x1FFF00}, overwrite.lsn}});
    CHECK(commits_of(second) == std::vector<Lsn>{after.lsn});
  }
  CHECK(commits_of(first) == std::vector<Lsn>{before.lsn});
}

TEST_CASE("scan: a segment in the middle of one record says where reading goes on") {
  WalBuilder wal;
  const auto before = wal.commit({.xid = 1, .time = at_second(1)});
  const auto wide = wal.filler(3'500'000);
  const auto after = wal.commit({.xid = 2, .time = at_second(2)});
  CHECK(wide.lsn == before.end_lsn);
  auto source = wal.source();
  for (const std::uint64_t number : {2U, 3U}) {
    const auto found = scan(source, request_for(wal, {number}));
    CHECK(found.records == 0);
    CHECK(found.complete());
    CHECK(found.valid_end_lsn == wide.lsn);
  }
  CHECK(commits_of(scan(source, request_for(wal, {4}))) == std::vector<Lsn>{after.lsn});
}
