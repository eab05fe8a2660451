#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <memory>
#include <mutex>
#include <random>

#include "base/text.h"
#include "integration/support/lab_fixture.h"
#include "integration/support/waldump_oracle.h"
#include "lab/lab_processes.h"
#include "os/process.h"
#include "os/system.h"
#include "pg/binaries.h"

/// kill -9 and Ctrl-C at any moment, then the same command again.
using namespace walback;
using namespace walback::test;
using namespace std::chrono_literals;

namespace {

/// Its seed is printed; WALBACK_TEST_SEED repeats a run as far as timing can be repeated.
class Chance {
 public:
  Chance() {
    const auto given = environment_variable("WALBACK_TEST_SEED");
    const std::uint64_t seed = given ? parse_decimal(*given).value_or(0) : random_u64();
    MESSAGE("WALBACK_TEST_SEED=" << seed);
    engine_.seed(seed);
  }
  std::chrono::milliseconds up_to(int milliseconds) {
    return std::chrono::milliseconds(std::uniform_int_distribution<int>(0, milliseconds)(engine_));
  }
  std::size_t below(std::size_t count) {
    return std::uniform_int_distribution<std::size_t>(0, count - 1)(engine_);
  }

 private:
  std::mt19937_64 engine_;
};

/// A walback command that a test signals.
class Running {
 public:
  explicit Running(const Command& command) : text_(std::make_shared<Text>()) {
    auto started = real_processes().spawn(command, [text = text_](std::string_view line) {
      const std::lock_guard guard(text->mutex);
      text->all += std::string(line) + "\n";
    });
    REQUIRE_MESSAGE(started, started.error().message);
    process_ = std::move(*started);
  }
  void signal(int number) { process_->kill(number); }
  [[nodiscard]] bool ended() { return process_->wait(0ms).has_value(); }
  ExitStatus wait() {
    const auto how = process_->wait(60s);
    REQUIRE_MESSAGE(how, "it does not end: " << text());
    return *how;
  }
  [[nodiscard]] int pid() const { return process_->pid(); }
  [[nodiscard]] std::string text() const {
    const std::lock_guard guard(text_->mutex);
    return text_->all;
  }

 private:
  struct Text {
    std::mutex mutex;
    std::string all;
  };
  std::shared_ptr<Text> text_;
  std::unique_ptr<Process> process_;
};

std::vector<std::string> names_in(const Path& directory) {
  std::vector<std::string> names;
  const auto entries = real_file_system().list(directory);
  REQUIRE(entries);
  for (const DirectoryEntry& entry : *entries) names.push_back(entry.name);
  return names;
}

/// Every file below, with its size and time: what "untouched" means.
std::map<std::string, std::pair<std::uint64_t, std::int64_t>> files_below(const Path& directory) {
  FileSystem& files = real_file_system();
  std::map<std::string, std::pair<std::uint64_t, std::int64_t>> found;
  const auto entries = files.list(directory);
  REQUIRE(entries);
  for (const DirectoryEntry& entry : *entries) {
    const Path path = directory / entry.name;
    const auto info = files.stat(path).value();
    found[path.string()] = {info.size_bytes, info.mtime_ns};
    if (entry.kind == FileKind::directory) found.merge(files_below(path));
  }
  return found;
}

std::size_t servers_in(const Path& directory) {
  return postgres_processes_below(directory).value().size();
}

/// pg_receivewal into this archive.
std::vector<int> receivers(const Path& archive) {
  std::vector<int> pids;
  const auto entries = real_file_system().list("/proc");
  REQUIRE(entries);
  for (const DirectoryEntry& entry : *entries) {
    const auto pid = parse_decimal(entry.name);
    const auto command =
        pid ? real_file_system().read(Path("/proc") / entry.name / "cmdline") : std::string();
    if (command && command->find("pg_receivewal") != std::string::npos &&
        command->find(archive.string()) != std::string::npos && process_start_ticks(static_cast<int>(*pid)))
      pids.push_back(static_cast<int>(*pid));
  }
  return pids;
}

/// As the mark says it; with `pid`, only of the restore by that process, not of one that it is about to wipe.
std::string phase_of(const Path& directory, int pid = 0) {
  const auto text = real_file_system().read(directory / "walback-restore.json");
  const auto json = text ? parse_json(*text, "mark") : Result<Json>(Json::object());
  if (!json || (pid != 0 && json->value("pid", 0) != pid)) return "";
  return json->value("phase", "");
}

/// A command killed at most this long after it began, or after a phase began.
constexpr int kLongestMs = 350;

std::vector<std::string> restore_to_latest(const Path& into, std::uint16_t port) {
  return {"restore", "--to-latest", "--into", into.string(), "--port", std::to_string(port)};
}

/// Runs a restore until it shows `phase`, and a moment longer. False: it came to its end before.
bool await_phase(Running& restore, const Path& directory, const std::string& phase,
                 std::chrono::milliseconds longer) {
  while (phase_of(directory, restore.pid()) != phase) {
    if (restore.ended()) return false;
    std::this_thread::sleep_for(1ms);
  }
  const auto until = std::chrono::steady_clock::now() + longer;
  while (std::chrono::steady_clock::now() < until && phase_of(directory) == phase)
    std::this_thread::sleep_for(1ms);
  return phase_of(directory) == phase;
}

/// What every restore after a kill must show.
void check_restored(const LabFixture& lab, const Path& directory, std::uint16_t port, std::int64_t rows) {
  auto connection = Connection::open(fmt::format("host='{}' port={} user=postgres dbname=postgres",
                                                 (directory / "walback" / "socket").string(), port));
  REQUIRE_MESSAGE(connection, connection.error().message);
  CHECK(connection->query("SELECT count(*) FROM filler")->integer(0, 0) == rows);
  CHECK(connection->query("SELECT pg_is_in_recovery()::int")->integer(0, 0) == 0);
  const auto removed = lab.walback({"clusters", "remove", directory.filename().string()});
  CHECK_MESSAGE(removed.ok(), removed.all());
  CHECK(servers_in(directory) == 0);
  CHECK(port_is_free(port));
  CHECK(!exists(real_file_system(), directory));
}

/// A lab with a base backup of some size and WAL behind it; its services are gone, so that whatever changes
/// in the archive is ours.
std::int64_t fill_and_back_up(LabFixture& lab) {
  lab.execute(
      "CREATE TABLE filler AS SELECT i, repeat(md5(i::text), 20) AS t FROM generate_series(1, 20000) i");
  static_cast<void>(lab.ask({"backup"}));
  for (int round = 0; round < 6; ++round)
    lab.execute("INSERT INTO filler SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, 5000) i");
  lab.wait_captured();
  return 50'000;
}

}  // namespace

