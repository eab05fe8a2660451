#include "restore/plan.h"

#include <doctest/doctest.h>

#include "plan_world.h"
#include "restore/recoverable_window.h"

using namespace walback;
using namespace walback::test;

TEST_CASE("plan: a time ends just before the first commit stamped later") {
  World world;
  fill_one_timeline(world);
  CHECK(world.outcome(to_time(250)) ==
        "B1 before 0/4000100 on 1, last 10, next 11, end 0/4000100, 3 segments");
  CHECK(world.outcome(to_time(300)) ==
        "B1 before 0/5000100 on 1, last 11, next 12, end 0/5000100, 4 segments");
  CHECK(world.outcome(to_time(300, true)) ==
        "B1 before 0/4000100 on 1, last 10, next 11, end 0/4000100, 3 segments");
  CHECK(world.outcome(to_time(299.999999)) == world.outcome(to_time(300, true)));
  // The base is from 100 s; nothing was committed between it and 200 s.
  CHECK(world.outcome(to_time(150)) ==
        "B1 before 0/3000100 on 1, last -, next 10, end 0/3000100, 2 segments");
}

TEST_CASE("plan: a time in the open segment") {
  World world;
  fill_one_timeline(world);
  CHECK(world.outcome(to_time(450)) ==
        "B1 before 0/7000100 on 1, last 12, next 13, end 0/7000100, 6 segments");
}

TEST_CASE("plan: an abort stamped later ends a time target too") {
  World world;
  world.timeline(1);
  world.end(1, "0/3000100"_lsn, 200, 10);
  world.end(1, "0/3000200"_lsn, 205.5, 11, TransactionEndKind::abort);
  world.end(1, "0/3000300"_lsn, 205, 12);
  world.finished(1, 2, 3);
  world.backup("B1", 1, "0/2000028"_lsn, "0/2000128"_lsn, 100);
  const auto plan = world.plan(to_time(205.4));
  REQUIRE(plan);
  CHECK(plan->stop == StopPoint{"0/3000200"_lsn, false});
  CHECK(plan->last_commit->xid == 10);
  CHECK(plan->next_commit->xid == 12);
  REQUIRE(plan->warnings.size() == 1);
  CHECK(plan->warnings[0].message ==
        "1 commit is stamped at or before 2026-11-20T10:03:25.400000Z but written behind the stop and left "
        "out; "
        "the first is transaction 12 at 0/3000300 (2026-11-20T10:03:25.000000Z)");
}

TEST_CASE("plan: timestamps that run backwards cannot change the answer with the choice of the base") {
  World world;
  world.timeline(1);
  world.end(1, "0/3000100"_lsn, 400, 10);
  world.end(1, "0/5000100"_lsn, 300, 11);
  world.finished(1, 2, 5);
  world.backup("B1", 1, "0/2000028"_lsn, "0/2000128"_lsn, 100);
  world.backup("B2", 1, "0/4000028"_lsn, "0/4000128"_lsn, 250);
  // B2 alone would see 300 s as the first commit; the captured history says that 400 s came first.
  CHECK(world.outcome(to_time(350)) ==
        "B1 before 0/3000100 on 1, last -, next 10, end 0/3000100, 2 segments");
}

TEST_CASE("plan: an idle stretch is reached where a watermark covers it, and only there") {
  World world;
  fill_one_timeline(world);
  CHECK(world.outcome(to_time(600)) ==
        "walback: nothing shows what was committed up to 2026-11-20T10:10:00.000000Z: the last captured "
        "transaction "
        "ended at 0/7000100 (2026-11-20T10:08:20.000000Z), and there is no watermark\n"
        "hint: If the primary is alive and `walback manage` runs, the next watermark reaches it; else "
        "--to-latest "
        "takes everything captured. The last reachable moment before it is 0/7000100 "
        "(2026-11-20T10:08:20.000000Z) "
        "with --to-lsn 0/7000100.");
  world.watermark(1, "0/7000300"_lsn, 650);
  CHECK(world.outcome(to_time(600))
            .starts_with("walback: nothing shows what was committed up to 2026-11-20T10:10:00.000000Z: the "
                         "last captured transaction "
                         "ended at 0/7000100 (2026-11-20T10:08:20.000000Z), and the watermark of "
                         "2026-11-20T10:10:50.000000Z needs WAL "
                         "up to 0/7000300, captured is 0/7000240\n"));
  world.watermark(1, "0/7000240"_lsn, 640);
  CHECK(world.outcome(to_time(600)) == "B1 with 0/7000200 on 1, last 13, next -, end 0/7000240, 6 segments");
  CHECK(world.outcome(to_time(640)) == "B1 with 0/7000200 on 1, last 13, next -, end 0/7000240, 6 segments");
  CHECK(world.outcome(to_time(641)).starts_with("walback: nothing shows"));
}

