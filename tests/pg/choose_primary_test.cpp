#include "pg/choose_primary.h"

#include <doctest/doctest.h>

#include "pg/find_primary.h"

using namespace walback;

namespace {

constexpr std::uint64_t kSystem = 7299402;

TimelineHistory path(std::vector<std::pair<std::uint32_t, std::uint64_t>> left, std::uint32_t now) {
  TimelineHistory history{{now}, {}};
  for (const auto& [timeline, lsn] : left) history.entries.push_back({{timeline}, {lsn}, ""});
  return history;
}

HostSight writes(const std::string& name, const TimelineHistory& history, std::int64_t started = 0) {
  static std::int64_t next = 1;
  return {{"host=" + name, name}, SeenServer{kSystem, false, history, {started != 0 ? started : next++}}};
}
HostSight in_recovery(const std::string& name) {
  return {{"host=" + name, name}, SeenServer{kSystem, true, {{1}, {}}, {1}}};
}
HostSight silent(const std::string& name) {
  return {{"host=" + name, name}, fail(ErrorKind::unreachable, name + " refused the connection")};
}

KnownCluster holds(std::optional<TimelineHistory> history) {
  return {kSystem, std::move(history)};
}

/// "db1", with what was refused behind it; or the error's kind and text.
std::string choice(const std::vector<HostSight>& hosts, const KnownCluster& known) {
  const auto chosen = choose_primary(hosts, known);
  if (!chosen) return std::string(name_of(chosen.error().kind)) + ": " + chosen.error().message;
  std::string text = chosen->host.name;
  for (const Error& refused : chosen->refused)
    text += " | " + std::string(name_of(refused.kind)) + ": " + refused.message;
  return text;
}

const TimelineHistory kFirst = path({}, 1);
const TimelineHistory kSecond = path({{1, 0x94F780}}, 2);
const TimelineHistory kThird = path({{1, 0x94F780}, {2, 0xA00000}}, 3);

}  // namespace

TEST_CASE("the primary: the host that is not in recovery, wherever it stands in the list") {
  CHECK(choice({writes("db1", kFirst), in_recovery("db2")}, holds(kFirst)) == "db1");
  CHECK(choice({in_recovery("db1"), silent("db2"), writes("db3", kSecond)}, holds(kFirst)) == "db3");
  CHECK(choice({writes("db1", kFirst)}, holds({})) == "db1");
  CHECK(choice({writes("db1", kThird)}, {}) == "db1");
}

TEST_CASE("the primary: one that goes on from what is held, over several promotions too") {
  CHECK(choice({writes("db2", kSecond)}, holds(kSecond)) == "db2");
  CHECK(choice({writes("db2", kThird)}, holds(kFirst)) == "db2");
  CHECK(choice({writes("db2", kThird)}, holds(path({}, 2))) == "db2");  // its history file is missing
}

TEST_CASE("the primary: an old one that came back is refused, alone and beside the new one") {
  CHECK(choice({writes("db1", kFirst)}, holds(kSecond)) ==
        "conflict: 'db1' takes writes on timeline 1, which the archive's history left for timeline 2 at "
        "0/94F780");
  CHECK(
      choice({writes("db1", kFirst), writes("db2", kSecond)}, holds(kSecond)) ==
      "db2 | conflict: 'db1' takes writes on timeline 1, which the archive's history left for timeline 2 at "
      "0/94F780");
  // The archive has not seen the promotion yet.
  CHECK(choice({writes("db1", kFirst), writes("db2", kSecond)}, holds(kFirst)) ==
        "db2 | conflict: 'db1' takes writes on timeline 1, which 'db2' left for timeline 2 at 0/94F780");
  CHECK(choice({writes("db1", kFirst)}, holds(path({}, 2))) ==
        "conflict: 'db1' takes writes on timeline 1, which the archive's history left for timeline 2");
}

TEST_CASE("the primary: a timeline that does not descend from ours is refused, with both histories") {
  const TimelineHistory other = path({{1, 0x800000}}, 2);
  CHECK(
      choice({writes("db2", other)}, holds(kSecond)) ==
      "conflict: timeline 2 of 'db2' does not descend from timeline 2, which the archive holds: its history "
      "is 1 until 0/800000, then 2, the archive's 1 until 0/94F780, then 2");
  CHECK(
      choice({writes("db2", path({{1, 0x94F780}}, 3))}, holds(kSecond)) ==
      "conflict: timeline 3 of 'db2' does not descend from timeline 2, which the archive holds: its history "
      "is 1 until 0/94F780, then 3, the archive's 1 until 0/94F780, then 2");
}

