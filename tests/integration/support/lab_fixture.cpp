#include "integration/support/lab_fixture.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <csignal>

#include "lab/lab_processes.h"
#include "os/process.h"
#include "os/system.h"

namespace walback::test {
namespace {

using namespace std::chrono_literals;

template <class T>
T required(Result<T> result, const std::string& what) {
  REQUIRE_MESSAGE(result, what << ": " << result.error().message << "\n" << result.error().hint);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

std::string spoken(const std::vector<std::string>& arguments) {
  std::string text = "walback";
  for (const std::string& argument : arguments) text += " " + argument;
  return text;
}

}  // namespace

std::string WalbackRun::all() const {
  return fmt::format("exit code {}\nstdout:\n{}\nstderr:\n{}", exit_code, out, err);
}

LabFixture::LabFixture(const LabOptions& options) {
  const auto executable = environment_variable("WALBACK");
  REQUIRE_MESSAGE(executable, "WALBACK names no executable");
  required(drop_root(), "drop_root");
  home_.path = required(make_temporary_directory("walback-lab-test"), "a temporary directory");
  setup_.directory = lab();
  setup_.standby = options.standby;
  setup_.capturing = options.capturing;
  setup_.synchronous = options.synchronous;
  setup_.fsync = options.fsync;
  setup_.segment_size_mb = options.segment_size_mb;
  setup_.executable = *executable;
  state_ = required(lab_up(setup_, {}, {}), "lab_up");
  if (!options.settings.empty()) restart_with(options.settings);
}

LabFixture::Home::~Home() {
  if (path.empty()) return;
  static_cast<void>(lab_down(path / "lab", false, {}));
  static_cast<void>(real_file_system().remove_tree(path));
}

void LabFixture::restart_with(const std::vector<std::pair<std::string, std::string>>& settings) {
  for (const auto& [name, value] : settings) execute(fmt::format("ALTER SYSTEM SET {} = '{}'", name, value));
  required(stop_server(state_.primary.data), "the primary's stop");
  state_ = required(lab_up(setup_, {}, {}), "lab_up");
}

Command LabFixture::command(const std::vector<std::string>& arguments) const {
  Command command{state_.executable, {"-c", state_.config().string()}, {}, home_.path};
  command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
  return command;
}

WalbackRun LabFixture::walback(const std::vector<std::string>& arguments,
                               std::chrono::milliseconds timeout) const {
  const Output output = required(walback::run(command(arguments), timeout), spoken(arguments));
  WalbackRun run{output.status.signal != 0 ? 128 + output.status.signal : output.status.code, output.out,
                 output.err, nullptr};
  if (auto json = parse_json(run.out, "stdout")) run.json = std::move(*json);
  return run;
}

Json LabFixture::ask(const std::vector<std::string>& arguments) const {
  std::vector<std::string> all{"--json"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  const WalbackRun run = walback(all);
  REQUIRE_MESSAGE(run.ok(), spoken(all) << ": " << run.all());
  return run.json;
}

Connection LabFixture::primary() const {
  return required(Connection::open(state_.primary_conninfo()), "the primary");
}

void LabFixture::execute(const std::string& sql) const {
  required(primary().execute(sql), sql);
}

std::string LabFixture::value(const std::string& sql) const {
  return required(primary().query(sql), sql).text(0, 0);
}

LoadSetup LabFixture::load_setup(int writers, double seconds) const {
  LoadSetup setup;
  setup.conninfo = state_.primary_conninfo();
  setup.writers = writers;
  setup.seconds = seconds;
  setup.ledger = ledger();
  return setup;
}

void LabFixture::wait_captured() const {
  // The commands bring the catalog up to what is on disk before they answer.
  const std::string flushed = value("SELECT pg_current_wal_flush_lsn()");
  const std::string sql = fmt::format(
      "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE application_name = 'walback_capture' AND "
      "flush_lsn >= '{}')",
      flushed);
  REQUIRE_MESSAGE(wait_until([&] { return value(sql) == "t"; }, 60s),
                  "the capturer does not reach " << flushed);
}

void LabFixture::kill_services() {
  const auto found = required(walback_processes_on(state_.config()), "walback's processes");
  for (const FoundProcess& each : found) ::kill(each.process.pid, SIGKILL);
  REQUIRE(wait_until(
      [&] {
        for (const FoundProcess& each : found) {
          if (is_running(each.process)) return false;
        }
        return true;
      },
      30s));
}

void LabFixture::start_services() {
  static_cast<void>(required(spawn_detached(command({"run"}), state_.walback_log()), "walback run"));
}

void LabFixture::start_again() {
  state_ = required(lab_up(setup_, {}, {}), "lab_up");
}

LabFixture::Restored LabFixture::restore(const std::vector<std::string>& target) {
  Restored cluster{lab() / fmt::format("r{}", ++restores_), free_port(), nullptr};
  std::vector<std::string> arguments{"restore"};
  arguments.insert(arguments.end(), target.begin(), target.end());
  for (const std::string& argument : {std::string("--into"), cluster.directory.string(),
                                      std::string("--port"), std::to_string(cluster.port)})
    arguments.push_back(argument);
  cluster.proof = ask(arguments);
  return cluster;
}

Connection LabFixture::connect(const Restored& cluster) const {
  const std::string text =
      required(real_file_system().read(cluster.directory / "walback-restore.json"), "the restore's mark");
  const Json mark = required(parse_json(text, "the restore's mark"), "the restore's mark");
  const std::string socket = mark.at("socket_directory").get<std::string>();
  return required(
      Connection::open(fmt::format("host='{}' port={} user=postgres dbname=postgres", socket, cluster.port)),
      "the restored cluster");
}

void LabFixture::stop(const Restored& cluster) const {
  required(stop_server(cluster.directory), "the restored cluster's stop");
}

BackgroundLoad::BackgroundLoad(const LoadSetup& setup) {
  result_ = std::async(std::launch::async, [this, setup] {
    return run_load(
        setup, [this](const LoadFigures& now) { acknowledged_ = now.acknowledged; }, stop_.get_token());
  });
}

BackgroundLoad::~BackgroundLoad() {
  stop_.request_stop();
}

LoadFigures BackgroundLoad::finish() {
  return required(result_.get(), "the load");
}

}  // namespace walback::test
