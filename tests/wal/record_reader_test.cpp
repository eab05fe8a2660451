#include "wal/record_reader.h"

#include <doctest/doctest.h>

#include "wal/reading.h"

using namespace walback;
using namespace walback::test;

TEST_CASE("record reader: what transactions say is read back") {
  for (const unsigned major : {15U, 16U, 17U, 18U}) {
    CAPTURE(major);
    WalBuilder wal({.server_major = major});
    const auto plain = wal.commit({.xid = 700, .time = at_second(10)});
    const TransactionSpec rich{.xid = 701,
                               .time = at_second(9),
                               .subxids = {702, 703},
                               .removed_files = {{1663, 5, 16384}, {1663, 5, 16390}},
                               .dropped_relations = {{5, 16384}},
                               .invalidations = 7,
                               .has_origin = true};
    const auto drop = wal.commit(rich);
    const auto abort = wal.abort({.xid = 704, .time = at_second(11), .subxids = {705}});
    const auto prepared = wal.commit_prepared({.xid = 650, .time = at_second(12), .gid = "transfer 17"});
    const auto undone = wal.abort_prepared({.xid = 651, .time = at_second(13)});

    const auto reading = read_all(wal);
    using Kind = TransactionEndKind;
    const std::vector<TransactionEnd> expected{
        {plain.lsn, plain.end_lsn, at_second(10), 700, Kind::commit, {}, {}, {}},
        {drop.lsn, drop.end_lsn, at_second(9), 701, Kind::commit, rich.subxids, rich.removed_files,
         rich.dropped_relations},
        {abort.lsn, abort.end_lsn, at_second(11), 704, Kind::abort, {705}, {}, {}},
        {prepared.lsn, prepared.end_lsn, at_second(12), 650, Kind::commit_prepared, {}, {}, {}},
        {undone.lsn, undone.end_lsn, at_second(13), 651, Kind::abort_prepared, {}, {}, {}}};
    CHECK(reading.ends == expected);
    CHECK(reading.server_major == major);
    CHECK(reading.stop == ReadStop{StopKind::zeroes, undone.end_lsn, page_of(undone.end_lsn) + kPageSize,
                                   "zeroes at " + to_string(undone.end_lsn)});
    CHECK(reading.position == undone.end_lsn);
  }
}

TEST_CASE("record reader: every event is read back") {
  WalBuilder wal;
  const ParametersChanged parameters{200, 8, 10, 5, 64, 1, true, true};
  std::vector<WrittenRecord> at;
  at.push_back(wal.restore_point("before lunch", at_second(1)));
  at.push_back(wal.checkpoint({0x100028}, false));
  at.push_back(wal.checkpoint({0x100028}, true));
  at.push_back(wal.parameters(parameters));
  at.push_back(wal.tablespace_created(16400, "/srv/fast"));
  at.push_back(wal.tablespace_dropped(16400));
  at.push_back(wal.database_dropped(16401));
  at.push_back(wal.backup_end({0x100028}));
  at.push_back(wal.switch_timeline({2}, at_second(2)));
  std::vector<decltype(Event::what)> what{RestorePointSet{at_second(1), "before lunch"},
                                          CheckpointDone{{0x100028}, {1}, {1}, false},
                                          CheckpointDone{{0x100028}, {1}, {1}, true},
                                          parameters,
                                          TablespaceCreated{16400, "/srv/fast"},
                                          TablespaceDropped{16400},
                                          DatabaseDropped{16401},
                                          BackupEnded{{0x100028}},
                                          TimelineSwitched{{2}, {1}, at_second(2)}};
  const auto reading = read_all(wal);
  REQUIRE(reading.events.size() == what.size());
  for (std::size_t i = 0; i < what.size(); ++i) {
    CAPTURE(i);
    CHECK(reading.events[i] == Event{at[i].lsn, at[i].end_lsn, 0, what[i]});
  }
}

