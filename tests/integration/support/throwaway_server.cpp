#include "integration/support/throwaway_server.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/text.h"
#include "os/process.h"
#include "os/system.h"
#include "pg/connection.h"

namespace walback::test {
namespace {

using namespace std::chrono_literals;

constexpr auto kStartBound = 60s;
constexpr auto kStopBound = 60s;
constexpr auto kPoll = 10ms;

template <class Condition>
bool wait_until(std::chrono::milliseconds bound, const Condition& condition) {
  const auto deadline = std::chrono::steady_clock::now() + bound;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(kPoll);
  }
  return true;
}

std::string quoted(const std::string& value) {
  std::string text = "'";
  for (const char c : value) text += c == '\'' ? "''" : std::string(1, c);
  return text + "'";
}

/// The parent of each process, from /proc.
int parent_of(int pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string stat;
  std::getline(file, stat);
  const auto end = stat.rfind(')');
  if (end == std::string::npos) return 0;
  const auto fields = split(std::string_view(stat).substr(end + 2), ' ');
  return fields.size() > 1 ? static_cast<int>(parse_decimal(fields[1]).value_or(0)) : 0;
}

}  // namespace

std::uint16_t free_port() {
  // Below the kernel's own range for outgoing connections, so that none of those takes it in between.
  while (true) {
    const auto port = static_cast<std::uint16_t>(20'000 + random_u64() % 12'000);
    if (port_is_free(port)) return port;
  }
}

Result<std::unique_ptr<ThrowawayServer>> ThrowawayServer::create(const ThrowawayOptions& options) {
  std::unique_ptr<ThrowawayServer> server(new ThrowawayServer);
  TRY(server->prepare());
  server->data_ = server->directory_ / "data";
  TRY(server->initdb(options));
  TRY(server->write_settings(options));
  TRY(server->start_on_a_free_port());
  return server;
}

Result<std::unique_ptr<ThrowawayServer>> ThrowawayServer::adopt(const Path& data_directory,
                                                                const ThrowawayOptions& options) {
  std::unique_ptr<ThrowawayServer> server(new ThrowawayServer);
  TRY(server->prepare());
  server->data_ = data_directory;
  TRY(server->write_settings(options));
  TRY(server->start_on_a_free_port());
  return server;
}

/// Somebody may have taken the port since we looked.
Status ThrowawayServer::start_on_a_free_port() {
  constexpr int kAttempts = 5;
  for (int attempt = 1;; ++attempt) {
    Status started = start();
    const bool taken = !started && started.error().message.find("could not bind") != std::string::npos;
    if (!taken || attempt == kAttempts) return started;
    process_.reset();
    port_ = free_port();
    TRY(configure({{"port", std::to_string(port_)}}));
  }
}

Status ThrowawayServer::prepare() {
  TRY(drop_root());
  binaries_ = TRY(find_binaries(Path{}));
  directory_ = TRY(make_temporary_directory("walback-test"));
  port_ = free_port();
  return {};
}