TEST_CASE(
    "kill: the capturer, pg_receivewal and the WAL manager, again and again under load: no gap, no commit "
    "lost from the index") {
  Chance chance;
  LabFixture lab({.segment_size_mb = 1});
  lab.kill_services();
  auto capture = std::make_unique<Running>(lab.command({"capture"}));
  auto manage = std::make_unique<Running>(lab.command({"manage"}));
  LoadSetup setup = lab.load_setup(4, 0);
  setup.rate = 1'500;
  BackgroundLoad load(setup);
  for (int round = 0; round < 12; ++round) {
    std::this_thread::sleep_for(200ms + chance.up_to(800));
    switch (chance.below(3)) {
      case 0:
        capture->signal(SIGKILL);
        static_cast<void>(capture->wait());
        break;
      case 1:
        manage->signal(SIGKILL);
        static_cast<void>(manage->wait());
        break;
      default:
        for (const int pid : receivers(lab.archive())) ::kill(pid, SIGKILL);
    }
    std::this_thread::sleep_for(chance.up_to(30));
    // At once: the one before may still hold its lock for a moment, and its pg_receivewal may still end.
    if (capture->ended()) capture = std::make_unique<Running>(lab.command({"capture"}));
    if (manage->ended()) manage = std::make_unique<Running>(lab.command({"manage"}));
  }
  load.request_stop();
  const LoadFigures figures = load.finish();
  CHECK(figures.acknowledged > 1'000);
  CHECK(figures.failed == 0);
  CHECK_MESSAGE(!capture->ended(), capture->text());
  CHECK_MESSAGE(!manage->ended(), manage->text());
  lab.wait_captured();
  manage->signal(SIGTERM);
  CHECK(manage->wait().code == 0);
  capture->signal(SIGTERM);
  CHECK(capture->wait().code == 0);
  CHECK(receivers(lab.archive()).empty());

  const Json indexed = lab.ask({"commits"});
  const auto binaries = find_binaries(Path{});
  REQUIRE_MESSAGE(binaries, binaries.error().message);
  const WaldumpOracle oracle(*binaries, lab.archive() / "wal" / "0001", lab.directory() / "dump");
  const auto expected = oracle.commits();
  CHECK(expected.size() >= figures.acknowledged);
  REQUIRE(indexed.size() == expected.size());
  std::size_t different = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (indexed[i].at("lsn") != to_string(expected[i].lsn) || indexed[i].at("xid") != expected[i].xid ||
        indexed[i].at("time") != to_rfc3339(expected[i].time))
      ++different;
  }
  CHECK(different == 0);
  const WalbackRun status = lab.walback({"--json", "status"});
  CHECK_MESSAGE(status.json.at("gaps").empty(), status.all());
  for (const Json& segment : lab.ask({"list", "segments"})) CHECK(segment.at("problem").is_null());
}

