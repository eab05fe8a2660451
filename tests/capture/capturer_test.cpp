#include "capture/capturer.h"

#include <doctest/doctest.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "capture/capture_status.h"
#include "catalog/archive.h"
#include "catalog/journal.h"
#include "os/system.h"
#include "support/fake_clock.h"
#include "support/recording_log.h"
#include "support/scripted_processes.h"
#include "support/temporary_directory.h"

using namespace walback;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kIdentifier = 7299402;
const Script kRunsOn{.lines = {}, .status = std::nullopt};

/// A primary that answers as the test says.
class ScriptedPrimary {
 public:
  ScriptedPrimary() {
    view_.host = {"host=a", "a:5432"};
    view_.history.timeline = {1};
    view_.system_identifier = kIdentifier;
    view_.flush_lsn = {0x3000000};
    ReplicationSlot slot;
    slot.restart_lsn = Lsn{0x1000000};
    slot.wal_status = SlotWalStatus::reserved;
    view_.slot = slot;
  }
  void change(const std::function<void(PrimaryView&)>& work) {
    const std::lock_guard guard(mutex_);
    work(view_);
    error_.reset();
  }
  void fail_with(Error error) {
    const std::lock_guard guard(mutex_);
    error_ = std::move(error);
  }
  LookAtPrimary look() {
    return [this]() -> Result<PrimaryView> {
      const std::lock_guard guard(mutex_);
      if (error_) return tl::unexpected(*error_);
      return view_;
    };
  }

 private:
  std::mutex mutex_;
  PrimaryView view_;
  std::optional<Error> error_;
};

/// A capturer in a thread, with everything around it scripted but the disk.
class Running {
 public:
  Running() {
    REQUIRE(create_archive(real_file_system(), archive, {kIdentifier, *SegmentSize::from_bytes(1U << 20)}));
    processes.set_always("pg_receivewal", kRunsOn);
  }
  void start() {
    thread_ = std::jthread([this](std::stop_token stop) {
      const CaptureSetup setup{archive,   "host=a", "walback", "/bin/pg_receivewal",
                               true,      500ms,    15'000ms,  real_file_system(),
                               processes, clock,    log,       [this] { return look(); },
                               20ms};
      result = run_capturer(setup, stop);
      ended = true;
    });
  }
  Status stop() {
    thread_.request_stop();
    thread_.join();
    return result;
  }
  /// Time passes for the capturer, twenty times as fast as here, until `condition` holds.
  bool until(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + 15s;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::sleep_for(10ms);
      clock.advance(200ms);
    }
    return true;
  }
  /// The primary has a walsender only once there is a pg_receivewal.
  Result<PrimaryView> look() {
    const bool started = !processes.commands().empty();
    auto view = primary.look()();
    if (view && !started) view->sender.reset();
    if (view && rival) rival(*view);
    return view;
  }
  CaptureStatus status() {
    return read_capture_status(real_file_system(), archive).value_or(CaptureStatus{});
  }

  TemporaryDirectory directory;
  ArchiveLayout archive{directory.path()};
  FakeClock clock;
  RecordingLog log;
  ScriptedProcesses processes;
  ScriptedPrimary primary;
  std::function<void(PrimaryView&)> rival;  ///< changes every view
  Status result;
  std::atomic<bool> ended = false;

 private:
  std::jthread thread_;
};

PrimaryView::Sender sender_at(std::uint64_t write, std::uint64_t flush) {
  return {4711, Lsn{write}, Lsn{flush}};
}

}  // namespace