TEST_CASE("the primary: two that take writes, and none goes on from the other") {
  CHECK(
      choice({writes("db1", kFirst), writes("db2", kFirst)}, holds(kFirst)) ==
      "conflict: several servers take writes, and none goes on from the others: 'db1' (timelines: 1), 'db2' "
      "(timelines: 1)");
  CHECK(choice({writes("db1", kSecond), writes("db2", path({{1, 0x950000}}, 3))}, holds(kFirst)) ==
        "conflict: several servers take writes, and none goes on from the others: 'db1' (timelines: 1 until "
        "0/94F780, then 2), 'db2' (timelines: 1 until 0/950000, then 3)");
  // One server by two names is one.
  CHECK(choice({writes("db1", kFirst, 42), writes("vip", kFirst, 42)}, holds(kFirst)) == "db1");
}

TEST_CASE("the primary: none yet is waited for, and what a person must do is said all the same") {
  CHECK(choice({in_recovery("db1")}, holds(kFirst)) ==
        "unreachable: the server 'db1' is a standby, expected the primary");
  const auto waiting = choose_primary({writes("db1", kFirst), silent("db2")}, holds(kSecond));
  REQUIRE_FALSE(waiting);
  CHECK(waiting.error().kind == ErrorKind::unreachable);
  CHECK(waiting.error().message ==
        "none of 2 hosts is the primary: 'db1' takes writes on timeline 1, which the archive's history left "
        "for timeline 2 at 0/94F780; db2 refused the connection");
  CHECK(waiting.error().hint.starts_with("Is it an old primary that came back? Stop it"));
  HostSight busy = silent("db3");
  busy.seen = fail(ErrorKind::unavailable, "too many clients");
  CHECK(choice({silent("db2"), busy}, holds(kFirst)) ==
        "unavailable: none of 2 hosts is the primary: db2 refused the connection; too many clients");
}

TEST_CASE("the primary: another cluster's server is refused, and ends the search when it is alone") {
  HostSight foreign = writes("db9", kFirst);
  foreign.seen->system_identifier = 5;
  CHECK(choice({foreign}, holds(kFirst)) ==
        "foreign_system: the server 'db9' carries system identifier 5, the archive expects 7299402");
  CHECK(choice({foreign, writes("db1", kFirst)}, holds(kFirst)) ==
        "db1 | foreign_system: the server 'db9' carries system identifier 5, the archive expects 7299402");
  CHECK(choice({foreign}, {}) == "db9");
}

TEST_CASE("a conninfo's hosts: one conninfo for each, and nothing that lets libpq choose") {
  const auto hosts = hosts_of("host=db1,db2 port=5433 user=w target_session_attrs=read-write");
  REQUIRE(hosts);
  CHECK(*hosts == std::vector<HostConninfo>{{"user=w host=db1 port=5433", "db1:5433"},
                                            {"user=w host=db2 port=5433", "db2:5433"}});
  CHECK(hosts_of("postgresql://w@db1:5433,db2:5434/x").value()[1].name == "db2:5434");
  CHECK(hosts_of("dbname=x").value() == std::vector<HostConninfo>{{"dbname=x", "the default host:5432"}});
  CHECK(hosts_of("host=db1,db1 port=5433").value().size() == 1);
  const auto unfit = hosts_of("host=db1,db2,db3 port=5433,5434");
  REQUIRE_FALSE(unfit);
  CHECK(unfit.error().kind == ErrorKind::config);
}

TEST_CASE("the primary: an older copy in its place stands behind what is held, and is refused") {
  HostSight copy = writes("db1", kFirst);
  KnownCluster known = holds(kFirst);
  known.held_up_to = Lsn{0x5000148};
  copy.seen->flush_lsn = Lsn{0x5000148};
  CHECK(choice({copy}, known) == "db1");
  copy.seen->flush_lsn = Lsn{0x5000140};
  CHECK(choice({copy}, known) ==
        "conflict: the server 'db1' stands at 0/5000140 on timeline 1, the archive holds WAL of that "
        "timeline up "
        "to 0/5000148: it is an older copy of the primary");
  // A newer timeline left ours somewhere: its history tells where.
  HostSight promoted = writes("db2", kSecond);
  promoted.seen->flush_lsn = Lsn{0x94F800};
  CHECK(choice({promoted}, known) == "db2");
}