TEST_CASE("record reader: records of every size across pages and segments, in chunks of any size") {
  WalBuilder wal;
  std::vector<WrittenRecord> written;
  std::size_t size = 27;
  for (int i = 0; i < 900; ++i) {
    written.push_back(wal.filler(size));
    size = size < 281 ? size + 1 : 285 + (size * 7919) % 9000;
  }
  written.push_back(wal.filler(3'000'000));  // over three borders of 1 MB segments
  written.push_back(
      wal.commit({.xid = 9, .time = at_second(5), .subxids = std::vector<std::uint32_t>(5'000, 10)}));
  for (const std::size_t chunk : {std::size_t{8'192}, std::size_t{65'536}, ~std::size_t{0}}) {
    auto source = wal.source();
    source.limit_chunks_to(chunk);
    const auto reading = read_all(wal, source);
    REQUIRE(reading.records.size() == written.size());
    for (std::size_t i = 0; i < written.size(); ++i) {
      REQUIRE(reading.records[i].lsn == written[i].lsn);
      REQUIRE(reading.records[i].end_lsn == written[i].end_lsn);
    }
    CHECK(reading.ends.at(0).subxids.size() == 5'000);
    CHECK(reading.stop.kind == StopKind::zeroes);
  }
}

TEST_CASE(
    "record reader: a header split between two pages, a record that fills its page, one that fills its "
    "segment") {
  for (const std::uint64_t left : {8U, 16U, 24U, 32U}) {
    CAPTURE(left);
    WalBuilder wal;
    wal.fill_to({0x102000 - left});
    const auto split = wal.commit({.xid = 5, .time = at_second(1)});
    CHECK(split.lsn == Lsn{0x102000 - left});
    const auto reading = read_all(wal);
    CHECK(reading.ends.size() == 1);
    CHECK(reading.position == split.end_lsn);
  }
  WalBuilder wal;
  wal.fill_to({0x1FFFC0});
  const auto last = wal.filler(64);
  CHECK(last.end_lsn == Lsn{0x200000});
  const auto first = wal.commit({.xid = 5, .time = at_second(1)});
  CHECK(first.lsn == Lsn{0x200028});
  CHECK(read_all(wal).position == first.end_lsn);
}

TEST_CASE("record reader: a segment switch ends its segment") {
  WalBuilder wal;
  const auto before = wal.commit({.xid = 5, .time = at_second(1)});
  const auto change = wal.switch_segment();
  const auto after = wal.commit({.xid = 6, .time = at_second(2)});
  CHECK(change.end_lsn == Lsn{0x200000});
  CHECK(after.lsn == Lsn{0x200028});
  const auto reading = read_all(wal);
  CHECK(reading.starts() == std::vector<Lsn>{before.lsn, change.lsn, after.lsn});
  CHECK(reading.records[1].end_lsn == Lsn{0x200000});
}

TEST_CASE("record reader: begins at the first record that starts at or after a position") {
  WalBuilder wal;
  const auto first = wal.commit({.xid = 5, .time = at_second(1)});
  const auto second = wal.commit({.xid = 6, .time = at_second(1)});
  const auto wide = wal.filler(30'000);
  const auto third = wal.commit({.xid = 7, .time = at_second(1)});
  const auto from = [&](Lsn lsn) {
    auto source = wal.source();
    return read_all(source, options_for(wal), ReadFrom::first_at_or_after(lsn)).starts().at(0);
  };
  CHECK(from({0x100000}) == first.lsn);
  CHECK(from(first.lsn) == first.lsn);
  CHECK(from(first.lsn + 1) == second.lsn);
  CHECK(from(second.lsn + 8) == wide.lsn);
  CHECK(from(wide.lsn + 8) == third.lsn);
  CHECK(from({0x104000}) == third.lsn);  // a page wholly inside the wide record
  CHECK(from(third.lsn) == third.lsn);
}

TEST_CASE(
    "record reader: goes on where an earlier reading stopped, the back pointer checked when it is known") {
  WalBuilder wal;
  const auto first = wal.commit({.xid = 5, .time = at_second(1)});
  const auto second = wal.commit({.xid = 6, .time = at_second(1)});
  auto source = wal.source();
  const auto options = options_for(wal);
  CHECK(read_all(source, options, ReadFrom::boundary(first.end_lsn, first.lsn)).starts() ==
        std::vector<Lsn>{second.lsn});
  CHECK(read_all(source, options, ReadFrom::boundary(first.end_lsn)).starts() ==
        std::vector<Lsn>{second.lsn});
  const auto wrong = read_all(source, options, ReadFrom::boundary(first.end_lsn, Lsn{0x100030}));
  CHECK(wrong.stop.kind == StopKind::invalid);
  CHECK(wrong.stop.reason == "record at " + to_string(second.lsn) +
                                 " says that the one before it begins at " + to_string(first.lsn) +
                                 ", expected 0/100030");
  const auto inside = read_all(source, options, ReadFrom::boundary(first.lsn + 4));
  CHECK(inside.stop.reason == "no record can begin at 0/10002C");
}

TEST_CASE("record reader: ancestors' pages are accepted on the way forward, others never") {
  WalBuilder wal;
  wal.filler(20'000);
  const auto old = wal.commit({.xid = 5, .time = at_second(1)});
  wal.switch_timeline({2}, at_second(2));
  wal.filler(20'000);
  const auto young = wal.commit({.xid = 6, .time = at_second(3)});
  CHECK(wal.history() == "1\t" + to_string(old.end_lsn) + "\tno recovery target specified\n\n");
  auto source = wal.source();
  auto options = options_for(wal);
  const auto from = ReadFrom::boundary({0x100000});
  CHECK(read_all(source, options, from).position == young.end_lsn);

  options.timelines = {{2}};
  CHECK(read_all(source, options, from).stop.reason ==
        "page at 0/100000 is of timeline 1, which is not on the path to timeline 2");
  // A page of the old timeline behind one of the new: the file was put together from two.
  options.timelines = {{1}, {2}};
  source.at({page_of(young.lsn).value + 4}) = 1;
  const auto mixed = read_all(source, options, from);
  CHECK(mixed.stop.kind == StopKind::invalid);
  CHECK(mixed.stop.reason ==
        "page at " + to_string(page_of(young.lsn)) + " is of timeline 1, the pages before are of timeline 2");
}

TEST_CASE("record reader: a record given up in a crash is passed over, its successor must name it") {
  WalBuilder wal;
  const auto before = wal.commit({.xid = 5, .time = at_second(1)});
  const auto overwrite = wal.overwrite_contrecord(20'000, at_second(2));
  const auto after = wal.commit({.xid = 6, .time = at_second(3)});
  CHECK(overwrite.lsn == Lsn{0x102018});
  const auto reading = read_all(wal);
  CHECK(reading.starts() == std::vector<Lsn>{before.lsn, overwrite.lsn, after.lsn});
  CHECK(reading.given_up == std::vector<Lsn>{before.end_lsn});

  auto source = wal.source();
  const auto alone = read_all(source, options_for(wal), ReadFrom::first_at_or_after({0x102000}));
  CHECK(alone.starts() == std::vector<Lsn>{overwrite.lsn, after.lsn});

  // The flag without the record: somebody else's page.
  WalBuilder other;
  other.commit({.xid = 5, .time = at_second(1)});
  const auto wide = other.filler(20'000);
  auto flagged = other.source();
  flagged.at({0x102002}) = static_cast<char>(page_flag::first_is_overwrite_contrecord);
  const auto refused = read_all(other, flagged);
  CHECK(refused.records.size() == 1);
  CHECK(refused.stop.kind == StopKind::invalid);
  CHECK(refused.stop.lsn == Lsn{0x102018});
  CHECK(refused.position == wide.lsn);
}
