#include <doctest/doctest.h>

#include "sync/switch.h"

using namespace walback;
using std::chrono::seconds;

namespace {

/// A primary that may be told to wait; each case spoils one thing.
struct World {
  World() {
    facts.privileges = {"walback", true, true, true, true};
    facts.server_commit = "on";
    facts.view.source = "default";
    facts.view.flush_lsn = {0x4000000};
    facts.view.receivers = {{"streaming", "async", "", Lsn{0x4000000}, std::nullopt}};
    facts.view.watchers = {{"", 100'000}};
    facts.caught_up = true;
  }
  [[nodiscard]] std::string refusal() const {
    const auto error = refusal_to_wait(facts);
    return error ? std::string(name_of(error->kind)) + ": " + error->message + " | " + error->hint : "none";
  }
  SynchronousFacts facts;
};

}  // namespace

TEST_CASE("synchronous mode: refused before anything is touched, with what a person does about it") {
  World world;
  SynchronousFacts& facts = world.facts;
  CHECK(world.refusal() == "none");
  SUBCASE("a role that may not") {
    facts.privileges = {"walback", false, false, false, false};
    CHECK(
        world.refusal() ==
        "config: role 'walback' may not switch the synchronous mode, or not see who waits | Let a superuser "
        "run: GRANT ALTER SYSTEM ON PARAMETER synchronous_standby_names, walback.synchronous TO walback; "
        "GRANT EXECUTE ON FUNCTION pg_reload_conf() TO walback; GRANT pg_monitor TO walback;");
    facts.privileges = {"walback", true, false, true, true};
    CHECK(
        world.refusal() ==
        "config: role 'walback' may not switch the synchronous mode, or not see who waits | Let a superuser "
        "run: GRANT ALTER SYSTEM ON PARAMETER walback.synchronous TO walback;");
  }
  SUBCASE("a value that ALTER SYSTEM does not reach") {
    facts.view.source = "command line";
    CHECK(
        world.refusal() ==
        "conflict: synchronous_standby_names is '' on the server's command line, which ALTER SYSTEM does not "
        "change | Take it out of the command that starts the primary, restart it, and try again.");
  }
  SUBCASE("remote_apply") {
    facts.server_commit = "remote_apply";
    facts.remote_apply = {"role app", "role app in database shop"};
    CHECK(
        world.refusal() ==
        "conflict: synchronous_commit is remote_apply for the server, role app, role app in database shop: a "
        "receiver applies nothing, so that such commits wait for ever | Set synchronous_commit to on there; "
        "a receiver then makes them as durable.");
  }
  SUBCASE("a receiver that flushes whole segments") {
    facts.receiver_syncs = false;
    CHECK(world.refusal() ==
          "conflict: capture.synchronous is false: the receiver flushes whole segments, and so long would "
          "commits wait | Set `capture: {synchronous: true}` in walback.yaml and restart `walback run`.");
  }
  SUBCASE("no receiver") {
    facts.view.receivers.clear();
    facts.caught_up = false;
    CHECK(
        world.refusal() ==
        "unavailable: the capturer does not stream: walback_capture is not connected | Commits would wait at "
        "once. Start `walback run`; `walback status` tells when it streams.");
  }
  SUBCASE("a receiver that is behind") {
    facts.caught_up = false;
    facts.view.receivers[0].flush_lsn = Lsn{0x3000000};
    CHECK(
        world.refusal() ==
        "unavailable: the capturer is behind: walback_capture has flushed 0/3000000, the primary 0/4000000 | "
        "Commits would wait until it has caught up; try again when `walback status` says so.");
  }
  SUBCASE("receivers of two archives") {
    facts.view.receivers.push_back(facts.view.receivers[0]);
    CHECK(
        world.refusal() ==
        "conflict: 2 receivers call themselves walback_capture: commits would wait for any of them | "
        "Synchronous mode is for one archive: stop the other capturers, or set synchronous_standby_names by "
        "hand.");
  }
  SUBCASE("nobody watches, or one that hangs") {
    facts.view.watchers[0].silent_us = 6'000'000;
    CHECK(world.refusal() ==
          "unavailable: nobody watches: a capturer that dies would stop the primary without a bound | Start "
          "`walback run` here, or `walback sync watch` on the primary's host.");
  }
}

TEST_CASE("synchronous mode: others who are waited for are a conflict, and the way to have both is shown") {
  World world;
  SynchronousFacts& facts = world.facts;
  facts.view.names = "s1";
  CHECK(world.refusal() ==
        "conflict: synchronous_standby_names names others: 's1' | `walback sync on --with-others` makes it "
        "'FIRST 2 (walback_capture, s1)': commits wait for all of them.");
  facts.with_others = true;
  CHECK(world.refusal() == "none");
  CHECK(planned_note(facts, seconds(5)).names == "FIRST 2 (walback_capture, s1)");
  CHECK(planned_note(facts, seconds(5)).fallback == "s1");

  facts.view.names = "ANY 1 (s1, s2)";
  CHECK(world.refusal() ==
        "conflict: synchronous_standby_names names others, of which some may be missing: 'ANY 1 (s1, s2)' | "
        "Set by hand what you mean: 'FIRST 3 (walback_capture, s1, s2)' waits for all of them; 'FIRST 2 "
        "(walback_capture, s1, s2)' for the receiver first, but without it once it is gone.");
}

TEST_CASE("synchronous mode: what stood there before is what comes back") {
  World world;
  SynchronousFacts& facts = world.facts;
  SUBCASE("nothing, from no file") {
    const auto note = planned_note(facts, seconds(5));
    CHECK(note.timeout == seconds(5));
    CHECK(note.names == "walback_capture");
    CHECK(note.fallback == "");
    CHECK(note.reset);
  }
  SUBCASE("set by ALTER SYSTEM") {
    facts.view.by_alter_system = true;
    CHECK_FALSE(planned_note(facts, seconds(5)).reset);
  }
  SUBCASE("a person's own setting of the receiver: a reset would bring it back") {
    facts.view.names = "walback_capture";
    CHECK(world.refusal() == "none");
    const auto note = planned_note(facts, seconds(5));
    CHECK(note.fallback == "");
    CHECK_FALSE(note.reset);
  }
  SUBCASE("an earlier note keeps it") {
    SynchronousNote earlier;
    earlier.names = facts.view.names = "FIRST 2 (walback_capture, s1)";
    earlier.fallback = "s1";
    facts.view.by_alter_system = true;
    earlier.reset = true;
    facts.note = earlier;
    facts.with_others = true;
    const auto note = planned_note(facts, seconds(7));
    CHECK(note.fallback == "s1");
    CHECK(note.reset);
    CHECK(note.timeout == seconds(7));
  }
}