TEST_CASE("plan: a watermark behind a page header that no record follows is covered") {
  World world;
  world.timeline(1);
  world.end(1, "0/3000100"_lsn, 200, 10);
  world.finished(1, 2, 3);
  world.backup("B1", 1, "0/2000028"_lsn, "0/2000128"_lsn, 100);
  world.watermark(1, "0/4000028"_lsn, 300);
  CHECK(world.outcome(to_time(250)) == "B1 with 0/3FFFFB0 on 1, last 10, next -, end 0/4000028, 2 segments");
}

TEST_CASE("plan: a base backup taken in the silence serves the times after it") {
  World world;
  fill_one_timeline(world);
  world.backup("B2", 1, "0/7000140"_lsn, "0/7000200"_lsn, 560);
  world.watermark(1, "0/7000240"_lsn, 640);
  CHECK(world.outcome(to_time(600)) == "B2 with 0/7000200 on 1, last 13, next -, end 0/7000240, 1 segments");
}

TEST_CASE("plan: an LSN is PostgreSQL's own") {
  World world;
  fill_one_timeline(world);
  CHECK(world.outcome(to_lsn("0/4000100"_lsn)) ==
        "B1 with 0/4000100 on 1, last 11, next 12, end 0/4000130, 3 segments");
  CHECK(world.outcome(to_lsn("0/4000100"_lsn, true)) ==
        "B1 before 0/4000100 on 1, last 10, next 11, end 0/4000100, 3 segments");
  // Right behind a commit: what starts there is not in the index, and its end is unknown.
  CHECK(world.outcome(to_lsn("0/4000130"_lsn)) ==
        "B1 with 0/4000130 on 1, last 11, next 12, end ?, 3 segments");
  CHECK(world.outcome(to_lsn("0/4000130"_lsn, true)) ==
        "B1 before 0/4000130 on 1, last 11, next 12, end 0/4000130, 3 segments");
}

TEST_CASE("plan: an LSN between two known records is settled by reading the record") {
  World world;
  fill_one_timeline(world);
  auto plan = world.plan(to_lsn("0/40000E0"_lsn));
  REQUIRE(plan);
  CHECK_FALSE(plan->expected_end);
  CHECK(plan->read_from == "0/4000028"_lsn);
  CHECK(plan->last_commit->xid == 10);
  CHECK_FALSE(ended_as_planned(*plan, "0/4000130"_lsn));

  SUBCASE("it is the commit") {
    REQUIRE(settle_stop(*plan, "0/4000100"_lsn, "0/4000130"_lsn, world.catalog));
    CHECK(plan->expected_end == "0/4000130"_lsn);
    CHECK(plan->last_commit->xid == 11);
    CHECK(plan->next_commit->xid == 12);
    CHECK(plan->commit_at_stop->xid == 11);
    CHECK(ended_as_planned(*plan, "0/4000130"_lsn));
  }
  SUBCASE("it is another record") {
    REQUIRE(settle_stop(*plan, "0/40000E8"_lsn, "0/4000100"_lsn, world.catalog));
    CHECK(plan->last_commit->xid == 10);
    CHECK(plan->next_commit->xid == 11);
    CHECK(ended_as_planned(*plan, "0/4000100"_lsn));
  }
  SUBCASE("a record below the stop is refused") {
    const auto settled = settle_stop(*plan, "0/40000D0"_lsn, "0/4000100"_lsn, world.catalog);
    REQUIRE_FALSE(settled);
    CHECK(settled.error().message == "the record 0/40000D0 to 0/4000100 cannot decide the stop 0/40000E0");
  }
}

