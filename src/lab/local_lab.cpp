#include "lab/local_lab.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>

#include "base/text.h"
#include "lab/lab_processes.h"
#include "lab/lab_server.h"
#include "os/process.h"
#include "os/system.h"
#include "pg/server.h"

namespace walback {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kInitTime = std::chrono::minutes(2);
constexpr milliseconds kStreamTime = std::chrono::minutes(1);
constexpr milliseconds kWalbackGrace{20'000};
constexpr milliseconds kPoll{50};
/// sockaddr_un holds 107 bytes; "/.s.PGSQL.29999.lock" needs 20 of them.
constexpr std::size_t kSocketDirectoryLimit = 85;

Path lock_path(const Path& directory) {
  return directory / "lab.lock";
}

/// The directory's one true name: processes are found by it.
Result<Path> true_name(const Path& directory) {
  std::error_code error;
  const Path canonical = std::filesystem::canonical(directory, error);
  if (!error) return canonical;
  return fail(ErrorKind::not_found,
              fmt::format("'{}' cannot be resolved: {}", directory.string(), error.message()));
}

Status check_setup(const LabSetup& setup) {
  const auto refuse = [](std::string message) { return fail(ErrorKind::usage, std::move(message)); };
  const std::string& name = setup.directory.native();
  if (!setup.directory.is_absolute()) return refuse(fmt::format("'{}' is not an absolute path", name));
  if (name.find_first_of("\"'\\,\n") != std::string::npos) {
    return refuse(fmt::format("'{}' holds a quote, a comma, a backslash or a newline", name));
  }
  if (!SegmentSize::from_bytes(std::uint64_t{setup.segment_size_mb} << 20)) {
    return refuse(fmt::format("a segment size of {} MB is asked for, expected a power of two from 1 to 1024",
                              setup.segment_size_mb));
  }
  if (setup.port && (*setup.port < 1024 || *setup.port == 65535)) {
    return refuse(fmt::format("port {} is asked for, expected 1024 to 65534", *setup.port));
  }
  return {};
}

/// Absent, empty, or holding at most our lock: a lab may be made there.
Status check_empty(const Path& directory) {
  for (const DirectoryEntry& entry : TRY(real_file_system().list(directory))) {
    if (entry.name == lock_path(directory).filename()) continue;
    return fail(
        ErrorKind::conflict,
        fmt::format("'{}' is not empty (it holds '{}') and is no lab", directory.string(), entry.name),
        "Name a directory that is empty or does not exist yet.");
  }
  return {};
}

Result<LabState> plan_lab(const LabSetup& setup, const Path& directory) {
  const Binaries binaries = TRY(find_binaries(setup.binaries));
  LabState state;
  state.directory = directory;
  state.binaries = binaries.directory;
  state.executable = setup.executable.empty() ? own_executable() : setup.executable;
  state.segment_size_mb = setup.segment_size_mb;
  state.synchronous = setup.synchronous;
  state.fsync = setup.fsync;
  state.capturing = setup.capturing;
  state.socket_directory = directory / "s";
  const auto server = [&](const char* name, std::uint16_t port) {
    return LabServer{name, directory / name, state.logs() / (std::string(name) + ".log"), port, false, {}};
  };
  const std::uint16_t first = setup.port ? *setup.port : TRY(random_free_port());
  state.primary = server("primary", first);
  if (setup.standby) {
    std::uint16_t second = static_cast<std::uint16_t>(first + 1);
    while (!setup.port && (second == first || !port_is_free(second))) second = TRY(random_free_port());
    state.standby = server("standby", second);
  }
  if (state.socket_directory.native().size() > kSocketDirectoryLimit) {
    state.socket_directory = TRY(make_temporary_directory("walback-lab"));
  }
  return state;
}

Result<LabState> open_or_plan(const LabSetup& setup, const Path& directory) {
  if (exists(real_file_system(), lab_file(directory))) return read_lab(directory);
  TRY(check_empty(directory));
  LabState state = TRY(plan_lab(setup, directory));
  TRY(write_lab(state));
  return state;
}

/// Waits until somebody streams from `slot`; `alive` tells whether it still makes sense to wait.
Status wait_for_stream(const LabState& state, const std::string& who, const std::string& slot,
                       const Path& log, const LabProcess& process, std::stop_token stop) {
  Connection primary = TRY(Connection::open(state.primary_conninfo()));
  const std::int64_t deadline_us = real_clock().monotonic_us() + kStreamTime.count() * 1'000;
  while (true) {
    const auto clients = TRY(replication_clients(primary));
    if (std::any_of(clients.begin(), clients.end(), [&](const ReplicationClient& client) {
          return client.slot == slot && client.state == "streaming";
        })) {
      return {};
    }
    const bool alive = is_running(process);
    if (!alive || real_clock().monotonic_us() > deadline_us) {
      return fail(
          ErrorKind::unavailable,
          fmt::format("the {} of the lab {}; its log ends with:\n{}", who,
                      alive ? "does not stream from the primary within 1 min" : "has ended", log_tail(log)));
    }
    if (!sleep_for(stop, kPoll)) return fail(ErrorKind::interrupted, "the start of the lab was interrupted");
  }
}

/// The steps of `lab up`. Each does nothing where its part is there already.
class LabStart {
 public:
  LabStart(LabState& state, const Binaries& binaries, const LabSay& say, std::stop_token stop, bool may_move)
      : state_(state),
        work_{state, binaries, [&state] { return write_lab(state); }, stop},
        say_(say),
        may_move_(may_move) {}

  Status run() {
    FileSystem& files = real_file_system();
    TRY(files.create_directories(state_.logs()));
    TRY(files.create_directories(state_.socket_directory));
    TRY(server(state_.primary, create_primary));
    if (state_.capturing) TRY(initialise_archive());
    if (state_.standby) {
      TRY(server(*state_.standby, create_standby));
      TRY(wait_for_stream(state_, "standby", "standby", state_.standby->log, state_.standby->process,
                          work_.stop));
    }
    if (state_.capturing) TRY(capturer());
    return {};
  }

  /// What run() started is stopped again, last first.
  void undo() {
    for (auto step = started_.rbegin(); step != started_.rend(); ++step) (*step)();
  }

 private:
  Status server(LabServer& server, Status (*create)(const LabWork&, LabServer&)) {
    const bool was_running = postmaster_of(server.data).has_value();
    const bool fresh = !server.created;
    if (!was_running) {
      started_.push_back([data = server.data] { static_cast<void>(stop_server(data)); });
    }
    if (fresh) TRY(create(work_, server));
    TRY(start_lab_server(work_, server, fresh && may_move_));
    say(fmt::format("{}: port {}, {}", server.name, server.port, was_running ? "was running" : "started"));
    return {};
  }

  /// The slot comes first, the standby's backup and everybody else second.
  Status initialise_archive() {
    if (exists(real_file_system(), state_.config())) return {};
    const Command command{state_.executable,
                          {"-c", state_.config().string(), "init", "--conninfo", state_.primary_conninfo(),
                           "--archive", state_.archive().string()},
                          {},
                          "/"};
    const Output output = TRY(walback::run(command, kInitTime, work_.stop));
    if (!output.status.success()) {
      return fail(ErrorKind::internal, fmt::format("walback init ended with {}: {}", to_string(output.status),
                                                   trim(output.err.empty() ? output.out : output.err)));
    }
    say(fmt::format("archive: {}", state_.archive().string()));
    return {};
  }

  Status capturer() {
    const auto running = TRY(walback_processes_on(state_.config()));
    const bool was_running = is_running(state_.walback);
    if (!was_running) {
      // A capturer whose parent was killed ends by itself; it must not meet its successor.
      for (const FoundProcess& left : running) {
        static_cast<void>(stop_by_pid(left.process.pid, left.process.start_ticks, kWalbackGrace));
      }
      started_.push_back([this] { stop_walback(state_); });
      const Command command{state_.executable, {"-c", state_.config().string(), "run"}, {}, "/"};
      const int pid = TRY(spawn_detached(command, state_.walback_log()));
      state_.walback = {pid, process_start_ticks(pid).value_or(0)};
      TRY(work_.record());
    }
    TRY(wait_for_stream(state_, "capturer", "walback", state_.walback_log(), state_.walback, work_.stop));
    say(fmt::format("walback run: pid {}, {}", state_.walback.pid, was_running ? "was running" : "started"));
    return {};
  }

 public:
  static void stop_walback(const LabState& state) {
    static_cast<void>(stop_by_pid(state.walback.pid, state.walback.start_ticks, kWalbackGrace));
    const auto left = walback_processes_on(state.config());
    if (!left) return;
    for (const FoundProcess& found : *left) {
      static_cast<void>(stop_by_pid(found.process.pid, found.process.start_ticks, kWalbackGrace));
    }
  }

 private:
  void say(const std::string& text) const {
    if (say_) say_(text);
  }

  LabState& state_;
  LabWork work_;
  const LabSay& say_;
  bool may_move_;
  std::vector<std::function<void()>> started_;
};

/// The data directories below `directory` that have a server, but the lab's own two.
Result<std::vector<Path>> other_servers(const LabState& state) {
  std::vector<Path> directories;
  for (const FoundProcess& found : TRY(postgres_processes_below(state.directory))) {
    const Path& data = found.working_directory;
    if (data == state.primary.data || (state.standby && data == state.standby->data)) continue;
    if (std::find(directories.begin(), directories.end(), data) == directories.end())
      directories.push_back(data);
  }
  return directories;
}

/// An initdb or pg_basebackup whose `lab up` was killed may be tidying up after itself in there.
Status remove_lab(const Path& directory) {
  constexpr int kAttempts = 20;
  Status removed;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    removed = real_file_system().remove_tree(directory);
    if (removed) break;
    sleep_for({}, kPoll);
  }
  return removed;
}

}  // namespace

