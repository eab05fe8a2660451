#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <thread>

#include "capture/capture_status.h"
#include "capture/capturer.h"
#include "catalog/archive.h"
#include "integration/support/throwaway_server.h"
#include "os/system.h"
#include "pg/server.h"
#include "pg/slots.h"

using namespace walback;
using namespace std::chrono_literals;
using test::ThrowawayServer;

namespace {

constexpr const char* kSlot = "walback";

bool within(std::chrono::milliseconds bound, const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + bound;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(50ms);
  }
  return true;
}

/// A primary that waits for the capturer with each commit, an archive bound to it, and a capturer that is a
/// process of its own, so that it can be killed.
class Captured {
 public:
  Captured() {
    test::ThrowawayOptions options;
    options.fsync = true;
    server = must(ThrowawayServer::create(options));
    auto connection = connect();
    const auto identity = must(server_identity(connection));
    archive.root = server->directory() / "archive";
    must(create_archive(real_file_system(), archive, {identity.system_identifier, identity.segment_size}));
    must(create_slot(connection, kSlot));
    must(connection.execute("CREATE TABLE kept (id bigint)"));
  }
  ~Captured() { kill_capturer(SIGTERM); }

  template <class T>
  static T must(Result<T> result) {
    REQUIRE_MESSAGE(result, result.error().message);
    if constexpr (!std::is_void_v<T>) return std::move(*result);
  }

  Connection connect() const { return must(Connection::open(server->conninfo())); }

  CaptureSetup setup() const {
    static const auto log = make_log(2, LogLevel::error);
    return {archive,
            server->conninfo(),
            kSlot,
            server->binaries().program("pg_receivewal"),
            true,
            200ms,
            1'000ms,
            real_file_system(),
            real_processes(),
            real_clock(),
            *log};
  }

  void start_capturer() {
    capturer = ::fork();
    if (capturer != 0) return;
    int code = 0;
    {
      StopSignals signals;
      const auto ended = run_capturer(setup(), signals.token());
      code = ended ? 0 : exit_code(ended.error().kind);
    }
    ::_exit(code);
  }
  /// The code with which it ended, or minus the signal.
  int wait_capturer() {
    int how = 0;
    ::waitpid(std::exchange(capturer, 0), &how, 0);
    return WIFEXITED(how) ? WEXITSTATUS(how) : -WTERMSIG(how);
  }
  void kill_capturer(int signal) {
    if (capturer == 0) return;
    ::kill(capturer, signal);
    wait_capturer();
  }

  CaptureStatus status() const {
    return read_capture_status(real_file_system(), archive).value_or(CaptureStatus{});
  }
  bool streams(std::chrono::milliseconds bound = 20s) const {
    return within(bound, [&] {
      const auto now = status();
      return now.state == CaptureState::streaming && now.pid == capturer;
    });
  }
  /// All WAL that the primary has flushed by now is held.
  bool holds_everything() const {
    auto connection = connect();
    const auto flushed = must(wal_positions(connection)).flush;
    return within(20s, [&] { return status().held_lsn.value_or(Lsn{}) >= flushed; });
  }
  void insert(int rows) const {
    auto connection = connect();
    must(connection.execute("INSERT INTO kept SELECT generate_series(1, " + std::to_string(rows) + ")"));
  }
  /// The bytes of each captured file are those of the primary's own, up to `until`.
  void check_bytes(Lsn until) const {
    const auto size = *SegmentSize::from_bytes(16U << 20);
    const auto entries = must(real_file_system().list(archive.epoch(1)));
    CHECK_FALSE(entries.empty());
    std::uint64_t compared = 0;
    for (const auto& entry : entries) {
      const auto name = parse_wal_file_name(entry.name, size);
      REQUIRE(name);
      const auto start = start_of(name->number, size);
      if (name->kind == WalFileKind::history || until <= start) continue;
      const auto length = std::min<std::uint64_t>(until - start, size.bytes());
      const auto theirs = real_file_system().read(server->data_directory() / "pg_wal" /
                                                  file_name({name->timeline, name->number}, size));
      if (!theirs) continue;  // recycled
      const auto ours = must(real_file_system().read(archive.epoch(1) / entry.name));
      CHECK(ours.size() == size.bytes());
      CHECK(std::string_view(ours).substr(0, length) == std::string_view(*theirs).substr(0, length));
      ++compared;
    }
    CHECK(compared > 0);
  }

  std::unique_ptr<ThrowawayServer> server;
  ArchiveLayout archive;
  pid_t capturer = 0;
};

}  // namespace

