#include "restore/random_moment.h"

#include <map>

#include "plan_world.h"

using namespace walback;
using namespace walback::test;

namespace {

std::string drawn(const World& world, std::uint64_t seed) {
  const auto moment = random_moment(world.catalog, world.identity, seed);
  REQUIRE_MESSAGE(moment, moment.error().message);
  const TargetOptions& target = moment->target;
  if (target.to_latest) return "latest";
  return target.to_lsn ? *target.to_lsn + (target.before ? " before" : "") : "time";
}

}  // namespace

TEST_CASE(
    "random moment: every commit of the window, a time, the newest; never what lies before the window") {
  World world;
  fill_one_timeline(world);
  world.end(1, "0/2000110"_lsn, 90, 9);  // before the base backup is consistent
  world.finished(1, 2, 2);
  std::map<std::string, int> counts;
  for (std::uint64_t seed = 0; seed < 2'000; ++seed) ++counts[drawn(world, seed)];
  CHECK(counts["latest"] > 200);
  CHECK(counts["time"] > 500);
  for (const char* commit : {"0/3000100", "0/4000100", "0/5000100", "0/7000100"}) {
    CHECK(counts[commit] > 50);
    CHECK(counts[std::string(commit) + " before"] > 50);
  }
  CHECK(counts.size() == 10);
}

TEST_CASE("random moment: whatever is drawn has a plan; the same seed draws the same") {
  World world;
  fill_one_timeline(world);
  world.watermark(1, "0/7000240"_lsn, 900);
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const auto moment = random_moment(world.catalog, world.identity, seed);
    REQUIRE(moment);
    const auto target = parse_recovery_target(moment->target, "UTC", at(1000));
    REQUIRE(target);
    const auto plan = world.plan(*target);
    CHECK_MESSAGE(plan.has_value(), "seed " << seed << ": " << to_options(*target));
    CHECK(drawn(world, seed) == drawn(world, seed));
  }
}

TEST_CASE("random moment: silence behind the last commit is drawn as often as it is long") {
  World world;
  fill_one_timeline(world);
  world.watermark(1, "0/7000240"_lsn, 5'000);  // 4,500 of 4,900 seconds are silent
  int silent = 0, times = 0;
  for (std::uint64_t seed = 0; seed < 1'000; ++seed) {
    const auto moment = random_moment(world.catalog, world.identity, seed);
    REQUIRE(moment);
    if (!moment->target.to_time) continue;
    ++times;
    silent += *moment->target.to_time > to_rfc3339(at(500)) ? 1 : 0;
  }
  CHECK(silent * 100 / times > 85);
}

TEST_CASE("random moment: without a base backup there is nothing to draw from") {
  World world;
  world.timeline(1);
  world.finished(1, 2, 6);
  const auto moment = random_moment(world.catalog, world.identity, 1);
  REQUIRE(!moment);
  CHECK(render(moment.error()) ==
        "walback: nothing can be restored: the archive holds no base backup\n"
        "hint: Is `walback run` running? Then take a base backup: walback backup.");
}