Result<LabState> lab_up(const LabSetup& setup, const LabSay& say, std::stop_token stop) {
  TRY(check_setup(setup));
  TRY(real_file_system().create_directories(setup.directory));
  const Path directory = TRY(true_name(setup.directory));
  if (!exists(real_file_system(), lab_file(directory))) TRY(check_empty(directory));
  const FileLock lock = TRY(FileLock::take(lock_path(directory), "lab up or down"));
  LabState state = TRY(open_or_plan(setup, directory));
  const Binaries binaries = TRY(find_binaries(state.binaries));
  LabStart start(state, binaries, say, stop, !setup.port);
  const Status started = start.run();
  if (started) return state;
  start.undo();
  Error error = started.error();
  if (error.hint.empty()) {
    error.hint = fmt::format(
        "What was started is stopped again; the logs are in '{}', and `walback lab down --dir {}` removes "
        "all of it.",
        state.logs().string(), directory.string());
  }
  return tl::unexpected<Error>(std::move(error));
}

Status lab_down(const Path& directory, bool keep, const LabSay& say) {
  const auto tell = [&](const std::string& text) {
    if (say) say(text);
  };
  TRY(read_lab(directory));
  const Path name = TRY(true_name(directory));
  const FileLock lock = TRY(FileLock::take(lock_path(name), "lab up or down"));
  const LabState state = TRY(read_lab(name));
  if (state.capturing) {
    LabStart::stop_walback(state);
    tell("walback run: stopped");
  }
  for (const Path& data : TRY(other_servers(state))) {
    TRY(stop_server(data));
    tell(fmt::format("restored cluster in {}: stopped", data.string()));
  }
  if (state.standby) {
    TRY(stop_server(state.standby->data));
    tell("standby: stopped");
  }
  TRY(stop_server(state.primary.data));
  tell("primary: stopped");
  if (keep) return {};
  if (state.socket_directory != name / "s") TRY(real_file_system().remove_tree(state.socket_directory));
  TRY(remove_lab(name));
  tell(fmt::format("{}: removed", name.string()));
  return {};
}