Status ThrowawayServer::initdb(const ThrowawayOptions& options) {
  Command command{
      binaries_.program("initdb"),
      {"-D", data_.string(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync",
       "--no-instructions", fmt::format("--wal-segsize={}", options.wal_segment_size_mb)},
      {},
      "/"};
  if (options.data_checksums) command.arguments.emplace_back("--data-checksums");
  const Output output = TRY(run(command, 120s));
  if (output.status.success()) return {};
  return fail(ErrorKind::internal, "initdb failed: " + output.err);
}

Status ThrowawayServer::write_settings(const ThrowawayOptions& options) {
  std::vector<std::pair<std::string, std::string>> settings = {
      {"listen_addresses", "127.0.0.1"},
      {"port", std::to_string(port_)},
      {"unix_socket_directories", directory_.string()},
      {"fsync", options.fsync ? "on" : "off"},
      {"shared_buffers", "32MB"},
      {"max_wal_size", "4GB"},
      {"log_timezone", "UTC"},
      {"timezone", "UTC"},
      {"log_destination", "stderr"},
      {"logging_collector", "off"}};
  settings.insert(settings.end(), options.settings.begin(), options.settings.end());
  TRY(configure(settings));
  if (options.hba.empty()) return {};
  return real_file_system().write(data_ / "pg_hba.conf", join(options.hba, "\n") + "\n");
}

Status ThrowawayServer::configure(const std::vector<std::pair<std::string, std::string>>& settings) {
  std::ofstream file(data_ / "postgresql.conf", std::ios::app);
  for (const auto& [name, value] : settings) file << name << " = " << quoted(value) << "\n";
  file.close();
  if (file) return {};
  return fail(ErrorKind::internal, "postgresql.conf cannot be written");
}

Status ThrowawayServer::start() {
  // Not by pg_ctl: it polls ten times a second at best. As our child the server ends when the test does,
  // however that ends.
  auto file = std::make_shared<std::ofstream>(directory_ / "log", std::ios::app);
  process_ = TRY(
      real_processes().spawn(Command{binaries_.program("postgres"), {"-D", data_.string()}, {}, directory_},
                             [file](std::string_view line) { *file << line << std::endl; }));
  started_ticks_ = process_start_ticks(process_->pid()).value_or(0);
  ConnectionOptions options;
  options.connect_timeout = 1s;
  const bool up = wait_until(
      kStartBound, [&] { return !running() || Connection::open(socket_conninfo(), options).has_value(); });
  if (up && running()) return {};
  return fail(ErrorKind::internal, "the server did not start:\n" + log());
}

Status ThrowawayServer::stop(const std::string& mode) {
  if (!running()) return {};
  signal_all(SIGCONT);
  ::kill(pid(), mode == "immediate" ? SIGQUIT : SIGINT);
  if (wait_until(kStopBound, [&] { return !running(); })) return {};
  return fail(ErrorKind::internal, fmt::format("the server did not stop ({}):\n{}", mode, log()));
}

bool ThrowawayServer::running() const {
  return process_ && started_ticks_ != 0 && process_start_ticks(process_->pid()) == started_ticks_;
}

int ThrowawayServer::pid() const {
  return running() ? process_->pid() : 0;
}

std::vector<int> ThrowawayServer::processes() const {
  std::vector<int> pids;
  const int postmaster = pid();
  if (postmaster == 0) return pids;
  pids.push_back(postmaster);
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    const auto number = parse_decimal(entry.path().filename().string());
    if (number && parent_of(static_cast<int>(*number)) == postmaster)
      pids.push_back(static_cast<int>(*number));
  }
  return pids;
}

void ThrowawayServer::signal_all(int signal) const {
  for (const int each : processes()) ::kill(each, signal);
}

void ThrowawayServer::kill_all() {
  // The postmaster stops first, so that it neither starts nor ends children while we count them.
  if (!running()) return;
  ::kill(pid(), SIGSTOP);
  std::vector<std::pair<int, std::uint64_t>> killed;
  for (const int each : processes()) {
    if (const auto ticks = process_start_ticks(each)) killed.emplace_back(each, *ticks);
  }
  for (const auto& [each, ticks] : killed) ::kill(each, SIGKILL);
  wait_until(kStopBound, [&] {
    for (const auto& [each, ticks] : killed) {
      if (process_start_ticks(each) == ticks) return false;
    }
    return true;
  });
}

std::string ThrowawayServer::conninfo(const std::string& more) const {
  return fmt::format("host=127.0.0.1 port={} user=postgres dbname=postgres {}", port_, more);
}

std::string ThrowawayServer::socket_conninfo(const std::string& more) const {
  return fmt::format("host={} port={} user=postgres dbname=postgres {}", directory_.string(), port_, more);
}

std::string ThrowawayServer::log() const {
  return real_file_system().read(directory_ / "log").value_or("(no log)");
}

ThrowawayServer::~ThrowawayServer() {
  kill_all();
  process_.reset();
  if (!directory_.empty()) static_cast<void>(real_file_system().remove_tree(directory_));
}

}  // namespace walback::test
