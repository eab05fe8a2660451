#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <mutex>

#include "base/text.h"
#include "integration/support/crash.h"
#include "integration/support/small_disk.h"
#include "lab/lab_processes.h"
#include "os/process.h"

/// Disks that fill up, under a real capturer, WAL manager, base backup and restore.
using namespace walback;
using namespace walback::test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kMb = 1U << 20;

/// A walback command that runs beside the test, and what it says.
class Beside {
 public:
  explicit Beside(const Command& command) {
    auto started = real_processes().spawn(command, [text = text_](std::string_view line) {
      const std::lock_guard guard(text->mutex);
      text->all += std::string(line) + "\n";
    });
    REQUIRE_MESSAGE(started, started.error().message);
    process_ = std::move(*started);
  }
  [[nodiscard]] std::string said() const {
    const std::lock_guard guard(text_->mutex);
    return text_->all;
  }
  [[nodiscard]] std::size_t count(const std::string& words) const {
    const std::string all = said();
    std::size_t found = 0;
    for (auto at = all.find(words); at != std::string::npos; at = all.find(words, at + 1)) ++found;
    return found;
  }
  Process& process() { return *process_; }

 private:
  struct Text {
    std::mutex mutex;
    std::string all;
  };
  std::shared_ptr<Text> text_ = std::make_shared<Text>();
  std::unique_ptr<Process> process_;
};

/// A primary on the machine's own disk, and an archive on the small one that keeps 8 MB in reserve.
struct SmallArchive {
  SmallArchive() : lab({.capturing = false, .segment_size_mb = 1}) {
    REQUIRE(walback({"init", "--conninfo", lab.state().primary_conninfo(), "--archive", root.string()}).ok());
    std::string text = real_file_system().read(config).value();
    const auto reserve = text.find("reserve_mb: 0");
    REQUIRE(reserve != std::string::npos);
    text.replace(reserve, 13, "reserve_mb: 8");
    REQUIRE(real_file_system().write(config, text));
  }
  [[nodiscard]] Command command(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"-c", config.string()});
    return {lab.state().executable, arguments, {}, lab.directory()};
  }
  [[nodiscard]] WalbackRun walback(const std::vector<std::string>& arguments) const {
    const auto output = walback::run(command(arguments), 2min);
    REQUIRE_MESSAGE(output, output.error().message);
    WalbackRun run{output->status.code, output->out, output->err, nullptr};
    if (auto json = parse_json(run.out, "stdout")) run.json = std::move(*json);
    return run;
  }
  [[nodiscard]] Json status() const { return walback({"--json", "status"}).json; }
  [[nodiscard]] bool becomes(const std::string& state) const {
    return wait_until([&] { return status().at("capture_state") == Json(state); }, 60s);
  }
  [[nodiscard]] bool has_problem(const std::string& words) const {
    return status().at("problems").dump().find(words) != std::string::npos;
  }
  /// Everything of pg_receivewal's directory: "name size".
  [[nodiscard]] std::vector<std::string> wal() const {
    std::vector<std::string> found;
    for (const std::string& name : names_in(root / "wal" / "0001"))
      found.push_back(
          fmt::format("{} {}", name, real_file_system().stat(root / "wal" / "0001" / name)->size_bytes));
    return found;
  }

  LabFixture lab;
  Path root = SmallDisk::get().path() / "archive";
  Path config = SmallDisk::get().path() / "walback.yaml";
};