TEST_CASE("plan: an LSN on a segment border needs the segment that begins there") {
  World world;
  fill_one_timeline(world);
  CHECK(world.outcome(to_lsn("0/5000000"_lsn, true)) ==
        "B1 before 0/5000028 on 1, last 11, next 12, end 0/5000028, 4 segments");
  const auto plan = world.plan(to_lsn("0/5000000"_lsn, true));
  REQUIRE(plan);
  CHECK(ended_as_planned(*plan, "0/5000000"_lsn));
  CHECK(ended_as_planned(*plan, "0/5000028"_lsn));
  CHECK_FALSE(ended_as_planned(*plan, "0/4FFFFF8"_lsn));
}

TEST_CASE("plan: a commit record across a segment border needs both segments") {
  World world;
  world.timeline(1);
  auto& across = world.end(1, "0/3FFFFF0"_lsn, 200, 10);
  across.end_lsn = "0/4000050"_lsn;
  world.finished(1, 2, 3);
  auto next = world.row(1, 4);
  next.first_record_lsn = "0/3FFFFF0"_lsn;
  world.put(next);
  world.backup("B1", 1, "0/2000028"_lsn, "0/2000128"_lsn, 100);
  CHECK(world.outcome(to_xid(10)) == "B1 with 0/3FFFFF0 on 1, last 10, next -, end 0/4000050, 3 segments");
  // PostgreSQL must read the record whole to stop before it.
  CHECK(world.outcome(to_xid(10, true)) ==
        "B1 before 0/3FFFFF0 on 1, last -, next 10, end 0/3FFFFF0, 3 segments");
  CHECK(world.outcome(to_lsn("0/3FFFFE0"_lsn)) ==
        "B1 with 0/3FFFFF0 on 1, last 10, next -, end 0/4000050, 3 segments");
}

TEST_CASE("plan: an LSN at the captured end") {
  World world;
  fill_one_timeline(world);
  CHECK(world.outcome(to_lsn("0/7000200"_lsn)) ==
        "B1 with 0/7000200 on 1, last 13, next -, end 0/7000240, 6 segments");
  CHECK(world.outcome(to_lsn("0/7000240"_lsn, true)) ==
        "B1 with 0/7000200 on 1, last 13, next -, end 0/7000240, 6 segments");
  const std::string refused =
      "walback: no record that starts at or after 0/7000240 is captured: timeline 1 ends at 0/7000240\n"
      "hint: If the primary is alive, wait until the capturer has received it, or take everything there is "
      "with "
      "--to-latest. The last reachable moment before it is 0/7000100 (2026-11-20T10:08:20.000000Z) with "
      "--to-lsn "
      "0/7000100.";
  CHECK(world.outcome(to_lsn("0/7000240"_lsn)) == refused);
  CHECK(
      world.outcome(to_lsn("0/7000248"_lsn, true)).starts_with("walback: no record that starts at or after"));
}

TEST_CASE("plan: a transaction, and the moment before it") {
  World world;
  fill_one_timeline(world);
  CHECK(world.outcome(to_xid(11)) == "B1 with 0/4000100 on 1, last 11, next 12, end 0/4000130, 3 segments");
  CHECK(world.outcome(to_xid(11, true)) ==
        "B1 before 0/4000100 on 1, last 10, next 11, end 0/4000100, 3 segments");
  const auto plan = world.plan(to_xid(11, true));
  REQUIRE(plan);
  CHECK(plan->commit_at_stop->xid == 11);
  CHECK(plan->last_end_before_stop->xid == 10);
  CHECK(world.outcome(to_xid(99)) ==
        "walback: no commit or abort of transaction 99 is captured\n"
        "hint: A transaction without an xid (read-only) leaves no trace; `walback commits` lists those that "
        "did.");
}