TEST_CASE("kill: a base backup at any moment leaves nothing that looks like one, and the next is whole") {
  Chance chance;
  LabFixture lab;
  static_cast<void>(fill_and_back_up(lab));
  std::size_t complete = 1;
  for (int round = 0; round < 8; ++round) {
    Running backup(lab.command({"backup"}));
    std::this_thread::sleep_for(chance.up_to(kLongestMs * 2));
    backup.signal(SIGKILL);
    static_cast<void>(backup.wait());
    // Killed behind the rename it is a whole backup; before, it has no name.
    const auto names = names_in(lab.archive() / "backups");
    const auto named = [](const std::string& name) {
      return name.front() != '.' && !name.ends_with(".json");
    };
    complete = static_cast<std::size_t>(std::ranges::count_if(names, [&](const std::string& name) {
      return named(name) && name.find(".tmp") == std::string::npos;
    }));
    for (const std::string& name : names) {
      if (!named(name)) continue;
      const auto verified = walback::run({find_binaries(Path{})->program("pg_verifybackup"),
                                          {"-n", "-q", (lab.archive() / "backups" / name).string()},
                                          {},
                                          "/"},
                                         60s);
      REQUIRE(verified);
      CHECK_MESSAGE(verified->status.success(), name << ": " << verified->err);
    }
  }
  const Json last = lab.ask({"backup"});
  CHECK(last.at("usable") == true);
  const auto names = names_in(lab.archive() / "backups");
  CHECK(names.size() == (complete + 1) * 2);  // each with its facts, and nothing else
  CHECK(std::ranges::none_of(names, [](const std::string& name) { return name.front() == '.'; }));
}

TEST_CASE("kill: SIGINT and SIGTERM end a base backup with 11, and it leaves nothing at all") {
  Chance chance;
  LabFixture lab;
  static_cast<void>(fill_and_back_up(lab));
  const auto before = files_below(lab.archive() / "backups");
  for (const int signal : {SIGINT, SIGTERM, SIGINT}) {
    Running backup(lab.command({"backup"}));
    const bool begun = wait_until(
        [&] {
          const auto names = names_in(lab.archive() / "backups");
          return backup.ended() ||
                 std::ranges::any_of(names, [](const std::string& name) { return name.front() == '.'; });
        },
        30s);
    CHECK(begun);
    backup.signal(signal);
    const ExitStatus how = backup.wait();
    CHECK_MESSAGE(how.code == exit_code(ErrorKind::interrupted), backup.text());
    auto after = files_below(lab.archive() / "backups");
    CHECK(after == before);
  }
}

TEST_CASE("kill: a restore in each of its phases; the same command wipes, says so, and ends proven") {
  Chance chance;
  LabFixture lab;
  const std::int64_t rows = fill_and_back_up(lab);
  lab.kill_services();
  for (const std::string phase : {"laying_base", "recovering", "finishing"}) {
    int killed = 0;
    for (int attempt = 0; killed < 2 && attempt < 10; ++attempt) {
      const Path into = lab.lab() / fmt::format("{}-{}", phase, attempt);
      const std::uint16_t port = free_port();
      CAPTURE(into);
      {
        Running first(lab.command(restore_to_latest(into, port)));
        if (!await_phase(first, into, phase, chance.up_to(attempt == 0 ? 0 : 60))) {
          first.signal(SIGKILL);
          static_cast<void>(first.wait());
          if (phase_of(into) == "complete") CHECK(lab.walback({"clusters", "remove", into.filename()}).ok());
          continue;  // it was faster than we
        }
        first.signal(SIGKILL);
        CHECK(first.wait().signal == SIGKILL);
      }
      if (phase_of(into) == "complete") continue;
      ++killed;
      const WalbackRun second = lab.walback(restore_to_latest(into, port));
      REQUIRE_MESSAGE(second.ok(), second.all());
      CHECK_MESSAGE(second.all().find(fmt::format("'{}' holds an unfinished restore", into.string())) !=
                        std::string::npos,
                    second.all());
      CHECK(second.all().find("it is wiped and begun again") != std::string::npos);
      CHECK(second.out.find("proven: ") != std::string::npos);
      check_restored(lab, into, port, rows);
    }
    CHECK_MESSAGE(killed == 2, "phase " << phase);
  }
}

