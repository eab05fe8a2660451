#include <algorithm>

#include "intake_lab.h"
#include "support/faulty_file_system.h"

using namespace walback;
using namespace walback::test;

TEST_CASE("intake: every commit is indexed once, whatever the borders cut") {
  IntakeLab lab;
  WalBuilder wal;
  const auto written = write_commits_into(wal, 4);
  lab.capture(wal);
  lab.pass();
  CHECK(lab.xids() == written);
  CHECK(lab.gaps().empty());
  CHECK(lab.row(segment(1)).state == SegmentState::finished);
  CHECK(lab.row(segment(1)).file_crc32c);
  CHECK(lab.row(segment(4)).state == SegmentState::open);
  CHECK(lab.row(segment(4)).valid_end_lsn == wal.end_lsn());
  CHECK(require(lab.catalog.timelines()).size() == 1);
}

TEST_CASE("intake: a second pass reads nothing") {
  IntakeLab lab;
  WalBuilder wal;
  write_commits_into(wal, 3);
  lab.capture(wal);
  CHECK(lab.pass().segments_read == 3);
  CHECK(lab.pass().segments_read == 0);
  lab.restart();
  CHECK(lab.pass().segments_read == 0);
  CHECK(lab.log.count("segment_indexed") == 2);
}

TEST_CASE("intake: a partial that grows is read on from where it ended") {
  IntakeLab lab;
  WalBuilder wal;
  std::vector<std::uint32_t> written;
  for (std::uint32_t xid = 100; xid < 150; ++xid) {
    wal.commit({.xid = xid, .time = at(xid)});
    written.push_back(xid);
    lab.grow(wal, segment(1));
    const IntakeReport report = lab.pass(Scan::news);
    CHECK(report.records == 1);
    CHECK(lab.row(segment(1)).valid_end_lsn == wal.end_lsn());
    if (xid % 7 == 0) lab.restart();
  }
  CHECK(lab.xids() == written);
  CHECK(lab.row(segment(1)).records == 50);
}

TEST_CASE("intake: news follows the tail from partial to finished to the next partial") {
  IntakeLab lab;
  WalBuilder wal;
  auto written = write_commits_into(wal, 1);
  lab.capture(wal);
  lab.pass();
  const auto more = write_commits_into(wal, 4, 500);
  lab.capture(wal);
  CHECK(lab.pass(Scan::news).segments_read == 4);
  written.insert(written.end(), more.begin(), more.end());
  CHECK(lab.xids() == written);
  CHECK(lab.row(segment(4)).valid_end_lsn == wal.end_lsn());
  CHECK(lab.row(segment(1)).state == SegmentState::finished);
}

TEST_CASE("intake: a record over several segments belongs to the one in which it ends") {
  IntakeLab lab;
  WalBuilder wal;
  wal.commit({.xid = 100, .time = at(0)});
  const WrittenRecord big = wal.filler(2'500'000);
  wal.commit({.xid = 101, .time = at(1)});
  lab.capture(wal);
  lab.pass();
  CHECK(lab.xids() == std::vector<std::uint32_t>{100, 101});
  CHECK(lab.row(segment(2)).records == 0);
  CHECK(lab.row(segment(2)).valid_end_lsn == big.lsn);
  CHECK(lab.row(segment(3)).first_record_lsn == big.lsn);
  CHECK(lab.gaps().empty());
  CHECK(lab.pass().segments_read == 0);
}

TEST_CASE("intake: an archive that begins inside a record that fills its first segments reports no gap") {
  IntakeLab lab;
  WalBuilder wal;
  wal.filler(3'500'000);
  wal.commit({.xid = 101, .time = at(1)});
  for (const std::uint64_t number : {2, 3}) lab.finish(wal, segment(number));
  lab.grow(wal, segment(4));
  lab.pass();
  CHECK(lab.xids() == std::vector<std::uint32_t>{101});
  CHECK(lab.gaps().empty());
  CHECK(lab.pass().segments_read == 0);
}