TEST_CASE("plan: subtransactions, aborted and reused xids are said") {
  World world;
  world.timeline(1);
  world.end(1, "0/3000100"_lsn, 200, 10);
  world.end(1, "0/3000200"_lsn, 210, 20).subxids = {21, 22};
  world.end(1, "0/3000300"_lsn, 220, 30, TransactionEndKind::abort).subxids = {31};
  world.end(1, "0/4000100"_lsn, 300, 10);
  world.finished(1, 2, 4);
  world.backup("B1", 1, "0/2000028"_lsn, "0/2000128"_lsn, 100);

  const auto inner = world.plan(to_xid(22));
  REQUIRE(inner);
  CHECK(inner->stop == StopPoint{"0/3000200"_lsn, true});
  REQUIRE(inner->warnings.size() == 1);
  CHECK(inner->warnings[0].message == "22 is a subtransaction: it ends with its top-level transaction 20");

  CHECK(world.outcome(to_xid(30)) ==
        "walback: transaction 30 was aborted at 0/3000300 (2026-11-20T10:03:40.000000Z): nothing of it is "
        "visible at "
        "any moment\nhint: --to-lsn 0/3000300 --before is the moment just before its abort.");
  CHECK(world.outcome(to_xid(31))
            .starts_with("walback: transaction 31 (a subtransaction of 30) was aborted at 0/3000300"));

  const auto reused = world.plan(to_xid(10));
  REQUIRE(reused);
  CHECK(reused->stop.lsn == "0/4000100"_lsn);
  REQUIRE(reused->warnings.size() == 1);
  CHECK(reused->warnings[0].message ==
        "2 transactions with xid 10 are captured (the counter wrapped around); this is the newest, of "
        "2026-11-20T10:05:00.000000Z");
}

TEST_CASE("plan: a restore point, and names that are not one") {
  World world;
  fill_one_timeline(world);
  world.event(1, "0/4000200"_lsn, RestorePointSet{at(310), "before_upgrade"});
  CHECK(world.outcome(to_name("before_upgrade")) ==
        "B1 with 0/4000200 on 1, last 11, next 12, end 0/4000240, 3 segments");
  CHECK(world.outcome(to_name("before_upgrade", true)) ==
        "B1 before 0/4000200 on 1, last 11, next 12, end 0/4000200, 3 segments");
  CHECK(world.outcome(to_name("before_upgrad")) ==
        "walback: no restore point 'before_upgrad' is captured\nhint: Did you mean --to-name "
        "'before_upgrade'?");
  world.event(1, "0/5000200"_lsn, RestorePointSet{at(410), "before_upgrade"});
  CHECK(world.outcome(to_name("before_upgrade")) ==
        "walback: 2 restore points are named 'before_upgrade': 0/4000200 (2026-11-20T10:05:10.000000Z) on "
        "timeline 1; "
        "0/5000200 (2026-11-20T10:06:50.000000Z) on timeline 1\n"
        "hint: Name the one you mean by its position: --to-lsn with the LSN above.");
}

TEST_CASE("plan: latest and consistent") {
  World world;
  fill_one_timeline(world);
  CHECK(world.outcome(to(TargetKind::latest)) ==
        "B1 with 0/7000200 on 1, last 13, next -, end 0/7000240, 6 segments");
  CHECK(world.outcome(to(TargetKind::consistent)) ==
        "B1 before 0/2000128 on 1, last -, next 10, end 0/2000128, 1 segments");
  // Nothing starts at the newest backup's consistency yet.
  world.backup("B2", 1, "0/7000140"_lsn, "0/7000240"_lsn, 560);
  CHECK(world.outcome(to(TargetKind::consistent)) ==
        "B2 with 0/7000200 on 1, last 13, next -, end 0/7000240, 1 segments");
}

