#include "intake_lab.h"
#include "support/faulty_file_system.h"

using namespace walback;
using namespace walback::test;

namespace {

/// Segments 1 to 3 finished and 4 open, taken in; the commits in them.
std::vector<std::uint32_t> four_segments(IntakeLab& lab, WalBuilder& wal) {
  const auto written = write_commits_into(wal, 4);
  lab.capture(wal);
  lab.pass();
  REQUIRE(lab.xids() == written);
  return written;
}

}  // namespace

TEST_CASE("damage: inside a finished segment it is a problem, a gap, and one ERROR each") {
  IntakeLab lab;
  WalBuilder wal;
  write_commits_into(wal, 4);
  lab.capture(wal);
  const std::string good = require(lab.files.read(lab.path(segment(2))));
  lab.damage(segment(2), 400'000);
  lab.pass();
  lab.pass();
  const SegmentRow row = lab.row(segment(2));
  CHECK(row.problem.starts_with("damaged at 0/2"));
  REQUIRE(lab.gaps().size() == 1);
  CHECK(lab.gaps()[0].from == row.valid_end_lsn);
  CHECK(lab.gaps()[0].to == *lab.row(segment(3)).first_record_lsn);
  CHECK(lab.gaps()[0].reason == row.problem);
  CHECK(lab.log.count("ERROR archive segment_unusable") == 1);
  CHECK(lab.log.count("ERROR archive gap_found") == 1);
  CHECK(lab.log.contains("impact=\"every moment from "));

  // The good copy is put back: what was cut off is read again, the next segment with it.
  require(lab.files.write(lab.path(segment(2)), good));
  lab.restart();
  lab.pass();
  CHECK(lab.row(segment(2)).problem == "");
  CHECK(lab.gaps().empty());
  CHECK(lab.log.count("segment_healed") == 1);
  CHECK(lab.log.count("gap_healed") == 1);
  IntakeLab undamaged;
  undamaged.capture(wal);
  undamaged.pass();
  CHECK(lab.xids() == undamaged.xids());
}

TEST_CASE("damage: zeroes at the end of a finished segment are damage, not its end") {
  IntakeLab lab;
  WalBuilder wal;
  write_commits_into(wal, 3);
  lab.capture(wal);
  std::string bytes = require(lab.files.read(lab.path(segment(1))));
  std::fill(bytes.begin() + 600'000, bytes.end(), '\0');
  require(lab.files.write(lab.path(segment(1)), bytes));
  lab.pass();
  CHECK(lab.row(segment(1)).problem.starts_with("damaged at 0/1"));
  CHECK(lab.gaps().size() == 1);
}

TEST_CASE("damage: a file that changes after it was indexed is read again") {
  IntakeLab lab;
  WalBuilder wal;
  four_segments(lab, wal);
  lab.damage(segment(2), 400'000);
  lab.pass();
  CHECK(lab.row(segment(2)).problem.starts_with("damaged at 0/2"));
  CHECK(lab.gaps().size() == 1);
}

TEST_CASE("damage: a vanished segment is missing, and heals when it comes back") {
  IntakeLab lab;
  WalBuilder wal;
  const auto written = four_segments(lab, wal);
  require(lab.files.remove(lab.path(segment(2))));
  lab.pass();
  lab.pass();
  CHECK(lab.row(segment(2)).problem == "missing: 000000010000000000000002 is gone from /archive/wal/0001");
  REQUIRE(lab.gaps().size() == 1);
  CHECK(lab.gaps()[0].from == lab.row(segment(1)).valid_end_lsn);
  CHECK(lab.log.count("ERROR archive segment_unusable") == 1);
  lab.finish(wal, segment(2));
  lab.pass();
  CHECK(lab.row(segment(2)).problem == "");
  CHECK(lab.gaps().empty());
  CHECK(lab.xids() == written);
}

TEST_CASE("damage: a segment that was never there is a gap, and closes when it turns up") {
  IntakeLab lab;
  WalBuilder wal;
  const auto written = write_commits_into(wal, 4);
  lab.capture(wal);
  require(lab.files.remove(lab.path(segment(2))));
  lab.pass();
  REQUIRE(lab.gaps().size() == 1);
  CHECK(lab.gaps()[0].reason == "missing: segment 000000010000000000000002");
  CHECK(lab.xids() != written);
  CHECK(lab.pass().segments_read == 0);
  lab.finish(wal, segment(2));
  lab.pass();
  CHECK(lab.gaps().empty());
  CHECK(lab.xids() == written);
  CHECK(lab.log.count("gap_healed") == 1);
}

TEST_CASE("damage: a segment of another cluster is foreign") {
  IntakeLab lab;
  WalBuilder wal;
  write_commits_into(wal, 3);
  WalBuilder other({.system_identifier = 7'300'000'000'000'000'002});
  write_commits_into(other, 3);
  lab.capture(wal);
  lab.finish(other, segment(2));
  lab.pass();
  CHECK(lab.row(segment(2)).problem ==
        "foreign: segment at 0/200000 carries system identifier 7300000000000000002, expected "
        "7300000000000000001");
  CHECK(lab.gaps().size() == 1);
}

TEST_CASE("damage: a finished segment of the wrong size is named with both sizes") {
  IntakeLab lab;
  WalBuilder wal;
  write_commits_into(wal, 3);
  lab.capture(wal);
  require(lab.files.write(lab.path(segment(2)), wal.segment(segment(2)).substr(0, 700'000)));
  lab.pass();
  CHECK(lab.row(segment(2)).problem == "wrong size: 700000 bytes, expected 1048576");
  CHECK(lab.gaps().size() == 1);
}

TEST_CASE("damage: a partial that is still being filled with zeroes is no damage") {
  IntakeLab lab;
  WalBuilder wal;
  write_commits_into(wal, 2);
  lab.finish(wal, segment(1));
  require(lab.files.write(lab.path(segment(2), true), std::string(8192, '\0')));
  lab.clock.set({});  // the file system in memory starts its time at 0
  lab.pass();
  CHECK_FALSE(require(lab.catalog.segment(segment(2))));
  CHECK_FALSE(lab.log.contains("ERROR"));
  // Written an hour ahead of now: the clock was set back since, and nobody is filling it.
  lab.clock.set({-3'600'000'000});
  lab.pass();
  CHECK_FALSE(lab.row(segment(2)).problem.empty());
}

TEST_CASE("damage: an unreadable segment does not stop the others, and is tried again") {
  IntakeLab lab;
  FaultyFileSystem faulty(lab.files);
  const ArchiveContext archive{
      lab.archive.layout, lab.archive.identity, "/unused", faulty, lab.clock, lab.log};
  WalBuilder wal;
  const auto written = write_commits_into(wal, 3);
  lab.capture(wal);
  faulty.fail_at("read_at", "000000010000000000000002", {ErrorKind::internal, "input/output error", ""}, 2);
  Intake intake(archive, lab.catalog);
  require(intake.pass(Scan::all));
  CHECK(lab.row(segment(2)).problem == "unreadable: input/output error");
  CHECK(lab.row(segment(3)).valid_end_lsn == wal.end_lsn());
  require(intake.pass(Scan::all));
  CHECK(lab.row(segment(2)).problem == "");
  CHECK(lab.xids() == written);
  CHECK(lab.gaps().empty());
}

TEST_CASE("timelines: the switch segment's copy of the parent's records stays the parent's") {
  IntakeLab lab;
  WalBuilder wal;
  const auto before = write_commits_into(wal, 2);
  const TimelineId two{2};
  // pg_receivewal leaves the old timeline's partial as it was.
  for (const SegmentName name : wal.segments())
    if (name.number.value < 2) lab.finish(wal, name);
  lab.grow(wal, segment(2));
  lab.pass();
  CHECK(lab.row(segment(2)).state == SegmentState::open);

  wal.switch_timeline(two, at(5'000));
  wal.commit({.xid = 900, .time = at(5'001)});
  const auto after = write_commits_into(wal, 3, 901);
  require(lab.files.write(lab.archive.layout.epoch(1) / "00000002.history", wal.history()));
  for (const SegmentName name : wal.segments()) {
    if (name.timeline != two) continue;
    if (name.number.value == 3)
      lab.grow(wal, name);
    else
      lab.finish(wal, name);
  }
  lab.restart();
  lab.pass();
  CHECK(lab.row(segment(2)).state == SegmentState::ended);
  CHECK(lab.xids() == before);
  std::vector<std::uint32_t> expected{900};
  expected.insert(expected.end(), after.begin(), after.end());
  CHECK(lab.xids(two) == expected);
  CHECK(lab.gaps().empty());
  CHECK_FALSE(lab.log.contains("ERROR"));
  CHECK(lab.pass().segments_read == 0);
  for (const TimelineRow& row : require(lab.catalog.timelines()))
    CHECK(row.history_captured == (row.timeline == two));
}

TEST_CASE("timelines: what the parent did not capture is indexed with the child that repeats it") {
  IntakeLab lab;
  WalBuilder wal;
  const auto before = write_commits_into(wal, 2);
  const TimelineId two{2};
  wal.switch_timeline(two, at(5'000));
  wal.commit({.xid = 900, .time = at(5'001)});
  require(lab.files.write(lab.archive.layout.epoch(1) / "00000002.history", wal.history()));
  lab.finish(wal, segment(1));
  lab.grow(wal, segment(2, 2));
  lab.pass();
  auto all = lab.xids();
  const auto on_two = lab.xids(two);
  all.insert(all.end(), on_two.begin(), on_two.end());
  auto expected = before;
  expected.push_back(900);
  CHECK(all == expected);
  CHECK(lab.gaps().empty());
}

TEST_CASE("timelines: without its history a timeline's segments are not used, and are once it is there") {
  IntakeLab lab;
  WalBuilder wal;
  write_commits_into(wal, 1);
  wal.switch_timeline({2}, at(5'000));
  wal.commit({.xid = 900, .time = at(5'001)});
  lab.grow(wal, segment(1));
  lab.grow(wal, segment(1, 2));
  lab.pass();
  CHECK(lab.row(segment(1, 2)).problem == "no history: 00000002.history is not in the archive");
  CHECK(lab.log.count("ERROR archive segment_unusable") == 1);
  require(lab.files.write(lab.archive.layout.epoch(1) / "00000002.history", wal.history()));
  lab.pass();
  CHECK(lab.row(segment(1, 2)).problem == "");
  CHECK(lab.xids({2}) == std::vector<std::uint32_t>{900});
}
