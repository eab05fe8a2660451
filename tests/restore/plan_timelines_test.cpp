#include <doctest/doctest.h>

#include "plan_world.h"
#include "restore/recoverable_window.h"

using namespace walback;
using namespace walback::test;

namespace {

/// Timeline 1 was left at 0/4000500 in the middle of segment 4; its own end of that segment is kept. Timeline
/// 2 begins there, repeats what precedes the switch, and goes on.
void fill_two_timelines(World& world) {
  world.timeline(1);
  world.timeline(2, "1\t0/4000500\tno recovery target specified\n");
  world.end(1, "0/3000100"_lsn, 200, 10);
  world.end(1, "0/4000100"_lsn, 300, 11);
  // The old primary went on for a while.
  world.end(1, "0/4000600"_lsn, 350, 12);
  world.finished(1, 2, 3);
  world.open(1, 4, "0/4000600"_lsn, "0/4000630"_lsn, SegmentState::ended);
  world.end(2, "0/4000100"_lsn, 300, 11);
  world.end(2, "0/4000700"_lsn, 400, 12);
  world.end(2, "0/5000100"_lsn, 500, 13);
  world.finished(2, 4, 4);
  world.open(2, 5, "0/5000100"_lsn, "0/5000130"_lsn);
  world.backup("B1", 1, "0/2000028"_lsn, "0/2000128"_lsn, 100);
}

}  // namespace

TEST_CASE("plan: the timeline is the one that owns the stop") {
  World world;
  fill_two_timelines(world);
  CHECK(world.outcome(to(TargetKind::latest)) ==
        "B1 with 0/5000100 on 2, last 13, next -, end 0/5000130, 4 segments");
  CHECK(world.outcome(to_xid(13)) == "B1 with 0/5000100 on 2, last 13, next -, end 0/5000130, 4 segments");
  CHECK(world.outcome(to_xid(12)) == "B1 with 0/4000700 on 2, last 12, next 13, end 0/4000730, 3 segments");
  // Before the switch: timeline 1 itself, its own segment 4, and the next commit is the one on the path.
  CHECK(world.outcome(to_xid(11)) == "B1 with 0/4000100 on 1, last 11, next 12, end 0/4000130, 3 segments");
  CHECK(world.outcome(to_time(320)) ==
        "B1 before 0/4000700 on 2, last 11, next 12, end 0/4000700, 3 segments");
  CHECK(world.outcome(on_timeline(to_time(320), 1)) ==
        "B1 before 0/4000600 on 1, last 11, next 12, end 0/4000600, 3 segments");
}

TEST_CASE("plan: recovery takes the segment of a switch from the newer timeline") {
  World world;
  fill_two_timelines(world);
  const auto plan = world.plan(to_xid(13));
  REQUIRE(plan);
  CHECK(plan->segments == std::vector<SegmentRun>{{{1}, {2}, {3}, 1, SegmentState::finished},
                                                  {{2}, {4}, {4}, 1, SegmentState::finished},
                                                  {{2}, {5}, {5}, 1, SegmentState::open}});
  const auto owned = world.plan(to_xid(11));
  REQUIRE(owned);
  CHECK(owned->segments.back() == SegmentRun{{1}, {4}, {4}, 1, SegmentState::ended});
  REQUIRE(owned->history.size() == 1);
  CHECK(owned->history[0].to == "0/4000500"_lsn);
}

TEST_CASE("plan: a target that only another timeline holds offers that timeline") {
  World world;
  fill_two_timelines(world);
  world.event(1, "0/4000640"_lsn, RestorePointSet{at(360), "lost"});
  CHECK(
      world.outcome(to_name("lost")) ==
      "walback: restore point 'lost' is at 0/4000640 on timeline 1, which is not on the path of timeline 2\n"
      "hint: Add --timeline 1 to restore on that path.");
  CHECK(world.outcome(on_timeline(to_xid(13), 1)) ==
        "walback: transaction 13 is at 0/5000100 on timeline 2, which is not on the path of timeline 1\n"
        "hint: Add --timeline 2 to restore on that path.");
  CHECK(world.outcome(on_timeline(to_lsn("0/5000100"_lsn), 1)) ==
        "walback: no record that starts at or after 0/5000100 is captured: timeline 1 ends at 0/4000630\n"
        "hint: Timeline 2 reaches 0/5000130: add --timeline 2 to restore on that path. The last reachable "
        "moment "
        "before it is 0/4000600 (2026-11-20T10:05:50.000000Z) with --to-lsn 0/4000600.");
  CHECK(world.outcome(on_timeline(to(TargetKind::latest), 7)) ==
        "walback: timeline 7 is not in the archive, which holds timelines 1, 2\n"
        "hint: `walback list timelines` shows them and where they part.");
}