TEST_CASE("plan: the newest base backup that leads there is chosen") {
  World world;
  fill_one_timeline(world);
  world.backup("B2", 1, "0/4000028"_lsn, "0/4000100"_lsn, 290);
  CHECK(world.outcome(to_xid(11, true)) ==
        "B2 before 0/4000100 on 1, last 10, next 11, end 0/4000100, 1 segments");
  CHECK(world.outcome(to_xid(10)) == "B1 with 0/3000100 on 1, last 10, next 11, end 0/3000130, 2 segments");
}

TEST_CASE("plan: the JSON keys are a contract") {
  World world;
  fill_one_timeline(world);
  world.event(1, "0/3000200"_lsn, ParametersChanged{200, 8, 10, 0, 64, 1, false, true});
  world.event(1, "0/4000300"_lsn, ParametersChanged{100, 16, 10, 5, 64, 1, false, true});
  const auto plan = world.plan(to_xid(12));
  REQUIRE(plan);
  CHECK(plan->settings == SettingsFloor{200, 16, 10, 5, 64});
  CHECK(
      to_line(to_json(*plan)) ==
      R"({"target":{"kind":"xid","xid":12,"before":false,"timeline":null,"text":"transaction 12",)"
      R"("options":"--to-xid 12"},"backup":{"id":"B1","timeline":1,"start_lsn":"0/2000028",)"
      R"("stop_lsn":"0/2000128","finished_at":"2026-11-20T10:01:40.000000Z","size_bytes":24117248,"tablespaces":[]},"timeline":1,)"
      R"("stop":{"lsn":"0/5000100","inclusive":true},"expected_end":"0/5000130",)"
      R"("last_commit":{"lsn":"0/5000100","end_lsn":"0/5000130","time":"2026-11-20T10:06:40.000000Z","xid":12},)"
      R"("next_commit":{"lsn":"0/7000100","end_lsn":"0/7000130","time":"2026-11-20T10:08:20.000000Z","xid":13},)"
      R"("commit_at_stop":{"lsn":"0/5000100","end_lsn":"0/5000130","time":"2026-11-20T10:06:40.000000Z","xid":12},)"
      R"("wal":{"segments":4,"bytes":50331912,"runs":[{"timeline":1,"first":"000000010000000000000002",)"
      R"("last":"000000010000000000000005","count":4,"epoch":1,"state":"finished"}]},)"
      R"("settings":{"max_connections":200,"max_worker_processes":16,"max_wal_senders":10,)"
      R"("max_prepared_transactions":5,"max_locks_per_transaction":64},"tablespaces_created":[],"warnings":[]})");
  CHECK(render_text(*plan, "UTC") ==
        "target       transaction 12\n"
        "base backup  B1 (23 MB, consistent at 0/2000128, finished 2026-11-20T10:01:40.000000Z)\n"
        "segments     4, from 000000010000000000000002 to 000000010000000000000005\n"
        "WAL          48.0 MB to replay on timeline 1\n"
        "stop         with the record at 0/5000100\n"
        "last commit  transaction 12 at 0/5000100, 2026-11-20T10:06:40.000000Z\n"
        "next commit  transaction 13 at 0/7000100, 2026-11-20T10:08:20.000000Z\n");
}

TEST_CASE("plan: each segment is named with its file") {
  World world;
  fill_one_timeline(world);
  const auto plan = world.plan(to(TargetKind::latest));
  REQUIRE(plan);
  const ArchiveLayout layout{"/archive"};
  std::vector<std::string> files;
  each_planned_segment(*plan, [&](const PlannedSegment& segment) {
    files.push_back(file_of(segment, layout, world.identity.segment_size).string());
    return true;
  });
  REQUIRE(files.size() == 6);
  CHECK(files.front() == "/archive/wal/0001/000000010000000000000002");
  CHECK(files.back() == "/archive/wal/0001/000000010000000000000007.partial");
  CHECK(find_planned_segment(*plan, {{1}, {7}})->state == SegmentState::open);
  CHECK_FALSE(find_planned_segment(*plan, {{1}, {8}}));
  CHECK_FALSE(find_planned_segment(*plan, {{2}, {7}}));
}
