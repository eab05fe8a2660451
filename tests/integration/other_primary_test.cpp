#include <doctest/doctest.h>
#include <fmt/format.h>

#include <csignal>
#include <filesystem>

#include "integration/support/crash.h"
#include "integration/support/lab_fixture.h"
#include "lab/lab_processes.h"
#include "os/process.h"

/// Two archives of one primary, and one archive whose primary is no longer the one that it was.
using namespace walback;
using namespace walback::test;
using namespace std::chrono_literals;

namespace {

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// A second configuration for the lab's primary; what runs with it ends with the test.
class Second {
 public:
  Second(const LabFixture& lab, std::string name, std::string slot)
      : lab_(lab), name_(std::move(name)), slot_(std::move(slot)) {}
  ~Second() {
    const auto found = walback_processes_on(config());
    if (!found) return;
    for (const FoundProcess& each : *found) ::kill(each.process.pid, SIGKILL);
    static_cast<void>(wait_until(
        [&] {
          return std::ranges::none_of(*found,
                                      [](const FoundProcess& each) { return is_running(each.process); });
        },
        20s));
  }
  Second(const Second&) = delete;
  Second& operator=(const Second&) = delete;

  [[nodiscard]] Path config() const { return lab_.directory() / (name_ + ".yaml"); }
  [[nodiscard]] Path archive() const { return lab_.directory() / name_; }
  [[nodiscard]] WalbackRun walback(const std::vector<std::string>& arguments) const {
    const auto output = walback::run(command(arguments), 60s);
    REQUIRE_MESSAGE(output, output.error().message);
    WalbackRun run{output->status.code, output->out, output->err, nullptr};
    if (auto json = parse_json(run.out, "stdout")) run.json = std::move(*json);
    return run;
  }
  [[nodiscard]] WalbackRun init() const {
    return walback({"init", "--conninfo", lab_.state().primary_conninfo(), "--archive", archive().string(),
                    "--slot", slot_});
  }
  void use_slot(const std::string& slot) const {
    std::string text = real_file_system().read(config()).value();
    const std::string mine = fmt::format("slot: \"{}\"", slot_);
    REQUIRE(has(text, mine));
    text.replace(text.find(mine), mine.size(), fmt::format("slot: \"{}\"", slot));
    REQUIRE(real_file_system().write(config(), text));
  }
  void start() const { REQUIRE(spawn_detached(command({"run"}), lab_.directory() / (name_ + ".log"))); }

 private:
  [[nodiscard]] Command command(const std::vector<std::string>& arguments) const {
    Command command{lab_.state().executable, {"-c", config().string()}, {}, lab_.directory()};
    command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
    return command;
  }

  const LabFixture& lab_;
  std::string name_, slot_;
};

std::string findings(const WalbackRun& check) {
  std::string all;
  REQUIRE_MESSAGE(check.json.is_object(), check.all());
  for (const Json& finding : check.json.at("findings"))
    all += fmt::format("{}|{}|{}\n", finding.at("severity").get<std::string>(),
                       finding.at("subject").get<std::string>(), finding.at("text").get<std::string>());
  return all;
}

/// The lab's primary, taken away and put back. Whatever runs in its place is stopped at the end.
class Place {
 public:
  explicit Place(const LabFixture& lab) : lab_(lab), data_(lab.state().primary.data) {}
  ~Place() { pg_ctl({"stop", "-m", "immediate"}, false); }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  void stop() const { pg_ctl({"stop", "-m", "fast"}, true); }
  void start() const { pg_ctl({"start", "-l", (lab_.directory() / "place.log").string()}, true); }
  [[nodiscard]] const Path& data() const { return data_; }
  [[nodiscard]] Path aside(const std::string& name) const { return data_.string() + "." + name; }
  void run(const Path& program, const std::vector<std::string>& arguments) const {
    const auto output = walback::run({program, arguments, {}, "/"}, 60s);
    REQUIRE_MESSAGE(output, output.error().message);
    REQUIRE_MESSAGE(output->status.success(), output->out << output->err);
  }
  /// Another cluster with the same settings.
  void initdb() const {
    const Path old = aside("new");
    run(lab_.state().binaries / "initdb",
        {"-D", data_.string(), "-U", "postgres", "--no-sync", "-A", "trust", "--wal-segsize=1"});
    for (const char* name : {"postgresql.conf", "pg_hba.conf", "lab.conf"})
      if (std::filesystem::exists(old / name))
        std::filesystem::copy_file(old / name, data_ / name,
                                   std::filesystem::copy_options::overwrite_existing);
  }

 private:
  void pg_ctl(std::vector<std::string> arguments, bool must) const {
    arguments.insert(arguments.end(), {"-D", data_.string(), "-w", "-t", "60", "-s"});
    const auto output = walback::run({lab_.state().binaries / "pg_ctl", arguments, {}, "/"}, 90s);
    if (!must) return;
    REQUIRE_MESSAGE(output, output.error().message);
    REQUIRE_MESSAGE(output->status.success(), output->out << output->err);
  }

  const LabFixture& lab_;
  Path data_;
};

}  // namespace