TEST_CASE("plan: without the newest timeline's history nothing is restored in silence") {
  World world;
  fill_two_timelines(world);
  world.timeline(3, "", false);
  CHECK(world.outcome(to(TargetKind::latest)) ==
        "walback: the history of timeline 3 (00000003.history) is not in the archive: without it recovery "
        "would end "
        "on the old timeline and say nothing\n"
        "hint: Copy 00000003.history from pg_wal of the server into the newest directory under wal/, or name "
        "an older "
        "timeline with --timeline.");
  CHECK(world.outcome(on_timeline(to(TargetKind::latest), 2)) ==
        "B1 with 0/5000100 on 2, last 13, next -, end 0/5000130, 4 segments");
}

TEST_CASE("plan: what a lagging receiver missed of the old timeline is in the new one's first segment") {
  World world;
  world.timeline(1);
  world.timeline(2, "1\t0/4000500\tno recovery target specified\n");
  world.end(1, "0/3000100"_lsn, 200, 10);
  world.finished(1, 2, 3);
  world.end(2, "0/4000100"_lsn, 300, 11);
  world.end(2, "0/4000700"_lsn, 400, 12);
  world.finished(2, 4, 4);
  world.backup("B1", 1, "0/2000028"_lsn, "0/2000128"_lsn, 100);
  // Recorded by the manager, and bridged on this path.
  REQUIRE(world.catalog.put_gap({{1}, "0/4000000"_lsn, "0/4000500"_lsn, "timeline 2 left it", at(1), false}));
  CHECK(world.outcome(to_xid(11)) == "B1 with 0/4000100 on 2, last 11, next 12, end 0/4000130, 3 segments");
  CHECK(world.outcome(to_time(350)) ==
        "B1 before 0/4000700 on 2, last 11, next 12, end 0/4000700, 3 segments");
}

TEST_CASE("plan: a receiver that missed a whole segment before the switch leaves a gap") {
  World world;
  world.timeline(1);
  world.timeline(2, "1\t0/5000500\tno recovery target specified\n");
  world.end(1, "0/3000100"_lsn, 200, 10);
  world.finished(1, 2, 3);
  world.end(2, "0/5000700"_lsn, 400, 12);
  world.finished(2, 5, 5);
  world.backup("B1", 1, "0/2000028"_lsn, "0/2000128"_lsn, 100);
  CHECK(world.outcome(to_xid(12)) ==
        "walback: transaction 12 needs WAL that is not in the archive: segment 000000010000000000000004 is "
        "missing "
        "(0/4000000 to 0/5000000)\n"
        "hint: The last reachable moment before it is 0/3000100 (2026-11-20T10:03:20.000000Z) with --to-lsn "
        "0/3000100.");
  CHECK(world.outcome(to_xid(10)) == "B1 with 0/3000100 on 1, last 10, next 12, end 0/3000130, 2 segments");
}

TEST_CASE("plan: a switch on a segment border, and a new timeline without WAL yet") {
  World world;
  world.timeline(1);
  world.timeline(2, "1\t0/4000000\tno recovery target specified\n");
  world.end(1, "0/3000100"_lsn, 200, 10);
  world.finished(1, 2, 3);
  world.backup("B1", 1, "0/2000028"_lsn, "0/2000128"_lsn, 100);
  const auto latest = world.plan(to(TargetKind::latest));
  REQUIRE(latest);
  CHECK(latest->timeline == TimelineId{1});
  CHECK(latest->stop == StopPoint{"0/3FFFFB0"_lsn, true});
  REQUIRE(latest->warnings.size() == 1);
  CHECK(latest->warnings[0].message ==
        "no record of timeline 2 is captured yet: this is the end of timeline 1, at 0/4000028");
  world.end(2, "0/4000700"_lsn, 400, 12);
  world.finished(2, 4, 4);
  CHECK(world.outcome(to_xid(12)) == "B1 with 0/4000700 on 2, last 12, next -, end 0/4000730, 3 segments");
}