TEST_CASE("capture: streams, is idle without alarm, ends by SIGTERM, and its bytes are the primary's") {
  Captured world;
  world.start_capturer();
  REQUIRE(world.streams());
  world.insert(500'000);
  REQUIRE(world.holds_everything());
  const auto status = world.status();
  CHECK(status.durable_lsn == status.held_lsn);
  CHECK(status.restarts == 0);
  auto connection = world.connect();
  const auto flushed = Captured::must(wal_positions(connection)).flush;
  world.check_bytes(std::min(flushed, *status.durable_lsn));
  ::kill(world.capturer, SIGTERM);
  CHECK(world.wait_capturer() == 0);
  CHECK(name_of(world.status().state) == "stopped");
  CHECK(within(5s, [&] { return !Captured::must(find_slot(connection, kSlot))->active; }));
}

TEST_CASE(
    "capture: kill -9 of pg_receivewal, again and again, under synchronous commits: nothing acknowledged is "
    "missing") {
  Captured world;
  world.start_capturer();
  REQUIRE(world.streams());
  REQUIRE(world.server->configure({{"synchronous_standby_names", "walback_capture"}}));
  {
    auto connection = world.connect();
    Captured::must(connection.execute("SELECT pg_reload_conf()"));
    REQUIRE(within(10s, [&] {
      const auto clients = Captured::must(replication_clients(connection));
      return clients.size() == 1 && clients.front().sync_state == "sync";
    }));
  }
  std::atomic<bool> enough = false;
  std::atomic<std::uint64_t> acknowledged = 0;
  std::thread writer([&] {
    // Not through walback's connection: its sessions never wait for the capturer.
    const auto options = world.server->conninfo();
    auto connection = Connection::open(options);
    if (!connection || !connection->execute("SET synchronous_commit = on")) return;
    Lsn flushed;
    while (!enough) {
      if (!connection->execute("INSERT INTO kept VALUES (1)")) break;
      // Flushed after the commit before this one, and so sent before this one's acknowledgement.
      acknowledged = flushed.value;
      const auto at = wal_positions(*connection);
      if (!at) break;
      flushed = at->flush;
    }
  });
  for (int round = 0; round < 4; ++round) {
    const auto before = world.status().receivewal_pid;
    REQUIRE(before);
    ::kill(*before, SIGKILL);
    CHECK(within(20s, [&] {
      const auto now = world.status();
      return now.receivewal_pid && now.receivewal_pid != before && now.state == CaptureState::streaming;
    }));
  }
  CHECK(world.status().restarts >= 4);
  enough = true;
  writer.join();
  // What was acknowledged was written here before it was: kill all of it at once and look.
  const Lsn until{acknowledged};
  CHECK(until.valid());
  world.kill_capturer(SIGKILL);
  world.check_bytes(until);
}

TEST_CASE("capture: kill -9 of the capturer takes pg_receivewal along, and the next start works at once") {
  Captured world;
  for (int round = 0; round < 3; ++round) {
    world.start_capturer();
    REQUIRE(world.streams());
    world.insert(20'000);
    const auto child = world.status().receivewal_pid;
    REQUIRE(child);
    ::kill(world.capturer, SIGKILL);
    CHECK(world.wait_capturer() == -SIGKILL);
    CHECK(within(5s, [&] { return !process_start_ticks(*child); }));
  }
  world.start_capturer();
  REQUIRE(world.streams());
  CHECK(world.holds_everything());
}

TEST_CASE("capture: a primary that crashes and comes back is waited for") {
  Captured world;
  world.start_capturer();
  REQUIRE(world.streams());
  REQUIRE(world.server->stop("immediate"));
  CHECK(within(20s, [&] { return world.status().state == CaptureState::waiting; }));
  REQUIRE(world.server->start());
  REQUIRE(world.streams(30s));
  world.insert(1000);
  CHECK(world.holds_everything());
}

TEST_CASE("capture: a stopped primary makes it wait, not end, and capture goes on when it does") {
  Captured world;
  world.start_capturer();
  REQUIRE(world.streams());
  world.server->signal_all(SIGSTOP);
  const bool waited = within(30s, [&] { return world.status().state == CaptureState::waiting; });
  const auto updated = world.status().updated_at;
  const bool alive = within(5s, [&] { return world.status().updated_at > updated; });
  world.server->signal_all(SIGCONT);
  CHECK(waited);
  CHECK(alive);
  REQUIRE(world.streams(30s));
  CHECK(world.status().restarts == 0);
  CHECK(world.holds_everything());
}

TEST_CASE("capture: a vanished slot ends it with not_found, and the slot is not made anew") {
  Captured world;
  world.start_capturer();
  REQUIRE(world.streams());
  const auto child = world.status().receivewal_pid;
  ::kill(world.capturer, SIGSTOP);
  ::kill(*child, SIGKILL);
  {
    auto connection = world.connect();
    CHECK(within(10s, [&] { return drop_slot(connection, kSlot).has_value(); }));
    ::kill(world.capturer, SIGCONT);
    CHECK(world.wait_capturer() == exit_code(ErrorKind::not_found));
    CHECK_FALSE(Captured::must(find_slot(connection, kSlot)));
  }
  CHECK(world.status().last_error.find(
            "replication slot 'walback' does not exist on the primary: WAL from 0/") == 0);
}

TEST_CASE(
    "capture: a .partial cut short while pg_receivewal padded it would be refused for ever; it is "
    "completed") {
  Captured world;
  world.start_capturer();
  REQUIRE(world.streams());
  world.insert(1000);
  REQUIRE(world.holds_everything());
  world.kill_capturer(SIGTERM);
  Path partial;
  for (const auto& entry : Captured::must(real_file_system().list(world.archive.epoch(1)))) {
    if (entry.name.ends_with(".partial")) partial = world.archive.epoch(1) / entry.name;
  }
  REQUIRE_FALSE(partial.empty());
  REQUIRE(::truncate(partial.c_str(), 81920) == 0);
  world.start_capturer();
  REQUIRE(world.streams());
  CHECK(world.holds_everything());
  CHECK(Captured::must(real_file_system().stat(partial)).size_bytes == 16U << 20);
}

TEST_CASE("capture: another cluster behind the same address is refused, and not one file of it is written") {
  Captured world;
  const ArchiveLayout other{world.server->directory() / "other"};
  Captured::must(create_archive(real_file_system(), other, {1, *SegmentSize::from_bytes(16U << 20)}));
  auto setup = world.setup();
  setup.archive = other;
  const auto ended = run_capturer(setup, {});
  REQUIRE_FALSE(ended);
  CHECK(ended.error().kind == ErrorKind::foreign_system);
  CHECK(Captured::must(real_file_system().list(other.epoch(1))).empty());
}
