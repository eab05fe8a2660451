#include <doctest/doctest.h>

#include <chrono>

#include "plan_world.h"
#include "restore/recoverable_window.h"

/// The planner's decision table: each reason not to restore, with the whole text that a person reads.
using namespace walback;
using namespace walback::test;

TEST_CASE("refusal: an archive without WAL, without base backups, with none that is usable") {
  World world;
  CHECK(world.outcome(to(TargetKind::latest)) ==
        "walback: the archive holds no WAL\nhint: Is the capturer running? `walback check` says what is "
        "missing.");
  world.timeline(1);
  world.end(1, "0/3000100"_lsn, 200, 10);
  world.finished(1, 2, 3);
  CHECK(world.outcome(to_xid(10)) ==
        "walback: the archive holds no base backup\n"
        "hint: Take one with `walback backup`: only moments after it can be restored.");
  auto backup = world.backup("B1", 1, "0/2000028"_lsn, "0/2000128"_lsn, 100);
  backup.problem = "its manifest is damaged";
  REQUIRE(world.catalog.put_backup(backup));
  CHECK(world.outcome(to_xid(10)) ==
        "walback: no base backup is usable: 'B1' (its manifest is damaged)\n"
        "hint: `walback list backups` shows them; `walback backup` takes a new one.");
  CHECK(world.outcome(to(TargetKind::consistent)) ==
        "walback: no base backup on timeline 1 is usable\n"
        "hint: `walback list backups` says why; take one with `walback backup`.");
}

TEST_CASE("refusal: a target before the first consistent point names it") {
  World world;
  world.timeline(1);
  world.end(1, "0/2000100"_lsn, 50, 9);
  world.end(1, "0/4000100"_lsn, 300, 11);
  world.finished(1, 2, 4);
  world.backup("B1", 1, "0/3000028"_lsn, "0/3000128"_lsn, 100);
  CHECK(world.outcome(to_lsn("0/3000100"_lsn)) ==
        "walback: 0/3000100 lies before the first consistent point, 0/3000128 (2026-11-20T10:00:50.000000Z) "
        "of base "
        "backup 'B1'\nhint: The first reachable moment after it is 0/3000128 (2026-11-20T10:00:50.000000Z) "
        "with "
        "--to-lsn 0/3000128 --before.");
  CHECK(
      world.outcome(to_time(40)) ==
      "walback: 2026-11-20T10:00:40.000000Z (at 0/2000100) lies before the first consistent point, 0/3000128 "
      "(2026-11-20T10:00:50.000000Z) of base backup 'B1'\n"
      "hint: The first reachable moment after it is 0/3000128 (2026-11-20T10:00:50.000000Z) with --to-lsn "
      "0/3000128 "
      "--before.");
  // The last commit before the base is known, so the state at 60 s is known too.
  CHECK(world.outcome(to_time(60)) == "B1 before 0/4000100 on 1, last 9, next 11, end 0/4000100, 2 segments");
}

TEST_CASE("refusal: a time before anything was captured is not the first state that is") {
  World world;
  fill_one_timeline(world);
  CHECK(world.outcome(to_time(50)) ==
        "walback: what was committed at 2026-11-20T10:00:50.000000Z is not known: the WAL before 0/2000000 "
        "was never "
        "captured, and base backup 'B1', finished at 2026-11-20T10:01:40.000000Z, is the first that is\n"
        "hint: The first reachable moment after it is 0/2000128 (2026-11-20T10:01:40.000000Z) with --to-lsn "
        "0/2000128 "
        "--before.");
}

TEST_CASE("refusal: a missing segment refuses exactly the targets that need it") {
  World world;
  world.timeline(1);
  world.end(1, "0/3000100"_lsn, 200, 10);
  world.end(1, "0/6000100"_lsn, 400, 12);
  world.end(1, "0/8000100"_lsn, 500, 13);
  world.finished(1, 2, 3);
  world.finished(1, 6, 8);
  world.backup("B1", 1, "0/2000028"_lsn, "0/2000128"_lsn, 100);
  CHECK(world.outcome(to_xid(10)) == "B1 with 0/3000100 on 1, last 10, next 12, end 0/3000130, 2 segments");
  CHECK(world.outcome(to_xid(12)) ==
        "walback: transaction 12 needs WAL that is not in the archive: 2 segments are missing, from "
        "000000010000000000000004 to 000000010000000000000005 (0/4000000 to 0/6000000)\n"
        "hint: The last reachable moment before it is 0/3000100 (2026-11-20T10:03:20.000000Z) with --to-lsn "
        "0/3000100.");
  CHECK(world.outcome(to_time(300))
            .starts_with("walback: 2026-11-20T10:05:00.000000Z needs WAL that is not in the archive"));
  CHECK(world.outcome(to(TargetKind::latest))
            .starts_with("walback: the end of the captured WAL needs WAL that is not in the archive"));

  world.backup("B2", 1, "0/7000028"_lsn, "0/7000128"_lsn, 450);
  CHECK(world.outcome(to_xid(13)) == "B2 with 0/8000100 on 1, last 13, next -, end 0/8000130, 2 segments");
  const auto refused = world.plan(to_xid(12));
  REQUIRE_FALSE(refused);
  CHECK(
      refused.error().error.hint ==
      "Reachable nearby: before it 0/3000100 (2026-11-20T10:03:20.000000Z) with --to-lsn 0/3000100, after it "
      "0/7000128 (2026-11-20T10:06:40.000000Z) with --to-lsn 0/7000128 --before.");
  CHECK(
      to_line(to_json(refused.error())["nearest"]) ==
      R"({"before":{"lsn":"0/3000100","time":"2026-11-20T10:03:20.000000Z","options":"--to-lsn 0/3000100"},)"
      R"("after":{"lsn":"0/7000128","time":"2026-11-20T10:06:40.000000Z","options":"--to-lsn 0/7000128 --before"}})");
}

