#include "archive/gaps.h"

#include "archive/gap_impact.h"
#include "archive/wal_watch.h"
#include "intake_lab.h"

using namespace walback;
using namespace walback::test;

namespace {

constexpr TimelineId kOne{1}, kTwo{2};

GapRow gap(std::uint64_t from, std::uint64_t to, TimelineId timeline = kOne) {
  return {timeline, Lsn{from}, Lsn{to}, "missing: segment 000000010000000000000005", {}, false};
}

BackupRow backup(const std::string& id, std::uint64_t start, std::uint64_t stop, std::int64_t finished = 0,
                 TimelineId timeline = kOne) {
  BackupRow row;
  row.id = id;
  row.timeline = timeline;
  row.start_lsn = {start};
  row.stop_lsn = {stop};
  row.finished_at = at(finished);
  return row;
}

std::string told(const std::vector<GapRow>& gaps, const std::vector<BackupRow>& backups,
                 const TimelineStarts& starts = {}) {
  std::string text;
  for (const GapImpact& impact : judge_gaps(gaps, backups, starts)) text += describe(impact) + "\n";
  return text;
}

using Kind = DirectoryWatch::Change::Kind;

}  // namespace

TEST_CASE(
    "gap impact: what is out of reach, which base backups it concerns, until when protection is missing") {
  const std::string moments = "every moment from 0/5000000 to 0/6000148 is out of reach";
  CHECK(told({gap(0x5000000, 0x6000148)}, {}) ==
        moments + "; protection is missing until a new base backup is finished\n");
  CHECK(told({gap(0x5000000, 0x6000148)},
             {backup("A", 0x1000000, 0x2000000), backup("B", 0x2000000, 0x5000000),
              backup("C", 0x4000000, 0x5000001), backup("D", 0x6000000, 0x7000000)}) ==
        moments +
            "; base backups A and B reach only up to 0/5000000; base backups C and D are unusable; "
            "protection is missing until a new base backup is finished\n");
  CHECK(told({gap(0x5000000, 0x6000148)},
             {backup("A", 0x1000000, 0x2000000), backup("E", 0x7000000, 0x8000000, 70),
              backup("F", 0x6000148, 0x6500000, 60)}) ==
        moments + "; base backup A reaches only up to 0/5000000; protected again since " +
            to_rfc3339(at(60)) + ", by base backup F\n");
}

TEST_CASE("gap impact: a base backup that is unusable, or that another gap took, protects nobody") {
  BackupRow broken = backup("A", 0x7000000, 0x8000000);
  broken.problem = "a file is missing";
  const auto impacts =
      judge_gaps({gap(0x5000000, 0x6000000), gap(0x9000000, 0xA000000)},
                 {broken, backup("B", 0x8000000, 0x9000001), backup("C", 0xB000000, 0xC000000)}, {});
  REQUIRE(impacts.size() == 2);
  CHECK(impacts[0].renewed_by == GapImpact::Renewal{"C", at(0)});
  CHECK(impacts[1].renewed_by == GapImpact::Renewal{"C", at(0)});
  CHECK(impacts[1].unusable == std::vector<std::string>{"B"});
}

TEST_CASE("gap impact: timelines; what was left before the gap is not concerned by it") {
  const TimelineStarts starts{{kTwo, {kOne, Lsn{0x5500000}}}, {TimelineId{3}, {kOne, Lsn{0x2500000}}}};
  const auto impacts = judge_gaps(
      {gap(0x6000000, 0x7000000, kTwo)},
      {backup("A", 0x5000000, 0x5400000), backup("B", 0x5600000, 0x5700000),
       backup("C", 0x3000000, 0x4000000, 0, TimelineId{3}), backup("D", 0x7000000, 0x7100000, 0, kTwo)},
      starts);
  CHECK(impacts[0].cut_short == std::vector<std::string>{"A"});
  CHECK(impacts[0].unusable.empty());
  CHECK(impacts[0].renewed_by == GapImpact::Renewal{"D", at(0)});
  // On the parent, behind the switch: the child's way does not lead through it.
  const auto abandoned =
      judge_gaps({gap(0x6000000, 0x7000000)}, {backup("E", 0x5600000, 0x5700000, 5, kTwo)}, starts);
  CHECK(abandoned[0].renewed_by == GapImpact::Renewal{"E", at(5)});
}

TEST_CASE("gap impact: many base backups are counted") {
  CHECK(name_backups({"A"}) == "base backup A");
  CHECK(name_backups({"A", "B", "C"}) == "base backups A, B and C");
  CHECK(name_backups({"A", "B", "C", "D"}) == "4 base backups, from A to D");
}

TEST_CASE("gaps: a whole epoch that vanishes is noticed, said once, and heals") {
  IntakeLab lab;
  WalBuilder wal;
  const auto written = write_commits_into(wal, 6);
  lab.capture(wal);
  lab.pass();
  require(
      lab.catalog.put_backup(backup("20261120T104207Z", wal.size().bytes() + 0x100, wal.size().bytes() * 2)));
  require(lab.files.remove_tree(lab.archive.layout.epoch(1)));
  lab.pass();
  lab.pass();
  CHECK(lab.log.count("ERROR archive segments_missing count=6 first=000000010000000000000001 "
                      "last=000000010000000000000006") == 1);
  CHECK(lab.log.count("ERROR archive gap_found") == 1);
  CHECK(
      lab.log.contains("base backup 20261120T104207Z is unusable; protection is missing until a new base "
                       "backup is finished"));
  REQUIRE(lab.gaps().size() == 1);
  CHECK(lab.gaps()[0].to == start_of({7}, wal.size()));
  require(lab.files.create_directories(lab.archive.layout.epoch(1)));
  lab.capture(wal);
  lab.pass();
  CHECK(lab.gaps().empty());
  CHECK(lab.xids() == written);
}