bool LabStatus::all_running() const {
  return std::all_of(parts.begin(), parts.end(), [](const LabPart& part) { return part.running; });
}

Result<LabStatus> lab_status(const Path& directory) {
  LabStatus status;
  status.state = TRY(read_lab(directory));
  const auto add_server = [&](const LabServer& server) {
    const auto postmaster = postmaster_of(server.data);
    status.parts.push_back({server.name, postmaster.has_value(), postmaster ? postmaster->pid : 0,
                            server.port, server.data, server.log});
  };
  add_server(status.state.primary);
  if (status.state.standby) add_server(*status.state.standby);
  if (status.state.capturing) {
    const LabProcess& run = status.state.walback;
    const bool running = is_running(run);
    status.parts.push_back(
        {"walback", running, running ? run.pid : 0, 0, status.state.archive(), status.state.walback_log()});
  }
  return status;
}

Status kill_primary(const LabState& state) {
  return kill_server(state.primary.data);
}

Status wipe_primary(const LabState& state) {
  if (!TRY(postgres_processes_below(state.primary.data)).empty()) {
    return fail(ErrorKind::conflict,
                fmt::format("the primary in '{}' is running", state.primary.data.string()),
                "Kill or stop it first.");
  }
  return real_file_system().remove_tree(state.primary.data);
}

Status pause_primary(const LabState& state) {
  return signal_server(state.primary.data, SIGSTOP);
}

Status resume_primary(const LabState& state) {
  return signal_server(state.primary.data, SIGCONT);
}

}  // namespace walback