void expect_pause_and_resumption(const SmallArchive& archive, const SmallDisk& disk, const Beside& run) {
  LoadSetup setup = archive.lab.load_setup(2, 0);
  setup.rate = 200;
  BackgroundLoad load(setup);
  disk.leave(20 * kMb);
  CHECK(wait_until([&] { return run.count("WARN capture disk_nearly_full") == 1; }, 30s));
  CHECK(archive.has_problem("the archive's disk will soon be full: "));
  const WalbackRun check = archive.walback({"check"});
  CHECK(check.exit_code == exit_code(ErrorKind::findings));
  CHECK_MESSAGE(check.out.find("wrong  disk of the archive: ") != std::string::npos, check.all());

  disk.leave(8 * kMb - 4096);
  REQUIRE_MESSAGE(archive.becomes("disk_full"), run.said());
  CHECK(archive.has_problem("the archive's disk is full and capturing pauses: "));
  CHECK(wait_until(
      [&] { return archive.lab.value("SELECT bool_or(active)::text FROM pg_replication_slots") == "false"; },
      30s));
  const auto held = archive.wal();
  CHECK(held.back().find(".partial 1048576") != std::string::npos);
  // The primary goes on, and its slot keeps what the archive cannot take.
  const std::uint64_t before = load.acknowledged();
  CHECK(wait_until([&] { return load.acknowledged() > before + 300; }, 30s));
  CHECK(archive.wal() == held);
  const WalbackRun slot = archive.walback({"check"});
  CHECK_MESSAGE(slot.out.find("more the primary's disk is full and it stops") != std::string::npos,
                slot.all());
  archive.lab.execute("ALTER SYSTEM SET max_slot_wal_keep_size = '64MB'");
  archive.lab.execute("SELECT pg_reload_conf()");
  CHECK(wait_until(
      [&] {
        return archive.walback({"check"}).out.find("more the primary removes WAL that is not captured yet") !=
               std::string::npos;
      },
      30s));
  archive.lab.execute("ALTER SYSTEM RESET max_slot_wal_keep_size");
  archive.lab.execute("SELECT pg_reload_conf()");

  // Not enough room to go on for: nothing is started and stopped over and over.
  disk.leave(10 * kMb);
  CHECK(archive.becomes("disk_full"));
  disk.make_room();
  REQUIRE_MESSAGE(archive.becomes("streaming"), run.said());
  load.request_stop();
  const LoadFigures figures = load.finish();
  CHECK(figures.failed == 0);
  archive.lab.wait_captured();
  CHECK(archive.walback({"--json", "commits"}).json.size() >= figures.acknowledged);
  CHECK(archive.status().at("gaps").empty());
  CHECK(run.count("ERROR capture disk_full") == 1);
  CHECK(run.count("INFO capture disk_has_room") == 1);
}

/// Not a byte left while the catalog must be written.
void expect_catalog_waits(const SmallArchive& archive, const SmallDisk& disk, const Beside& run) {
  const Json expected = archive.walback({"--json", "list", "segments"}).json;
  // A manager that must make the catalog anew: `walback run` starts it again some seconds after its death.
  const auto manager = parse_json(real_file_system().read(archive.root / "manage.status").value(), "status")
                           ->at("pid")
                           .get<int>();
  REQUIRE(::kill(manager, SIGKILL) == 0);
  CHECK(wait_until([&] { return run.count("service_ended service=manage") == 1; }, 10s));
  for (const char* suffix : {"-shm", "-wal", ""})
    REQUIRE(real_file_system().remove_tree(archive.root / (std::string("catalog.sqlite") + suffix)));
  disk.leave(0);
  CHECK(wait_until([&] { return run.count("ERROR archive intake_failed") > 0; }, 60s));
  CHECK(run.said().find("no room left for the catalog") != std::string::npos);
  disk.make_room();
  CHECK(wait_until([&] { return run.count("INFO archive intake_recovered") > 0; }, 90s));
  CHECK(run.count("service_ended") == 1);
  REQUIRE(archive.becomes("streaming"));
  const Json found = archive.walback({"--json", "list", "segments"}).json;
  REQUIRE(found.size() >= expected.size());
  for (std::size_t i = 0; i + 1 < expected.size(); ++i) CHECK(found[i] == expected[i]);
}

/// Enough for the databases as the primary counts them, and not for what else a base backup holds.
void expect_backup_refused(const SmallArchive& archive, const SmallDisk& disk) {
  const auto backups = names_in(archive.root / "backups");
  const auto bytes = parse_decimal(archive.lab.value("SELECT sum(pg_database_size(oid)) FROM pg_database"));
  REQUIRE(bytes);
  disk.leave(*bytes + 256 * 1024);
  const WalbackRun full = archive.walback({"backup"});
  CHECK_MESSAGE(full.exit_code == exit_code(ErrorKind::disk_full), full.all());
  CHECK(full.err.find("pg_basebackup failed: ") != std::string::npos);
  CHECK(names_in(archive.root / "backups") == backups);
  REQUIRE(archive.becomes("streaming"));
  disk.make_room();
  const WalbackRun again = archive.walback({"backup"});
  CHECK_MESSAGE(again.ok(), again.all());
  CHECK(archive.status().at("gaps").empty());
}