TEST_CASE("refusal: a time in a gap, where only a base backup lies between the gap and the next commit") {
  World world;
  world.timeline(1);
  world.end(1, "0/3000100"_lsn, 200, 10);
  world.end(1, "0/8000100"_lsn, 500, 13);
  world.finished(1, 2, 3);
  world.finished(1, 6, 8);
  world.backup("B1", 1, "0/2000028"_lsn, "0/2000128"_lsn, 100);
  world.backup("B2", 1, "0/7000028"_lsn, "0/7000128"_lsn, 450);
  CHECK(world.outcome(to_time(470)) ==
        "B2 before 0/8000100 on 1, last 10, next 13, end 0/8000100, 2 segments");
  CHECK(
      world.outcome(to_time(300)) ==
      "walback: what was committed at 2026-11-20T10:05:00.000000Z is not known: 2 segments are missing, from "
      "000000010000000000000004 to 000000010000000000000005, and base backup 'B2', finished at "
      "2026-11-20T10:07:30.000000Z, is the first that is\n"
      "hint: Reachable nearby: before it 0/3000100 (2026-11-20T10:03:20.000000Z) with --to-lsn 0/3000100, "
      "after it "
      "0/7000128 (2026-11-20T10:07:30.000000Z) with --to-lsn 0/7000128 --before.");
}

TEST_CASE("refusal: a damaged segment serves what precedes the damage and nothing behind it") {
  World world;
  world.timeline(1);
  world.end(1, "0/3000100"_lsn, 200, 10);
  world.end(1, "0/5000100"_lsn, 400, 12);
  world.finished(1, 2, 2);
  world.damaged(1, 3, "0/3000200"_lsn, "0/3000240"_lsn);
  world.finished(1, 4, 5);
  world.backup("B1", 1, "0/2000028"_lsn, "0/2000128"_lsn, 100);
  CHECK(world.outcome(to_xid(10)) == "B1 with 0/3000100 on 1, last 10, next 12, end 0/3000130, 2 segments");
  CHECK(world.outcome(to_xid(12)) ==
        "walback: transaction 12 needs WAL that is damaged: segment 000000010000000000000003: damaged at "
        "0/3000240: "
        "the checksum is wrong (0/3000240 to 0/4000000)\n"
        "hint: The last reachable moment before it is 0/3000100 (2026-11-20T10:03:20.000000Z) with --to-lsn "
        "0/3000100.");
  CHECK(world.plan(to_xid(12)).error().error.kind == ErrorKind::corrupt);
}

TEST_CASE("refusal: damage at the very end is no end") {
  World world;
  world.timeline(1);
  world.end(1, "0/3000100"_lsn, 200, 10);
  world.finished(1, 2, 2);
  world.damaged(1, 3, "0/3000200"_lsn, "0/3000240"_lsn);
  world.backup("B1", 1, "0/2000028"_lsn, "0/2000128"_lsn, 100);
  world.watermark(1, "0/3000240"_lsn, 300);
  CHECK(world.outcome(to(TargetKind::latest)) ==
        "walback: the end of the captured WAL needs WAL that is damaged: segment 000000010000000000000003: "
        "damaged at "
        "0/3000240: the checksum is wrong (0/3000240 to 0/4000000)\n"
        "hint: The last reachable moment before it is 0/3000100 (2026-11-20T10:03:20.000000Z) with --to-lsn "
        "0/3000100.");
}

TEST_CASE("refusal: a foreign segment serves nothing") {
  World world;
  world.timeline(1);
  world.end(1, "0/2000200"_lsn, 200, 10);
  world.finished(1, 2, 2);
  world.foreign(1, 3);
  world.backup("B1", 1, "0/2000028"_lsn, "0/2000128"_lsn, 100);
  CHECK(world.outcome(to_xid(10)) == "B1 with 0/2000200 on 1, last 10, next -, end 0/2000230, 1 segments");
  CHECK(world.outcome(to(TargetKind::latest)) ==
        "walback: the end of the captured WAL needs WAL that is damaged: segment 000000010000000000000003: "
        "of another "
        "cluster: system identifier 42 (0/3000000 to 0/4000000)\n"
        "hint: The last reachable moment before it is 0/2000200 (2026-11-20T10:03:20.000000Z) with --to-lsn "
        "0/2000200.");
}