TEST_CASE("intake: a record given up in a crash across a border is no gap") {
  IntakeLab lab;
  WalBuilder wal;
  wal.commit({.xid = 100, .time = at(0)});
  wal.fill_to(start_of({2}, wal.size()) + (-2048));
  wal.overwrite_contrecord(60'000, at(1));
  wal.commit({.xid = 101, .time = at(2)});
  lab.capture(wal);
  lab.pass();
  CHECK(lab.xids() == std::vector<std::uint32_t>{100, 101});
  CHECK(lab.gaps().empty());
  CHECK(lab.row(segment(1)).problem == "");
  CHECK(lab.pass().segments_read == 0);
}

TEST_CASE("intake: a segment switch leaves zeroes that are no damage") {
  IntakeLab lab;
  WalBuilder wal;
  wal.commit({.xid = 100, .time = at(0)});
  wal.switch_segment();
  wal.commit({.xid = 101, .time = at(1)});
  lab.capture(wal);
  lab.pass();
  CHECK(lab.row(segment(1)).problem == "");
  CHECK(lab.row(segment(1)).valid_end_lsn == start_of({2}, wal.size()));
  CHECK(lab.xids() == std::vector<std::uint32_t>{100, 101});
}

TEST_CASE("intake: removals and events become moments") {
  IntakeLab lab;
  WalBuilder wal;
  wal.commit(
      {.xid = 100, .time = at(0), .removed_files = {{1663, 5, 16384}}, .dropped_relations = {{5, 16384}}});
  wal.restore_point("before lunch", at(1));
  lab.capture(wal);
  lab.pass();
  const auto moments = require(lab.catalog.moments({{1}, {}, {UINT64_MAX}}, std::nullopt));
  REQUIRE(moments.size() == 2);
  CHECK(moments[0].kind == MomentKind::removal);
  CHECK(moments[0].xid == 100);
  CHECK(moments[1].name == "before lunch");
}

TEST_CASE("intake: killed at any read, the next start ends in the same catalog") {
  WalBuilder wal;
  const auto written = write_commits_into(wal, 3);
  int kills = 0;
  for (int nth = 1;; ++nth) {
    IntakeLab plain;
    FaultyFileSystem faulty(plain.files);
    ArchiveContext archive{
        plain.archive.layout, plain.archive.identity, "/unused", faulty, plain.clock, plain.log};
    plain.capture(wal);
    faulty.kill_at("read_at", "", nth);
    bool killed = false;
    try {
      Intake intake(archive, plain.catalog);
      (void)intake.pass(Scan::all);
    } catch (const Killed&) {
      killed = true;
      ++kills;
    }
    plain.restart();
    plain.pass();
    CHECK(plain.xids() == written);
    CHECK(plain.gaps().empty());
    if (!killed) break;
  }
  CHECK(kills > 10);
}

TEST_CASE("intake: killed between two batches of a dense segment, no commit is lost or counted twice") {
  constexpr std::uint64_t kSegmentBytes = 16U << 20;
  WalBuilder wal({.segment_bytes = kSegmentBytes});
  const std::uint32_t commits = 2 * kEndsPerBatch + 1'000;
  for (std::uint32_t xid = 1; xid <= commits; ++xid) wal.commit({.xid = xid, .time = at(xid)});
  IntakeLab lab(kSegmentBytes);
  lab.capture(wal);
  FaultyFileSystem faulty(lab.files);
  const ArchiveContext archive{
      lab.archive.layout, lab.archive.identity, "/unused", faulty, lab.clock, lab.log};
  faulty.kill_at("read_at", "", 20);
  Intake intake(archive, lab.catalog);
  CHECK_THROWS_AS((void)intake.pass(Scan::all), Killed);
  const std::uint64_t kept = lab.row(segment(1)).commits;
  CHECK(kept >= kEndsPerBatch);
  CHECK(kept < commits);
  lab.restart();
  CHECK(lab.pass().records == commits - kept);
  const auto xids = lab.xids();
  CHECK(xids.size() == commits);
  CHECK(std::ranges::is_sorted(xids));
  CHECK(lab.row(segment(1)).commits == commits);
  CHECK(lab.pass().segments_read == 0);
}

TEST_CASE("intake: stopped between segments it says so, and goes on later") {
  IntakeLab lab;
  WalBuilder wal;
  const auto written = write_commits_into(wal, 3);
  lab.capture(wal);
  std::stop_source stop;
  stop.request_stop();
  CHECK_FALSE(require(lab.intake->pass(Scan::all, stop.get_token())).complete);
  CHECK(lab.xids().empty());
  CHECK(lab.pass().complete);
  CHECK(lab.xids() == written);
}

TEST_CASE("intake: unknown names are reported once, and what is not pg_receivewal's is left alone") {
  IntakeLab lab;
  require(lab.files.write(lab.archive.layout.epoch(1) / "00000001000000000000000x", "?"));
  require(lab.files.create_directories(lab.archive.layout.wal() / "old"));
  lab.pass();
  lab.pass();
  CHECK(lab.log.count("unknown_name") == 2);
}

TEST_CASE("intake: ten thousand segments cost the second pass no read") {
  IntakeLab lab;
  // The directory's and the catalog's side alone: rows as an earlier pass would have left them.
  const SegmentSize size = lab.archive.identity.segment_size;
  require(lab.catalog.transaction([&]() -> Status {
    for (std::uint64_t number = 1; number <= 10'000; ++number) {
      require(lab.files.write(lab.path(segment(number)), "x"));
      const FileInfo info = require(lab.files.stat(lab.path(segment(number))));
      SegmentRow row;
      row.name = segment(number);
      row.state = SegmentState::finished;
      row.start_lsn = start_of({number}, size);
      row.valid_end_lsn = row.start_lsn + size.bytes();
      row.first_record_lsn = row.start_lsn + 40;
      row.last_record_lsn = row.valid_end_lsn;
      row.size_bytes = info.size_bytes;
      row.mtime_ns = info.mtime_ns;
      TRY(lab.catalog.put_segment(row));
    }
    return {};
  }));
  CHECK(lab.pass().segments_read == 0);
  CHECK(lab.pass(Scan::news).segments_read == 0);
  CHECK(lab.gaps().empty());
}
