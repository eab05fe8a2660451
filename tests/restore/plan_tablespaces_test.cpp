#include <fmt/format.h>

#include "restore/plan_world.h"

using namespace walback;
using namespace walback::test;

namespace {

/// Segments 3 and 4; a base backup up to 0/3000128; commits 10 at 0/3000200, 11 at 0/4000100, 12 at
/// 0/4000300.
void fill(World& world) {
  world.timeline(1);
  world.end(1, "0/3000200"_lsn, 200, 10);
  world.end(1, "0/4000100"_lsn, 300, 11);
  world.end(1, "0/4000300"_lsn, 400, 12);
  world.finished(1, 3, 4);
  world.backup("B1", 1, "0/3000028"_lsn, "0/3000128"_lsn, 100);
}

std::string created(const RestorePlan& plan) {
  std::string text;
  for (const auto& one : plan.tablespaces_created)
    text += fmt::format("{} '{}' {} {}; ", one.oid, one.path, to_string(one.lsn),
                        one.time ? to_rfc3339(*one.time) : "?");
  return text;
}

}  // namespace

TEST_CASE("plan: a tablespace that replayed WAL creates, with the time of the commit that follows") {
  World world;
  fill(world);
  world.event(1, "0/4000200"_lsn, TablespaceCreated{16'400, "/srv/fast"}, 12);
  const auto before = world.plan(to_lsn("0/4000100"_lsn));
  REQUIRE(before);
  CHECK(before->tablespaces_created.empty());
  const auto plan = world.plan(to_lsn("0/4000300"_lsn));
  REQUIRE(plan);
  CHECK(created(*plan) == "16400 '/srv/fast' 0/4000200 2026-11-20T10:06:40.000000Z; ");
  CHECK(check_tablespaces(*plan, [](const std::string&) { return false; }));
  const auto refused = check_tablespaces(*plan, [](const std::string& path) { return path == "/srv/fast"; });
  REQUIRE_FALSE(refused);
  CHECK(refused.error() ==
        Error{ErrorKind::conflict,
              "the WAL up to the stop creates tablespace 16400 in '/srv/fast' (at 0/4000200, "
              "2026-11-20T10:06:40.000000Z), and that path exists on this host: it may be the live primary's",
              "Restore on a host without that path, or stop before it with --to-lsn 0/4000200 --before. What "
              "comes after the next `walback backup` can be restored here."});
}

TEST_CASE("plan: the record at which a stop comes to lie counts where it is replayed") {
  World world;
  fill(world);
  world.event(1, "0/4000200"_lsn, TablespaceCreated{16'400, "/srv/fast"}, 12);
  for (const bool before : {false, true}) {
    auto plan = world.plan(to_lsn("0/40001F0"_lsn, before));
    REQUIRE(plan);
    REQUIRE_FALSE(plan->expected_end);
    CHECK(plan->tablespaces_created.empty());
    // What was read of the WAL: the first record at or after the position asked for is the one that creates.
    REQUIRE(settle_stop(*plan, "0/4000200"_lsn, "0/4000240"_lsn, world.catalog));
    CHECK(created(*plan) ==
          std::string(before ? "" : "16400 '/srv/fast' 0/4000200 2026-11-20T10:06:40.000000Z; "));
  }
  World other;
  fill(other);
  other.event(1, "0/4000200"_lsn, ParametersChanged{77, 8, 10, 0, 64, 1, false, false});
  auto plan = other.plan(to_lsn("0/40001F0"_lsn));
  REQUIRE(plan);
  REQUIRE(settle_stop(*plan, "0/4000200"_lsn, "0/4000240"_lsn, other.catalog));
  CHECK(plan->settings.max_connections == 77);
}

TEST_CASE("plan: an in-place tablespace is nobody's path; tablespaces of the base are no obstacle") {
  World world;
  fill(world);
  world.event(1, "0/4000200"_lsn, TablespaceCreated{16'400, ""}, 12);
  auto backup = world.backup("B2", 1, "0/3000228"_lsn, "0/4000100"_lsn, 290);
  backup.tablespaces = {"16390 /srv/fast"};
  REQUIRE(world.catalog.put_backup(backup));
  const auto plan = world.plan(to_lsn("0/4000300"_lsn));
  REQUIRE_MESSAGE(plan, plan.error().error.message);
  CHECK(plan->backup.id == "B2");
  CHECK(check_tablespaces(*plan, [](const std::string&) { return true; }));
  CHECK(
      render_text(*plan, "UTC").find("tablespace   'pg_tblspc/16400' is created by the WAL at 0/4000200\n") !=
      std::string::npos);
}