TEST_CASE("refusal: a partial in the middle, and a gap inside a segment") {
  World world;
  world.timeline(1);
  world.end(1, "0/5000100"_lsn, 400, 12);
  world.finished(1, 2, 2);
  world.open(1, 3, "0/3000200"_lsn, "0/3000240"_lsn);
  world.finished(1, 4, 5);
  world.backup("B1", 1, "0/2000028"_lsn, "0/2000128"_lsn, 100);
  CHECK(world.outcome(to_xid(12))
            .starts_with("walback: transaction 12 needs WAL that is not in the archive: segment "
                         "000000010000000000000003 was captured "
                         "only up to 0/3000240 (0/3000240 to 0/4000000)\n"));

  World other;
  fill_one_timeline(other);
  REQUIRE(other.catalog.put_gap({{1}, "0/4000200"_lsn, "0/4000400"_lsn, "found by a test", at(1), true}));
  CHECK(other.outcome(to_xid(12))
            .starts_with("walback: transaction 12 needs WAL that is not in the archive: the WAL from "
                         "0/4000200 to 0/4000400 is not "
                         "there (found by a test) (0/4000200 to 0/4000400)\n"));
  CHECK(other.outcome(to_xid(11)) == "B1 with 0/4000100 on 1, last 11, next 12, end 0/4000130, 3 segments");
}

TEST_CASE("refusal: a base backup whose own WAL is not whole") {
  World world;
  world.timeline(1);
  world.end(1, "0/5000100"_lsn, 400, 12);
  world.finished(1, 3, 5);
  world.backup("B1", 1, "0/2000028"_lsn, "0/3000128"_lsn, 100);
  CHECK(world.outcome(to_xid(12)) ==
        "walback: transaction 12 needs WAL that is not in the archive: the WAL before 0/3000000 was never "
        "captured "
        "(0/0 to 0/3000000)");
}

TEST_CASE("plan: DROP DATABASE removes files before it commits; the stop minds it") {
  World world;
  world.timeline(1);
  world.end(1, "0/3000100"_lsn, 200, 10);
  world.end(1, "0/3000900"_lsn, 300, 11);
  world.finished(1, 2, 3);
  world.backup("B1", 1, "0/2000028"_lsn, "0/2000128"_lsn, 100);
  world.event(1, "0/3000800"_lsn, DatabaseDropped{16'500}, 11);
  CHECK(world.outcome(to_time(250)) ==
        "B1 before 0/3000800 on 1, last 10, next 11, end 0/3000800, 2 segments");
  CHECK(world.outcome(to_xid(11, true)) ==
        "B1 before 0/3000800 on 1, last 10, next 11, end 0/3000800, 2 segments");
  const auto after = world.plan(to_xid(11));
  REQUIRE(after);
  CHECK(after->warnings.empty());
  const auto exact = world.plan(to_lsn("0/3000900"_lsn, true));
  REQUIRE(exact);
  REQUIRE(exact->warnings.size() == 1);
  CHECK(exact->warnings[0] ==
        PlanWarning{
            "database_files_removed",
            "transaction 11 removed a database's files at 0/3000800 and has not committed at the stop: that "
            "database is listed and cannot be opened; --to-lsn 0/3000800 --before keeps it"});
}

TEST_CASE("plan: 100,000 segments") {
  World world;
  world.timeline(1);
  constexpr std::uint64_t kLast = 100'001;
  std::vector<Lsn> starts;
  REQUIRE(world.catalog.transaction([&]() -> Status {
    for (std::uint64_t number = 2; number <= kLast; ++number) {
      auto row = world.row(1, number);
      for (std::uint32_t i = 0; i < 4; ++i) {
        TransactionEnd end;
        end.lsn = row.start_lsn + 0x1000 * (i + 1);
        end.end_lsn = end.lsn + 0x30;
        end.time = at(static_cast<double>(number) + 0.2 * i);
        end.xid = static_cast<std::uint32_t>(number * 4 + i);
        row.ends.push_back(end);
      }
      if (auto stored = world.catalog.put_segment(row); !stored) return stored;
    }
    return {};
  }));
  world.backup("B1", 1, "0/2000028"_lsn, "0/2000128"_lsn, 1);
  for (const auto& target : {to_time(99'000.5), to_xid(400'001), to(TargetKind::latest), to_time(3.5),
                             to_lsn(Lsn{90'000 * World::kSegment + 0x123450})}) {
    const auto begin = std::chrono::steady_clock::now();
    const auto plan = world.plan(target);
    const auto took =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
    REQUIRE_MESSAGE(plan, (plan ? "" : plan.error().error.message));
    CHECK(plan->segments.size() == 1);
    MESSAGE(to_string(target), " took ", took.count(), " ms");
    CHECK(took.count() < 250);
  }
}