TEST_CASE("two walbacks on one primary: both capture, mirror side by side, and let it come to rest") {
  LabFixture lab;
  const Second other(lab, "other", "other");
  REQUIRE(other.init().ok());
  other.start();
  const auto mirrored = [&](const std::string& slot) {
    return lab.value("SELECT to_regclass('walback.wal_segments') IS NOT NULL") == "t" &&
           lab.value("SELECT count(*) > 0 FROM walback.wal_segments WHERE slot = '" + slot + "'") == "t";
  };
  lab.execute("CREATE TABLE marks (id int)");
  REQUIRE(wait_until([&] { return mirrored("walback") && mirrored("other"); }, 30s));

  // Each is a note to the other, and no more.
  const std::string mine = findings(lab.walback({"--json", "check"}));
  CHECK(has(mine, "note|slot other|is another walback's, which streams from it (pid "));
  CHECK(has(mine, "good|slot walback|active"));
  const std::string theirs = findings(other.walback({"--json", "check"}));
  CHECK(has(theirs, "note|slot walback|is another walback's, which streams from it (pid "));
  CHECK(has(theirs, "good|slot other|active"));

  // The same slot a second time: for a new archive, and for one whose walback.yaml was changed.
  const WalbackRun taken = Second(lab, "taken", "walback").init();
  CHECK(taken.exit_code == 6);
  CHECK(has(taken.err, "slot 'walback' is in use on the primary by pid "));
  const Second third(lab, "third", "third");
  REQUIRE(third.init().ok());
  third.use_slot("walback");
  const WalbackRun refused = third.walback({"capture"});
  CHECK(refused.exit_code == 6);
  CHECK(
      has(refused.err, fmt::format("replication slot 'walback' is used by another receiver: pid {} on the "
                                   "primary, application_name 'walback_capture'",
                                   lab.value("SELECT active_pid FROM pg_replication_slots WHERE slot_name = "
                                             "'walback'"))));
  CHECK(names_in(third.archive() / "wal" / "0001").empty());

  // Neither answers the other's commits for ever: longer than a mirror waits, nobody takes an xid.
  const auto next_xid = [&] { return lab.value("SELECT pg_snapshot_xmax(pg_current_snapshot())"); };
  std::string seen = next_xid();
  auto since = std::chrono::steady_clock::now();
  CHECK(wait_until(
      [&] {
        if (const std::string now = next_xid(); now != seen) {
          seen = now;
          since = std::chrono::steady_clock::now();
        }
        return std::chrono::steady_clock::now() - since > 8s;
      },
      40s));
}

TEST_CASE(
    "another server under the same address: an older copy and another cluster are refused by everybody") {
  LabOptions options;
  options.segment_size_mb = 1;
  LabFixture lab(options);
  lab.execute("CREATE TABLE marks (id int)");
  const Place place(lab);
  const auto log = [&] { return real_file_system().read(lab.state().walback_log()).value(); };
  const auto epoch = lab.archive() / "wal" / "0001";

  place.stop();
  place.run("cp", {"-a", place.data().string(), place.aside("old").string()});
  place.start();
  // Far enough: what a copy writes by itself when it is started must not bring it level.
  for (int segment = 0; segment < 4; ++segment) {
    lab.execute("INSERT INTO marks VALUES (1)");
    lab.execute("SELECT pg_switch_wal()");
  }
  lab.wait_captured();
  REQUIRE(lab.walback({"list", "segments"}).ok());
  place.stop();
  std::filesystem::rename(place.data(), place.aside("new"));
  std::filesystem::rename(place.aside("old"), place.data());
  const std::vector<std::string> held = names_in(epoch);
  const std::size_t before = log().size();
  place.start();
  CHECK(wait_until(
      [&] {
        return has(log().substr(before), "capture_cannot_go_on") &&
               has(log().substr(before), "it is an older copy of the primary");
      },
      30s));
  CHECK(wait_until([&] { return has(log().substr(before), "primary_unusable"); }, 30s));
  const WalbackRun backup = lab.walback({"backup"});
  CHECK(backup.exit_code == 6);
  CHECK(has(backup.err, "it is an older copy of the primary"));
  CHECK(has(lab.walback({"status", "--exit-code"}).out, "it is an older copy of the primary"));
  CHECK(names_in(epoch) == held);

  place.stop();
  std::filesystem::remove_all(place.data());
  place.initdb();
  const std::size_t then = log().size();
  place.start();
  CHECK(wait_until([&] { return has(log().substr(then), "carries system identifier"); }, 30s));
  lab.kill_services();  // which hold the capturer's lock for moments
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"backup"}, {"capture"}, {"init"}, {"capture", "--accept-gap", "--yes"}}) {
    CAPTURE(command.front());
    const WalbackRun run = lab.walback(command);
    CHECK(run.exit_code == 8);
    CHECK(has(run.err, "walback init --archive"));
  }
  CHECK(has(findings(lab.walback({"--json", "check"})), "wrong|system identifier|the primary is "));
  CHECK(lab.walback({"status", "--exit-code"}).exit_code == 13);
  CHECK(names_in(epoch) == held);
  place.stop();
}