TEST_CASE("capturer: streams, says what is held and durable, and ends pg_receivewal with SIGINT") {
  Running capturer;
  capturer.primary.change([](PrimaryView& view) { view.sender = sender_at(0x3000000, 0x2000000); });
  capturer.start();
  REQUIRE(capturer.until([&] { return capturer.status().held_lsn.has_value(); }));
  const auto status = capturer.status();
  CHECK(name_of(status.state) == "streaming");
  CHECK(status.held_lsn == Lsn{0x3000000});
  CHECK(status.durable_lsn == Lsn{0x2000000});
  CHECK(status.primary_flush_lsn == Lsn{0x3000000});
  CHECK(status.epoch == 1);
  CHECK(status.receivewal_pid.has_value());
  CHECK(capturer.stop());
  CHECK(name_of(capturer.status().state) == "stopped");
  REQUIRE_FALSE(capturer.processes.signals().empty());
  CHECK(capturer.processes.signals().front() == 2);
}

TEST_CASE("capturer: a clock that steps restarts nothing, and hides no age") {
  Running capturer;
  capturer.primary.change([](PrimaryView& view) { view.sender = sender_at(0x3000000, 0x3000000); });
  capturer.start();
  const auto streaming = [&] { return capturer.status().state == CaptureState::streaming; };
  REQUIRE(capturer.until(streaming));
  for (const std::int64_t hours : {-2, 3}) {
    capturer.clock.set({capturer.clock.now().unix_us + hours * 3'600'000'000});
    const std::int64_t then_us = capturer.clock.monotonic_us();
    // Long enough for every bound that the capturer knows.
    REQUIRE(capturer.until([&] { return capturer.clock.monotonic_us() - then_us > 40'000'000; }));
    CHECK(capturer.processes.commands().size() == 1);
    CHECK(streaming());
    REQUIRE(capturer.until([&] {
      return std::llabs((capturer.status().updated_at.unix_us - capturer.clock.now().unix_us)) < 5'000'000;
    }));
    CHECK_FALSE(is_silent(capturer.status(), capturer.clock));
  }
  CHECK_FALSE(capturer.log.contains("WARN"));
  CHECK(capturer.stop());
}

TEST_CASE("capturer: pg_receivewal is started again whenever it ends, and each of its lines is logged") {
  Running capturer;
  capturer.processes.add("pg_receivewal",
                         {.lines = {"pg_receivewal: error: disconnected"}, .status = ExitStatus{1, 0}});
  capturer.processes.add("pg_receivewal", {.lines = {}, .status = ExitStatus{0, 9}});
  capturer.start();
  REQUIRE(capturer.until([&] { return capturer.processes.commands().size() == 3; }));
  REQUIRE(capturer.until([&] { return capturer.status().restarts == 2; }));
  CHECK(capturer.log.contains("WARN capture receivewal_line line=\"pg_receivewal: error: disconnected\""));
  CHECK(capturer.status().last_error == "pg_receivewal ended: signal 9 (Killed)");
  CHECK(capturer.stop());
}

TEST_CASE(
    "capturer: a position that was held is not taken back when pg_receivewal begins its segment again") {
  Running capturer;
  capturer.primary.change([](PrimaryView& view) { view.sender = sender_at(0x2F00000, 0x2F00000); });
  capturer.start();
  REQUIRE(capturer.until([&] { return capturer.status().held_lsn == Lsn{0x2F00000}; }));
  capturer.primary.change([](PrimaryView& view) {
    view.flush_lsn = {0x3000001};
    view.sender = sender_at(0x2000000, 0x2000000);
  });
  REQUIRE(capturer.until([&] { return capturer.status().primary_flush_lsn == Lsn{0x3000001}; }));
  CHECK(capturer.status().held_lsn == Lsn{0x2F00000});
  CHECK(capturer.stop());
}

TEST_CASE("capturer: without a primary it waits, says so once, and starts nothing") {
  Running capturer;
  capturer.primary.fail_with({ErrorKind::unreachable, "connection refused", "Is it running?"});
  capturer.start();
  REQUIRE(capturer.until([&] { return capturer.status().last_error == "connection refused"; }));
  CHECK(name_of(capturer.status().state) == "waiting");
  CHECK(capturer.log.count("primary_not_seen") == 1);
  CHECK(capturer.processes.commands().empty());
  capturer.primary.change([](PrimaryView&) {});
  REQUIRE(capturer.until([&] { return capturer.processes.commands().size() == 1; }));
  CHECK(capturer.log.count("primary_seen_again") == 1);
  CHECK(capturer.stop());
}

TEST_CASE("capturer: a foreign primary is refused before one byte of its WAL is received") {
  Running capturer;
  capturer.primary.change([](PrimaryView& view) { view.system_identifier = 1; });
  capturer.start();
  REQUIRE(capturer.until([&] { return capturer.ended.load(); }));
  CHECK(capturer.stop().error().kind == ErrorKind::foreign_system);
  CHECK(capturer.processes.commands().empty());
  CHECK(capturer.status().last_error.find("expects 7299402") != std::string::npos);
}

TEST_CASE("capturer: a slot that vanishes under it ends it, with an ERROR that stands in the status too") {
  Running capturer;
  capturer.primary.change([](PrimaryView& view) { view.sender = sender_at(0x3000000, 0x3000000); });
  capturer.start();
  REQUIRE(capturer.until([&] { return capturer.status().held_lsn.has_value(); }));
  capturer.primary.change([](PrimaryView& view) {
    view.slot.reset();
    view.sender.reset();
  });
  REQUIRE(capturer.until([&] { return capturer.ended.load(); }));
  const auto error = capturer.stop().error();
  CHECK(error.kind == ErrorKind::not_found);
  CHECK(error.message ==
        "replication slot 'walback' does not exist on the primary: WAL from 0/3000000 on is not kept "
        "for archive '" +
            capturer.archive.root.string() + "'");
  CHECK(capturer.log.count("ERROR capture capture_cannot_go_on") == 1);
  CHECK(name_of(capturer.status().state) == "stopped");
}

TEST_CASE("capturer: WAL that the primary removed ends it as well") {
  Running capturer;
  capturer.processes.add("pg_receivewal",
                         {.lines = {"pg_receivewal: error: unexpected termination of replication "
                                    "stream: ERROR:  requested WAL segment 000000010000000000000006 "
                                    "has already been removed",
                                    "pg_receivewal: error: disconnected"},
                          .status = ExitStatus{1, 0}});
  capturer.start();
  REQUIRE(capturer.until([&] { return capturer.ended.load(); }));
  CHECK(capturer.stop().error().kind == ErrorKind::conflict);
}

TEST_CASE("capturer: a stuck pg_receivewal is ended and started again") {
  Running capturer;
  capturer.primary.change([](PrimaryView& view) { view.sender = sender_at(0x2000000, 0x2000000); });
  capturer.start();
  REQUIRE(capturer.until([&] { return capturer.processes.commands().size() == 1; }));
  REQUIRE(capturer.until([&] { return capturer.log.contains("receivewal_stuck"); }));
  CHECK(capturer.log.contains("pg_receivewal stands at 0/2000000 while the primary has flushed 0/3000000"));
  REQUIRE(capturer.until([&] { return capturer.processes.commands().size() == 2; }));
  CHECK(capturer.stop());
}

TEST_CASE("capturer: a full disk is a state of its own and is waited out") {
  Running capturer;
  capturer.processes.add("pg_receivewal",
                         {.lines = {"pg_receivewal: error: could not write 8192 bytes to WAL file "
                                    "\"x.partial\": No space left on device"},
                          .status = ExitStatus{1, 0}});
  capturer.start();
  REQUIRE(capturer.until([&] { return capturer.status().state == CaptureState::disk_full; }));
  CHECK(capturer.log.count("ERROR capture disk_full") == 1);
  REQUIRE(capturer.until([&] { return capturer.processes.commands().size() == 2; }));
  capturer.primary.change([](PrimaryView& view) { view.sender = sender_at(0x3000000, 0x3000000); });
  REQUIRE(capturer.until([&] { return capturer.status().state == CaptureState::streaming; }));
  CHECK(capturer.stop());
}

TEST_CASE("capturer: the second one on an archive is refused, naming the first") {
  Running capturer;
  capturer.start();
  REQUIRE(capturer.until([&] { return capturer.processes.commands().size() == 1; }));
  const CaptureSetup setup{capturer.archive,
                           "host=a",
                           "walback",
                           "/bin/pg_receivewal",
                           true,
                           500ms,
                           15'000ms,
                           real_file_system(),
                           capturer.processes,
                           capturer.clock,
                           capturer.log,
                           capturer.primary.look()};
  const auto second = run_capturer(setup, {});
  REQUIRE_FALSE(second);
  CHECK(second.error().kind == ErrorKind::conflict);
  CHECK(capturer.stop());
}

namespace {

/// A standby that was promoted at `left` is found under another name.
void promote(ScriptedPrimary& primary, Lsn left) {
  primary.change([&](PrimaryView& view) {
    view.host = {"host=b", "b:5432"};
    view.history = {{2}, {{{1}, left, "promoted"}}};
    view.sender.reset();
  });
}

}  // namespace

TEST_CASE("capturer: the new primary is followed, and pg_receivewal is led there alone") {
  Running capturer;
  capturer.start();
  REQUIRE(capturer.until([&] { return capturer.processes.commands().size() == 1; }));
  CHECK(capturer.processes.commands().back().find("host=a") != std::string::npos);
  REQUIRE(capturer.until([&] { return capturer.status().host == "a:5432"; }));
  REQUIRE(real_file_system().write(capturer.archive.epoch(1) / "000000010000000000000002.partial", "wal"));
  promote(capturer.primary, {0x2100000});
  REQUIRE(capturer.until([&] { return capturer.processes.commands().size() == 2; }));
  const std::string command = capturer.processes.commands().back();
  CHECK(command.find("host=b") != std::string::npos);
  CHECK(command.find("host=a") == std::string::npos);
  CHECK(command.find("/wal/0001") != std::string::npos);  // it left inside our open segment
  REQUIRE(capturer.until([&] { return capturer.status().timeline == 2; }));
  CHECK(capturer.status().host == "b:5432");
  CHECK(capturer.status().epoch == 1);
  CHECK(capturer.log.contains(
      "WARN capture primary_changed host=b:5432 timeline=2 history=\"1 until 0/2100000, then 2\""));
  CHECK(capturer.stop());
}

TEST_CASE("capturer: a primary whose history forked before what is held gets an epoch of its own, with why") {
  Running capturer;
  capturer.start();
  REQUIRE(capturer.until([&] { return capturer.processes.commands().size() == 1; }));
  const Path held = capturer.archive.epoch(1) / "000000010000000000000028";
  REQUIRE(real_file_system().write(held, "the abandoned end"));
  promote(capturer.primary, {0x2100000});
  REQUIRE(capturer.until([&] { return capturer.processes.commands().size() == 2; }));
  CHECK(capturer.processes.commands().back().find("/wal/0002") != std::string::npos);
  REQUIRE(capturer.until([&] { return capturer.status().epoch == 2; }));
  CHECK(real_file_system().read(held).value() == "the abandoned end");
  const auto journal = read_journal(real_file_system(), capturer.archive.journal()).value();
  REQUIRE(journal.entries.size() == 1);
  CHECK(journal.entries[0].body["reason"] ==
        "the primary's history left timeline 1 at 0/2100000, before 0/2900000, up to where it was captured");
  CHECK(capturer.stop());
}

TEST_CASE("capturer: other servers that take writes are named once; where none is left, a person is needed") {
  Running capturer;
  const Error old{ErrorKind::conflict, "'c' takes writes on timeline 1", "Stop it."};
  capturer.primary.change([&](PrimaryView& view) { view.refused = {old}; });
  capturer.start();
  REQUIRE(capturer.until([&] { return capturer.log.count("host_refused") == 1; }));
  capturer.primary.change([&](PrimaryView& view) { view.flush_lsn = {0x3000100}; });
  REQUIRE(capturer.until([&] { return capturer.status().primary_flush_lsn == Lsn{0x3000100}; }));
  CHECK(capturer.log.count("host_refused") == 1);
  capturer.primary.fail_with(old);
  REQUIRE(capturer.until([&] { return capturer.ended.load(); }));
  CHECK(capturer.stop().error().message == "'c' takes writes on timeline 1");
}

TEST_CASE("capturer: pg_receivewal's word about the history is held against the primary's own") {
  const Script refused{.lines = {"pg_receivewal: error: could not send replication command "
                                 "\"START_REPLICATION\": ERROR:  requested starting point 0/A00000 on "
                                 "timeline 1 is not in this server's history"},
                       .status = ExitStatus{1, 0}};
  SUBCASE("which explains it: a new epoch") {
    Running capturer;
    capturer.processes.add("pg_receivewal", refused);
    capturer.start();
    REQUIRE(capturer.until([&] { return capturer.processes.commands().size() == 1; }));
    REQUIRE(real_file_system().write(capturer.archive.epoch(1) / "000000010000000000000028", "wal"));
    promote(capturer.primary, {0x2100000});
    REQUIRE(capturer.until([&] { return capturer.status().epoch == 2; }));
    CHECK(capturer.stop());
  }
  SUBCASE("which does not: a person is needed") {
    Running capturer;
    REQUIRE(real_file_system().write(capturer.archive.epoch(1) / "000000010000000000000028", "wal"));
    capturer.processes.add("pg_receivewal", refused);
    capturer.start();
    REQUIRE(capturer.until([&] { return capturer.ended.load(); }));
    CHECK(capturer.stop().error().kind == ErrorKind::conflict);
  }
}

TEST_CASE("capturer: a slot that another live receiver holds is refused, with who it is") {
  Running capturer;
  capturer.processes.set_always("pg_receivewal",
                                {.lines = {"pg_receivewal: error: could not send replication command "
                                           "\"START_REPLICATION\": ERROR:  replication slot \"walback\" is "
                                           "active for PID 4711"},
                                 .status = ExitStatus{1, 0}});
  std::int64_t replied = 0;
  capturer.rival = [&](PrimaryView& view) {
    view.sender = sender_at(0x3000000, 0x3000000);
    view.sender->application_name = "walback_capture";
    view.sender->reply_time = Timestamp{replied += 100'000};
  };
  capturer.start();
  REQUIRE(capturer.until([&] { return capturer.ended.load(); }));
  const Status ended = capturer.stop();
  CHECK(ended.error().kind == ErrorKind::conflict);
  CHECK(ended.error().message ==
        "replication slot 'walback' is used by another receiver: pid 4711 on the primary, application_name "
        "'walback_capture'");
  CHECK_FALSE(capturer.status().held_lsn);
}

TEST_CASE(
    "capturer: what pg_receivewal says of removed WAL is doubted while the primary's files contradict") {
  Running capturer;
  const std::string words =
      "pg_receivewal: error: unexpected termination of replication stream: ERROR:  requested WAL segment "
      "000000010000000000000003 has already been removed";
  capturer.processes.add("pg_receivewal", {.lines = {words}, .status = ExitStatus{1, 0}});
  capturer.primary.change([](PrimaryView& view) { view.oldest_wal_file = "000000010000000000000001"; });
  capturer.start();
  REQUIRE(capturer.until([&] { return capturer.processes.commands().size() == 2; }));
  CHECK_FALSE(capturer.ended.load());
  CHECK(capturer.stop());
}

TEST_CASE("capturer: pg_receivewal is not started again before the primary was seen again") {
  Running capturer;
  capturer.processes.add("pg_receivewal", {.lines = {}, .status = ExitStatus{1, 0}});
  capturer.rival = [&](PrimaryView& view) {
    // What is behind the address by the time pg_receivewal has ended.
    if (!capturer.processes.commands().empty()) view.system_identifier = 1;
  };
  capturer.start();
  REQUIRE(capturer.until([&] { return capturer.ended.load(); }));
  CHECK(capturer.stop().error().kind == ErrorKind::foreign_system);
  CHECK(capturer.processes.commands().size() == 1);
}