TEST_CASE("plan: an idle stretch before a switch belongs to the old timeline") {
  World world;
  world.timeline(1);
  world.timeline(2, "1\t0/4000500\tno recovery target specified\n");
  world.end(1, "0/3000100"_lsn, 200, 10);
  world.finished(1, 2, 3);
  world.open(1, 4, "0/40004C0"_lsn, "0/4000500"_lsn, SegmentState::ended);
  world.finished(2, 4, 4);
  world.backup("B1", 1, "0/2000028"_lsn, "0/2000128"_lsn, 100);
  world.watermark(1, "0/4000500"_lsn, 600);
  CHECK(world.outcome(to_time(500)) == "B1 with 0/40004C0 on 1, last 10, next -, end 0/4000500, 3 segments");
}

TEST_CASE("plan: base backups of the new timeline do not serve the old one") {
  World world;
  fill_two_timelines(world);
  world.backup("B2", 2, "0/4000528"_lsn, "0/4000700"_lsn, 390);
  CHECK(world.outcome(to_xid(13)) == "B2 with 0/5000100 on 2, last 13, next -, end 0/5000130, 2 segments");
  CHECK(world.outcome(on_timeline(to_time(320), 1)) ==
        "B1 before 0/4000600 on 1, last 11, next 12, end 0/4000600, 3 segments");
  REQUIRE(world.catalog.remove_backup("B1"));
  CHECK(world.outcome(on_timeline(to_time(320), 1)) ==
        "walback: no base backup lies on the path of timeline 1: the newest, 'B2', is on timeline 2 at "
        "0/4000700\n"
        "hint: Add --timeline 2 to restore on that path, or take a base backup with `walback backup`.");
}

TEST_CASE("window: what can be restored, minus gaps") {
  World world;
  CHECK(
      to_line(to_json(*recoverable_window(world.catalog, world.identity))) ==
      R"({"timeline":0,"spans":[],"watermark":null,"clock_set_back":null,"obstacles":[],"problem":"the archive holds no WAL"})");
  world.timeline(1);
  world.end(1, "0/3000100"_lsn, 200, 10);
  world.end(1, "0/8000100"_lsn, 500, 13);
  world.finished(1, 2, 3);
  world.finished(1, 6, 7);
  world.open(1, 8, "0/8000200"_lsn, "0/8000240"_lsn);
  CHECK(recoverable_window(world.catalog, world.identity)->problem == "the archive holds no base backup");
  world.backup("B1", 1, "0/2000028"_lsn, "0/2000128"_lsn, 100);
  world.backup("B2", 1, "0/7000028"_lsn, "0/7000128"_lsn, 450);
  world.backup("B3", 1, "0/8000028"_lsn, "0/8000100"_lsn, 490);
  world.watermark(1, "0/8000240"_lsn, 600);
  CHECK(
      to_line(to_json(*recoverable_window(world.catalog, world.identity))) ==
      R"x({"timeline":1,"spans":[{"backup":"B1","from_lsn":"0/2000128","from_time":"2026-11-20T10:01:40.000000Z",)x"
      R"x("to_lsn":"0/4000000","last_commit_time":"2026-11-20T10:03:20.000000Z"},{"backup":"B2",)x"
      R"x("from_lsn":"0/7000128","from_time":"2026-11-20T10:07:30.000000Z","to_lsn":"0/8000240",)x"
      R"x("last_commit_time":"2026-11-20T10:08:20.000000Z"}],"watermark":{"lsn":"0/8000240",)x"
      R"x("time":"2026-11-20T10:10:00.000000Z"},"clock_set_back":null,)x"
      R"x("obstacles":["2 segments are missing, from 000000010000000000000004 )x"
      R"x(to 000000010000000000000005 (0/4000000 to 0/6000000)"],"problem":""})x");
}
