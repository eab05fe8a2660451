#include "restore/clock_set_back.h"

#include <doctest/doctest.h>

#include "plan_world.h"
#include "restore/recoverable_window.h"

using namespace walback;
using namespace walback::test;

TEST_CASE("plan: the primary's clock was set back in the silence: the watermark taken last is believed") {
  World world;
  fill_one_timeline(world);
  world.open(1, 7, "0/7000400"_lsn, "0/7000440"_lsn);
  world.watermark(1, "0/7000240"_lsn, 640);
  CHECK(world.outcome(to_time(600)) == "B1 with 0/7000400 on 1, last 13, next -, end 0/7000440, 6 segments");
  world.watermark(1, "0/7000300"_lsn, 550);
  CHECK(world.outcome(to_time(540)) == "B1 with 0/7000400 on 1, last 13, next -, end 0/7000440, 6 segments");
  CHECK(world.outcome(to_time(600)).find("and the newest watermark is of 2026-11-20T10:09:10.000000Z\n") !=
        std::string::npos);
  world.watermark(1, "0/7000400"_lsn, 50);
  const std::string refused = world.outcome(to_time(600));
  CHECK(
      refused.find("and the newest watermark is of 2026-11-20T10:00:50.000000Z: the primary's clock was set "
                   "back\nhint: If the primary is alive and `walback manage` runs, the next watermark "
                   "reaches it; else --to-latest takes everything captured. ") != std::string::npos);
  CHECK(world.outcome(to_time(500)).find("the primary's clock was set back") != std::string::npos);
  // What is decided by a record needs no watermark.
  CHECK(world.outcome(to_time(450)) ==
        "B1 before 0/7000100 on 1, last 12, next 13, end 0/7000100, 6 segments");
  // The clock has passed the old time again.
  world.watermark(1, "0/7000400"_lsn, 700);
  CHECK(world.outcome(to_time(600)) == "B1 with 0/7000400 on 1, last 13, next -, end 0/7000440, 6 segments");
}

TEST_CASE("plan: a commit behind a watermark and stamped before it contradicts it, and the index wins") {
  World world;
  world.timeline(1);
  world.end(1, "0/3000100"_lsn, 500, 10);
  world.end(1, "0/4000100"_lsn, 300, 11);
  world.end(1, "0/4000200"_lsn, 301, 12);
  world.finished(1, 2, 3);
  world.open(1, 4, "0/4000200"_lsn, "0/4000230"_lsn);
  world.backup("B1", 1, "0/2000028"_lsn, "0/2000128"_lsn, 100);
  world.watermark(1, "0/3000200"_lsn, 640);
  CHECK(
      world.outcome(to_time(600))
          .starts_with("walback: nothing shows what was committed up to 2026-11-20T10:10:00.000000Z: the "
                       "last captured transaction ended at 0/4000200 (2026-11-20T10:05:01.000000Z), and the "
                       "watermark of 2026-11-20T10:10:40.000000Z does not hold: the primary's clock was set "
                       "back, transaction 11 behind it at 0/4000100 (2026-11-20T10:05:00.000000Z) is "
                       "stamped earlier\nhint: If the primary is alive and `walback manage` runs, the next "
                       "watermark reaches it; else --to-latest takes everything captured. "));
  const auto window = recoverable_window(world.catalog, world.identity);
  REQUIRE(window);
  CHECK_FALSE(window->watermark);
  REQUIRE(window->clock_set_back);
  CHECK(to_json(*window).at("clock_set_back") == Json{{"before", "2026-11-20T10:08:20.000000Z"},
                                                      {"before_lsn", "0/3000100"},
                                                      {"now", "2026-11-20T10:05:01.000000Z"},
                                                      {"now_lsn", "0/4000200"}});

  // A time that came twice: the first is meant, and it is said.
  const auto plan = world.plan(to_time(400));
  REQUIRE(plan);
  CHECK(plan->stop.lsn == "0/3000100"_lsn);
  REQUIRE(plan->warnings.size() == 2);
  CHECK(plan->warnings[1].code == "clock_set_back");
  CHECK(plan->warnings[1].message ==
        "the primary's clock was set back, by 3 min 20 s at least, between 0/3000100 "
        "(2026-11-20T10:08:20.000000Z) and 0/4000100 (2026-11-20T10:05:00.000000Z): the times between came "
        "twice, and --to-time means the first; --to-lsn and --to-xid mean one moment each");
}

TEST_CASE("window: stamps that commits at once put in the wrong order are no clock that was set back") {
  World world;
  fill_one_timeline(world);
  world.end(1, "0/7000300"_lsn, 496, 14);
  world.open(1, 7, "0/7000300"_lsn, "0/7000330"_lsn);
  CHECK_FALSE(recoverable_window(world.catalog, world.identity)->clock_set_back);
  // Between a watermark's time and its LSN transactions may end; the rule's wait is its bound.
  world.watermark(1, "0/7000330"_lsn, 498);
  CHECK_FALSE(recoverable_window(world.catalog, world.identity)->clock_set_back);
  world.watermark(1, "0/7000330"_lsn, 494);
  CHECK(recoverable_window(world.catalog, world.identity)->clock_set_back);
}
