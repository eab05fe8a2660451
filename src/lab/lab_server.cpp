#include "lab/lab_server.h"

#include <fmt/format.h>

#include <chrono>

#include "base/text.h"
#include "lab/lab_processes.h"
#include "os/process.h"
#include "os/system.h"
#include "pg/slots.h"

namespace walback {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kInitdbTime = std::chrono::minutes(5);
constexpr milliseconds kBaseBackupTime = std::chrono::minutes(15);
constexpr milliseconds kStartTime = std::chrono::minutes(3);
constexpr milliseconds kPoll{25};
constexpr int kPortAttempts = 5;
constexpr const char* kStandbySlot = "standby";

/// As postgresql.conf reads it.
std::string setting_value(const std::string& value) {
  std::string quoted = "'";
  for (const char c : value) quoted.append(c == '\'' ? 2 : 1, c);
  return quoted + "'";
}

Status run_program(const LabWork& work, const std::string& name, std::vector<std::string> arguments,
                   milliseconds timeout) {
  const Command command{work.binaries.program(name), std::move(arguments), {}, "/"};
  const Output output = TRY(run(command, timeout, work.stop));
  if (output.status.success()) return {};
  return fail(ErrorKind::internal, fmt::format("{} ended with {}: {}", name, to_string(output.status),
                                               trim(output.err.empty() ? output.out : output.err)));
}

Status write_settings(const LabWork& work, const LabServer& server) {
  return real_file_system().write(server.data / "lab.conf", lab_settings(work.state, server));
}

std::uint64_t size_of(const Path& file) {
  const auto info = real_file_system().stat(file);
  return info ? info->size_bytes : 0;
}

/// What the server wrote since the log was `from` bytes long.
std::string log_since(const Path& log, std::uint64_t from) {
  std::vector<char> text(64U << 10);
  const auto count = real_file_system().read_at(log, from, text);
  return count ? std::string(text.data(), *count) : std::string();
}

/// What a killed postmaster left: backends that have not noticed, and lock files. PostgreSQL takes the pid in
/// them for alive until somebody has reaped it (a zombie answers kill(0)), which takes a while in a container
/// whose pid 1 is no init. Data and socket directory are the lab's own, so that nobody else's lock is
/// removed.
Status clear_remainder(const LabState& state, const LabServer& server) {
  TRY(kill_server(server.data));
  const Path socket_lock = state.socket_directory / fmt::format(".s.PGSQL.{}.lock", server.port);
  for (const Path& lock : {server.data / "postmaster.pid", socket_lock}) {
    if (exists(real_file_system(), lock)) TRY(real_file_system().remove(lock));
  }
  return {};
}

enum class StartEnd { ready, port_taken };

Result<StartEnd> wait_until_ready(const LabWork& work, const LabServer& server, std::uint64_t log_from) {
  const std::int64_t deadline_us = real_clock().monotonic_us() + kStartTime.count() * 1'000;
  while (true) {
    const bool alive = is_running(server.process);
    if (alive) {
      ConnectionOptions options;
      options.connect_timeout = milliseconds(2'000);
      if (Connection::open(work.state.conninfo(server), options)) return StartEnd::ready;
    }
    if (!alive && log_since(server.log, log_from).find("Address already in use") != std::string::npos) {
      return StartEnd::port_taken;
    }
    const bool late = real_clock().monotonic_us() > deadline_us;
    if (!alive || late) {
      return fail(
          ErrorKind::unavailable,
          fmt::format("the {} of the lab {}; its log ends with:\n{}", server.name,
                      alive ? "does not let us in within 3 min" : "did not start", log_tail(server.log)));
    }
    if (!sleep_for(work.stop, kPoll))
      return fail(ErrorKind::interrupted, "the start of the lab was interrupted");
  }
}

Result<StartEnd> start_once(const LabWork& work, LabServer& server) {
  TRY(write_settings(work, server));
  const std::uint64_t log_from = size_of(server.log);
  const Command command{work.binaries.program("postgres"), {"-D", server.data.string()}, {}, "/"};
  const int pid = TRY(spawn_detached(command, server.log));
  server.process = {pid, process_start_ticks(pid).value_or(0)};
  TRY(work.record());
  return wait_until_ready(work, server, log_from);
}

}  // namespace

std::string lab_settings(const LabState& state, const LabServer& server) {
  std::string text = "# Written by `walback lab up` at each start.\n";
  const auto set = [&](const char* name, const std::string& value) {
    text += fmt::format("{} = {}\n", name, setting_value(value));
  };
  set("cluster_name", server.name);
  set("listen_addresses", "127.0.0.1");
  set("port", std::to_string(server.port));
  set("unix_socket_directories", "\"" + state.socket_directory.string() + "\"");
  set("wal_level", "replica");
  set("hot_standby", "on");
  set("track_commit_timestamp", "on");
  set("max_wal_senders", "10");
  set("max_replication_slots", "10");
  set("max_prepared_transactions", "10");
  set("fsync", state.fsync ? "on" : "off");
  // The capturer's; of the standby's own commits, were it promoted, nobody would ever acknowledge one.
  set("synchronous_standby_names", state.synchronous && server.name == "primary" ? "walback_capture" : "");
  set("logging_collector", "off");
  set("log_line_prefix", "%m [%p] %q%a ");
  set("log_checkpoints", "on");
  return text;
}

Status create_primary(const LabWork& work, LabServer& server) {
  TRY(real_file_system().remove_tree(server.data));
  TRY(run_program(
      work, "initdb",
      {"-D", server.data.string(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale",
       "--data-checksums", "--no-sync", fmt::format("--wal-segsize={}", work.state.segment_size_mb)},
      kInitdbTime));
  const Path conf = server.data / "postgresql.conf";
  const std::string text = TRY(real_file_system().read(conf));
  TRY(real_file_system().write(conf, text + "\ninclude 'lab.conf'\n"));
  TRY(write_settings(work, server));
  server.created = true;
  return work.record();
}

Status create_standby(const LabWork& work, LabServer& server) {
  return create_standby_of(work, server, work.state.primary);
}

Status create_standby_of(const LabWork& work, LabServer& server, const LabServer& primary) {
  TRY(real_file_system().remove_tree(server.data));
  const std::string conninfo = work.state.conninfo(primary);
  Connection connection = TRY(Connection::open(conninfo));
  const auto left = TRY(find_slot(connection, kStandbySlot));
  if (left) TRY(drop_slot(connection, kStandbySlot));
  TRY(run_program(work, "pg_basebackup",
                  {"-D", server.data.string(), "-d", conninfo, "-R", "-C", "-S", kStandbySlot, "-X", "stream",
                   "-c", "fast", "--no-sync"},
                  kBaseBackupTime));
  TRY(write_settings(work, server));
  server.created = true;
  return work.record();
}

Status start_lab_server(const LabWork& work, LabServer& server, bool may_move) {
  if (const auto running = postmaster_of(server.data)) {
    server.process = *running;
    TRY(work.record());
    TRY(wait_until_ready(work, server, size_of(server.log)));
    return {};
  }
  if (!exists(real_file_system(), server.data / "PG_VERSION")) {
    return fail(
        ErrorKind::not_found,
        fmt::format("the data directory '{}' of the {} is gone", server.data.string(), server.name),
        "A lab does not invent a second primary: restore this one, or begin anew with lab down, lab up.");
  }
  TRY(clear_remainder(work.state, server));
  for (int attempt = 1; attempt <= kPortAttempts; ++attempt) {
    if (TRY(start_once(work, server)) == StartEnd::ready) return {};
    if (!may_move) break;
    server.port = TRY(random_free_port());
  }
  return fail(ErrorKind::conflict,
              fmt::format("port {} of the {} is taken by another program", server.port, server.name),
              "Free it, or begin anew with lab down and lab up --port.");
}

Result<std::uint16_t> random_free_port() {
  constexpr int kAttempts = 200;
  for (int i = 0; i < kAttempts; ++i) {
    const auto port = static_cast<std::uint16_t>(20'000 + random_u64() % 10'000);
    if (port_is_free(port)) return port;
  }
  return fail(ErrorKind::conflict,
              fmt::format("{} random ports between 20000 and 29999 are all taken", kAttempts),
              "Name a free one with --port.");
}

std::string log_tail(const Path& log, std::size_t lines) {
  constexpr std::uint64_t kTailBytes = 16U << 10;
  const std::uint64_t size = size_of(log);
  const std::string text = log_since(log, size > kTailBytes ? size - kTailBytes : 0);
  const auto all = split(trim(text), '\n');
  std::string tail;
  for (std::size_t i = all.size() > lines ? all.size() - lines : 0; i < all.size(); ++i) {
    tail += fmt::format("{}  {}", tail.empty() ? "" : "\n", all[i]);
  }
  return trim(tail).empty() ? "  (empty)" : tail;
}

}  // namespace walback
