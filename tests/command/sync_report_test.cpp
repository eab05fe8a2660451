#include "command/sync_report.h"

#include <doctest/doctest.h>

#include "command/checklist.h"

using namespace walback;
using std::chrono::seconds;

namespace {

/// Commits wait, one watcher looks over a socket of the primary's host.
struct World {
  World() {
    report.note = SynchronousNote{};
    report.note->names = "walback_capture";
    report.view.names = "walback_capture";
    report.view.flush_lsn = {0x4000000};
    report.view.receivers = {{"streaming", "sync", "10.0.0.2", Lsn{0x4000000}, std::nullopt}};
    report.view.watchers = {{"", 200'000}};
    report.view.waiters = {{1, {0}, 5}};
  }
  void settle() { report.state = synchronous_state(report.note, report.view.names, "walback_capture"); }
  std::vector<std::string> problems() {
    settle();
    std::vector<std::string> lines;
    for (const SyncProblem& problem : sync_problems(report))
      lines.push_back((problem.serious ? "! " : "- ") + problem.text + " | " + problem.mend);
    return lines;
  }
  SyncReport report;
};

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("sync report: what somebody should look at, and what mends it") {
  World world;
  SyncReport& report = world.report;
  CHECK(world.problems() == Lines{});
  SUBCASE("fallen back") {
    report.view.names = "";
    report.note = fallen_back(*report.note, {1'000'000}, "walback_capture is not connected");
    CHECK(
        world.problems() ==
        Lines{"! commits do not wait for the capturer since 1970-01-01T00:00:01.000000Z: walback_capture is "
              "not connected | walback status (it returns by itself when the capturer has caught up)"});
  }
  SUBCASE("nobody watches") {
    report.view.watchers[0].silent_us = 60'000'000;
    CHECK(world.problems() ==
          Lines{"! nobody watches it: a capturer that dies stops every commit | walback run, or walback sync "
                "watch on the primary's host"});
  }
  SUBCASE("nobody watches from anywhere but the capturer's machine") {
    report.view.watchers[0].client_address = "10.0.0.2";
    CHECK(
        world.problems() ==
        Lines{"- only the capturer's machine watches it: without that machine, or the network to it, commits "
              "stop | walback sync watch, on the primary's host"});
    report.view.watchers.push_back({"10.0.0.3", 0});
    CHECK(world.problems() == Lines{});
  }
  SUBCASE("two receivers of one name") {
    report.view.receivers.push_back(report.view.receivers[0]);
    CHECK(world.problems() ==
          Lines{"! 2 receivers call themselves walback_capture: a commit waits for any of them, not for this "
                "archive | stop the capturers of the other archives, or walback sync off"});
  }
  SUBCASE("somebody else has set it since") {
    report.view.names = "s1";
    CHECK(world.problems() ==
          Lines{"! synchronous_standby_names was set to 's1' since it was switched on, expected "
                "'walback_capture' | walback sync on, or walback sync off"});
  }
  SUBCASE("a person's own setting") {
    report.note.reset();
    CHECK(
        world.problems() ==
        Lines{"- synchronous_standby_names is 'walback_capture' without a bound: a capturer that dies stops "
              "every commit | walback sync on"});
  }
  SUBCASE("off, as wanted or not") {
    report.note.reset();
    report.view.names = "";
    CHECK(world.problems() == Lines{});
    report.was_on = true;
    CHECK(world.problems() ==
          Lines{"! it was on for this archive, and the primary does not know of it: a failover, or a primary "
                "restored from before | walback sync on, or walback sync off"});
  }
}

TEST_CASE("sync report: its text") {
  World world;
  world.settle();
  CHECK(to_text(world.report) ==
        "synchronous mode is on: commits wait for the capturer, at most 10.0 s\n"
        "  receiver   walback_capture has flushed 0/4000000, the primary 0/4000000\n"
        "  watched    by 1 watcher\n"
        "  waiting    1 commit now\n");
  world.report.view.names = "";
  world.report.note = fallen_back(*world.report.note, {0}, "gone");
  world.settle();
  CHECK(headline(world.report) == "sync       FALLEN BACK since 1970-01-01T00:00:00.000000Z: gone");
}

TEST_CASE("check: a standby that would wait for the capturer once it is promoted is said") {
  Config config;
  CheckInput input(config);
  input.standbys.emplace_back();
  input.standbys[0].name = "db2";
  input.standbys[0].conninfo = "host=db2";
  Checklist list{input, {}};
  check_synchronous_mode(list);
  CHECK(list.found.empty());
  input.standbys[0].synchronous_names = "walback_capture";
  check_synchronous_mode(list);
  REQUIRE(list.found.size() == 1);
  CHECK(list.found[0].severity == Severity::note);
  CHECK(list.found[0].subject == "standby db2");
  CHECK(list.found[0].text ==
        "its own synchronous_standby_names is 'walback_capture': promoted, its commits wait for the capturer "
        "until a watcher lets them go");
  CHECK(
      list.found[0].mend ==
      "psql \"host=db2\" -c \"alter system reset synchronous_standby_names\" -c \"set walback.synchronous = "
      "''\" -c \"alter system reset walback.synchronous\" -c \"select pg_reload_conf()\"");
}