TEST_CASE("gaps: an accepted gap waits for the WAL behind it, and stays accepted when that begins later") {
  IntakeLab lab;
  WalBuilder wal;
  write_commits_into(wal, 6);
  lab.capture(wal);
  // Captured up to a place in segment 3; the primary went on without us.
  for (const std::uint64_t number : {4U, 5U}) require(lab.files.remove(lab.path(segment(number))));
  require(lab.files.remove(lab.path(segment(6), true)));
  lab.pass();
  CHECK(lab.gaps().empty());
  const Lsn end = lab.row(segment(3)).valid_end_lsn;
  const auto ahead = require(gap_up_to(lab.catalog, kOne, start_of({6}, wal.size()), wal.size()));
  REQUIRE(ahead);
  CHECK(ahead->from == end);
  CHECK(ahead->to == start_of({6}, wal.size()));
  CHECK_FALSE(require(gap_up_to(lab.catalog, kOne, start_of({3}, wal.size()), wal.size())));

  GapRow accepted = *ahead;
  accepted.accepted = true;
  require(lab.catalog.put_gap(accepted));
  lab.pass();
  REQUIRE(lab.gaps().size() == 1);
  CHECK(lab.gaps()[0].accepted);
  CHECK(lab.gaps()[0].to == accepted.to);

  require(lab.files.create_directories(lab.archive.layout.epoch(2)));
  require(lab.files.write(lab.path(segment(6), true, 2), wal.segment(segment(6))));
  lab.pass();
  REQUIRE(lab.gaps().size() == 1);
  CHECK(lab.gaps()[0].accepted);
  CHECK(lab.gaps()[0].from == end);
  CHECK(lab.gaps()[0].to == *lab.row(segment(6)).first_record_lsn);
  CHECK(lab.log.count("ERROR archive gap_found") == 0);

  // One that nobody accepted is another matter.
  require(lab.files.remove(lab.path(segment(2))));
  lab.pass();
  CHECK(lab.log.count("ERROR archive gap_found") == 1);
  CHECK_FALSE(lab.gaps()[0].accepted);
}

TEST_CASE("gaps: one that grows over an accepted one is said again, and what it takes in has not healed") {
  IntakeLab lab;
  WalBuilder wal;
  write_commits_into(wal, 6);
  lab.capture(wal);
  require(lab.files.remove(lab.path(segment(2))));
  lab.pass();
  REQUIRE(lab.gaps().size() == 1);
  GapRow accepted = lab.gaps()[0];
  accepted.accepted = true;
  require(lab.catalog.put_gap(accepted));
  require(lab.files.remove(lab.path(segment(4))));
  lab.pass();
  REQUIRE(lab.gaps().size() == 2);
  CHECK(lab.gaps()[0].accepted);
  CHECK(lab.log.count("ERROR archive gap_found") == 2);
  require(lab.files.remove(lab.path(segment(3))));
  lab.pass();
  REQUIRE(lab.gaps().size() == 1);
  CHECK(lab.gaps()[0].from == accepted.from);
  CHECK_FALSE(lab.gaps()[0].accepted);
  CHECK(lab.log.count("ERROR archive gap_found") == 3);
  CHECK(lab.log.count("gap_healed") == 0);
}

TEST_CASE("gaps: what an acceptance includes") {
  const SegmentSize size = *SegmentSize::from_bytes(16U << 20);
  GapRow known = gap(0x5000148, 0x8000000);
  CHECK_FALSE(accepts(known, known, size));
  known.accepted = true;
  CHECK(accepts(known, gap(0x5000148, 0x8FFFFFF), size));
  CHECK(accepts(known, gap(0x6000000, 0x7000000), size));
  CHECK_FALSE(accepts(known, gap(0x5000148, 0x9000001), size));
  CHECK_FALSE(accepts(known, gap(0x5000000, 0x7000000), size));
  CHECK_FALSE(accepts(known, gap(0x6000000, 0x7000000, kTwo), size));
}

TEST_CASE("watch: what pg_receivewal does is growth, what it never does is tampering") {
  const auto judge = [](std::set<DirectoryWatch::Change> changes, bool complete = true) {
    return judge_changes({std::move(changes), complete});
  };
  const std::string name = "000000010000000000000005";
  CHECK(judge({}) == WalNews::growth);
  CHECK(judge({{Kind::written, name + ".partial"}, {Kind::gone, name + ".partial"}}) == WalNews::growth);
  CHECK(judge({{Kind::written, "00000002.history.tmp"}, {Kind::gone, "00000002.history.tmp"}}) ==
        WalNews::growth);
  CHECK(judge({{Kind::gone, name}}) == WalNews::tampering);
  CHECK(judge({{Kind::written, name}}) == WalNews::tampering);
  CHECK(judge({{Kind::gone, ""}}) == WalNews::tampering);
  CHECK(judge({}, false) == WalNews::tampering);
}
