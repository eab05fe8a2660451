#include "sync/policy.h"

#include <doctest/doctest.h>

using namespace walback;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

using Verdict = SynchronousPolicy::Verdict;

/// A primary that flushes 100 bytes between two looks, seen every tick of a bound of 10 s.
struct World {
  World() {
    note.timeout = seconds(10);
    note.names = "walback_capture";
    view.names = "walback_capture";
    view.flush_lsn = {1000};
    receive();
  }
  void receive() { view.receivers = {{"streaming", "sync", "", Lsn{view.flush_lsn.value}, Timestamp{1}}}; }
  void fall() {
    view.names = "";
    note = fallen_back(note, {0}, "gone");
  }
  CommitWaiter& wait(int pid, std::int64_t statement_age_us = 0) {
    view.waiters.push_back({pid, {pid * 7}, statement_age_us});
    return view.waiters.back();
  }
  /// Looks on until there is a verdict; the time it took, or nothing within `patience`.
  std::optional<milliseconds> verdict_within(milliseconds patience, Verdict expected, bool answers = true) {
    for (milliseconds past{0}; past <= patience; past += tick) {
      const auto judgement = look();
      if (judgement.verdict == expected) {
        reason = judgement.reason;
        return past;
      }
      CHECK(judgement.verdict == Verdict::nothing);
      if (answers) answer();
    }
    return std::nullopt;
  }
  SynchronousPolicy::Judgement look() {
    now_us += std::chrono::microseconds(tick).count();
    return policy.judge(view, note, now_us);
  }
  /// The receiver reports again, having flushed all.
  void answer() {
    for (SynchronousReceiver& receiver : view.receivers) receiver.reply_time->unix_us += 1'000'000;
  }

  milliseconds tick{500};
  std::int64_t now_us = 5'000'000'000;
  SynchronousNote note;
  SynchronousView view;
  SynchronousPolicy policy;
  std::string reason;
};

}  // namespace

TEST_CASE("synchronous policy: twenty looks within the bound, but neither a storm nor a nap") {
  CHECK(synchronous_tick(seconds(1)) == milliseconds(50));
  CHECK(synchronous_tick(seconds(4)) == milliseconds(200));
  CHECK(synchronous_tick(seconds(10)) == milliseconds(500));
  CHECK(synchronous_tick(seconds(3600)) == milliseconds(500));
}

TEST_CASE("synchronous policy: a commit that waits ends the waiting before the bound, whatever the reason") {
  World world;
  static_cast<void>(world.look());
  world.wait(1);
  SUBCASE("the receiver is gone") {
    world.view.receivers.clear();
    // Nine seconds after it was first seen, of which one look is counted for what was before.
    CHECK(world.verdict_within(seconds(20), Verdict::fall_back) == milliseconds(8'500));
    CHECK(world.reason == "walback_capture is not connected");
  }
  SUBCASE("the receiver is stopped") {
    world.view.receivers[0].flush_lsn = Lsn{900};
    CHECK(world.verdict_within(seconds(20), Verdict::fall_back, false) == milliseconds(8'500));
    CHECK(world.reason == "walback_capture has flushed 0/384, the primary 0/3E8");
  }
  SUBCASE("the receiver is far behind, and catching up") {
    world.view.receivers[0].state = "catchup";
    CHECK(world.verdict_within(seconds(20), Verdict::fall_back) == milliseconds(8'500));
    CHECK(world.reason == "walback_capture is in state 'catchup'");
  }
  SUBCASE("the receiver is level: the session waits for something that no receiver gives") {
    CHECK(world.verdict_within(seconds(20), Verdict::fall_back) == milliseconds(8'500));
  }
}

TEST_CASE("synchronous policy: without a commit that waits for so long nobody is harmed") {
  World world;
  SUBCASE("nobody commits") {
    world.view.receivers.clear();
    CHECK(world.verdict_within(seconds(60), Verdict::fall_back) == std::nullopt);
  }
  SUBCASE("every commit waits a little") {
    for (int pid = 1; pid < 100; ++pid) {
      world.view.waiters.clear();
      world.wait(pid);
      CHECK(world.look().verdict == Verdict::nothing);
    }
  }
  SUBCASE("one session that commits again and again") {
    for (int i = 1; i < 100; ++i) {
      world.view.waiters.clear();
      world.wait(1).transaction_start = {i};
      CHECK(world.look().verdict == Verdict::nothing);
    }
  }
  SUBCASE("the mode is off, or somebody else has decided") {
    world.wait(1);
    world.view.names = "s1";
    CHECK(world.verdict_within(seconds(60), Verdict::fall_back) == std::nullopt);
  }
}

TEST_CASE("synchronous policy: a watcher that comes late takes the statement's age for the wait's") {
  World world;
  world.view.receivers.clear();
  world.wait(1, 20'000'000);
  CHECK(world.verdict_within(seconds(20), Verdict::fall_back) == milliseconds(0));
  SUBCASE("after a lost connection too") {
    world.policy.forget();
    CHECK(world.look().verdict == Verdict::fall_back);
  }
  SUBCASE("but not while a receiver is there, nor for one that came later") {
    World other;
    other.wait(1, 20'000'000);
    CHECK(other.look().verdict == Verdict::nothing);
    World third;
    static_cast<void>(third.look());
    third.view.receivers.clear();
    third.wait(1, 20'000'000);
    CHECK(third.look().verdict == Verdict::nothing);
  }
}

TEST_CASE("synchronous policy: commits wait again when the receiver has kept up without a break") {
  World world;
  world.fall();
  SUBCASE("for the quiet time") {
    CHECK(world.verdict_within(seconds(20), Verdict::go_back) == milliseconds(2'500));
  }
  SUBCASE("and longer after flapping") {
    world.note.quiet = seconds(16);
    CHECK(world.verdict_within(seconds(30), Verdict::go_back) == milliseconds(16'500));
  }
  SUBCASE("under load a look behind is level") {
    for (int i = 0; i < 4; ++i) {
      const Lsn before = world.view.flush_lsn;
      world.view.flush_lsn = {before.value + 100};
      world.view.receivers[0].flush_lsn = before;
      world.answer();
      CHECK(world.look().verdict == Verdict::nothing);
    }
    world.view.receivers[0].flush_lsn = world.view.flush_lsn;
    CHECK(world.verdict_within(seconds(20), Verdict::go_back) == milliseconds(500));
  }
  SUBCASE("not without a receiver, nor with one that is behind or catching up") {
    world.view.receivers[0].flush_lsn = Lsn{900};
    CHECK(world.verdict_within(seconds(20), Verdict::go_back) == std::nullopt);
    world.receive();
    world.view.receivers[0].state = "catchup";
    CHECK(world.verdict_within(seconds(20), Verdict::go_back) == std::nullopt);
    world.view.receivers.clear();
    CHECK(world.verdict_within(seconds(20), Verdict::go_back) == std::nullopt);
  }
  SUBCASE("not with one that does not answer: it may be stopped on an idle primary") {
    CHECK(world.verdict_within(seconds(20), Verdict::go_back, false) == std::nullopt);
  }
  SUBCASE("a break starts the time anew") {
    CHECK(world.verdict_within(milliseconds(1'000), Verdict::go_back) == std::nullopt);
    const auto receivers = std::exchange(world.view.receivers, {});
    static_cast<void>(world.look());
    world.view.receivers = receivers;
    CHECK(world.verdict_within(seconds(20), Verdict::go_back) == milliseconds(2'000));
  }
}