std::string phase_of(const Path& directory) {
  const auto text = real_file_system().read(directory / "walback-restore.json");
  const auto json = text ? parse_json(*text, "mark") : Result<Json>(Json::object());
  return json ? json->value("phase", "") : "";
}

/// Fills the disk while the restore is in this phase. False: it was faster than we.
bool fill_in_phase(Beside& restore, const Path& into, const std::string& phase, const SmallDisk& disk) {
  const bool seen =
      wait_until([&] { return phase_of(into) == phase || restore.process().wait(0ms).has_value(); }, 60s);
  restore.process().kill(SIGSTOP);
  const bool caught = seen && phase_of(into) == phase;
  if (caught) disk.leave(0);
  restore.process().kill(SIGCONT);
  return caught;
}

}  // namespace

TEST_CASE(
    "disk: an archive that fills up warns, pauses, keeps everything and goes on by itself; the catalog and "
    "base "
    "backups wait for room") {
  SmallDisk& disk = SmallDisk::get();
  disk.clear();
  SmallArchive archive;
  Beside run(archive.command({"run"}));
  REQUIRE_MESSAGE(archive.becomes("streaming"), run.said());
  const WalbackRun backup = archive.walback({"backup"});
  REQUIRE_MESSAGE(backup.ok(), backup.all());
  expect_pause_and_resumption(archive, disk, run);
  expect_catalog_waits(archive, disk, run);
  expect_backup_refused(archive, disk);
  CHECK(run.process().stop(kStopGrace).code == 0);
}

TEST_CASE(
    "disk: a restore whose disk fills up says so, harms nothing, and is done again when there is room") {
  SmallDisk& disk = SmallDisk::get();
  disk.clear();
  LabFixture lab({.segment_size_mb = 1});
  lab.execute("CREATE TABLE filler AS SELECT i FROM generate_series(1, 1000) i");
  static_cast<void>(lab.ask({"backup"}));
  lab.wait_captured();
  lab.kill_services();
  static_cast<void>(lab.ask({"list", "segments"}));
  const auto wal = names_in(lab.archive() / "wal" / "0001");
  const auto backups = names_in(lab.archive() / "backups");
  const Path into = disk.path() / "copy";
  const std::uint16_t port = free_port();
  const std::vector<std::string> restore{"restore",     "--to-latest", "--into",
                                         into.string(), "--port",      std::to_string(port)};
  for (const char* phase : {"laying_base", "recovering"}) {
    CAPTURE(phase);
    bool caught = false;
    for (int attempt = 0; !caught && attempt < 5; ++attempt) {
      Beside first(lab.command(restore));
      caught = fill_in_phase(first, into, phase, disk);
      const auto how = first.process().wait(60s);
      REQUIRE_MESSAGE(how, first.said());
      if (!caught) {
        static_cast<void>(lab.walback({"clusters", "remove", "copy"}));
        continue;
      }
      CHECK_MESSAGE(how->code == exit_code(ErrorKind::disk_full), first.said());
      CHECK(first.count("hint: Make room") == 1);
    }
    REQUIRE(caught);
    // The last children of a postmaster that ended by itself need a moment.
    CHECK(wait_until([&] { return postgres_processes_below(into).value().empty(); }, 10s));
    const Json clusters = lab.ask({"clusters"});
    REQUIRE(clusters.size() == 1);
    CHECK(clusters[0].at("state") == "failed");
    disk.make_room();
    const WalbackRun again = lab.walback(restore);
    REQUIRE_MESSAGE(again.ok(), again.all());
    CHECK(again.all().find("it is wiped and begun again") != std::string::npos);
    CHECK(again.out.find("proven: ") != std::string::npos);
    CHECK(lab.walback({"clusters", "remove", "copy"}).ok());
  }
  CHECK(names_in(lab.archive() / "wal" / "0001") == wal);
  CHECK(names_in(lab.archive() / "backups") == backups);
}