TEST_CASE("kill: Ctrl-C of a restore in each phase: 11, no server left, the archive untouched") {
  Chance chance;
  LabFixture lab;
  const std::int64_t rows = fill_and_back_up(lab);
  lab.kill_services();
  static_cast<void>(lab.ask({"list", "segments"}));
  const auto wal = files_below(lab.archive() / "wal");
  const auto backups = files_below(lab.archive() / "backups");
  const Path into = lab.lab() / "interrupted";
  const std::uint16_t port = free_port();
  for (const auto& [phase, signal] : std::vector<std::pair<std::string, int>>{
           {"laying_base", SIGINT}, {"recovering", SIGTERM}, {"recovering", SIGINT}, {"finishing", SIGINT}}) {
    CAPTURE(phase);
    bool caught = false;
    for (int attempt = 0; !caught && attempt < 10; ++attempt) {
      Running restore(lab.command(restore_to_latest(into, port)));
      caught = await_phase(restore, into, phase, chance.up_to(10));
      restore.signal(signal);
      const ExitStatus how = restore.wait();
      if (phase_of(into) == "complete") {
        caught = false;  // it was faster than the signal
        CHECK(lab.walback({"clusters", "remove", "interrupted"}).ok());
        continue;
      }
      CHECK_MESSAGE(how.code == exit_code(ErrorKind::interrupted), restore.text());
      CHECK(servers_in(into) == 0);
      CHECK(port_is_free(port));
    }
    CHECK(caught);
    CHECK(files_below(lab.archive() / "wal") == wal);
    CHECK(files_below(lab.archive() / "backups") == backups);
  }
  const WalbackRun again = lab.walback(restore_to_latest(into, port));
  REQUIRE_MESSAGE(again.ok(), again.all());
  check_restored(lab, into, port, rows);
  CHECK(files_below(lab.archive() / "wal") == wal);
  CHECK(files_below(lab.archive() / "backups") == backups);
}

TEST_CASE("kill: of two restores into one directory at once the second is refused, the first ends") {
  LabFixture lab;
  const std::int64_t rows = fill_and_back_up(lab);
  const Path into = lab.lab() / "twice";
  const std::uint16_t port = free_port();
  Running first(lab.command(restore_to_latest(into, port)));
  REQUIRE(wait_until([&] { return !phase_of(into).empty() || first.ended(); }, 30s));
  first.signal(SIGSTOP);
  const WalbackRun second = lab.walback(restore_to_latest(into, free_port()));
  CHECK_MESSAGE(second.exit_code == exit_code(ErrorKind::conflict), second.all());
  CHECK_MESSAGE(second.err.find(fmt::format("a restore into '{}' is already running: pid {}", into.string(),
                                            first.pid())) != std::string::npos,
                second.all());
  first.signal(SIGCONT);
  CHECK_MESSAGE(first.wait().code == 0, first.text());
  check_restored(lab, into, port, rows);
}

TEST_CASE("kill: walback run ends its children by SIGTERM, and takes them with it when it is killed") {
  LabFixture lab({.segment_size_mb = 1});
  lab.kill_services();
  REQUIRE(wait_until([&] { return receivers(lab.archive()).empty(); }, 30s));
  for (const int signal : {SIGTERM, SIGKILL}) {
    Running run(lab.command({"run"}));
    REQUIRE(wait_until([&] { return !receivers(lab.archive()).empty(); }, 30s));
    REQUIRE(walback_processes_on(lab.state().config())->size() == 3);
    run.signal(signal);
    const ExitStatus how = run.wait();
    if (signal == SIGTERM) {
      CHECK(how.code == 0);
      CHECK(run.text().find("capture_stopped") != std::string::npos);
      CHECK(run.text().find("manager_stopped") != std::string::npos);
      CHECK(walback_processes_on(lab.state().config())->empty());
      CHECK(receivers(lab.archive()).empty());
    }
    CHECK(wait_until(
        [&] {
          return walback_processes_on(lab.state().config())->empty() && receivers(lab.archive()).empty();
        },
        30s));
  }
}
