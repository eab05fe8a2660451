#include "lab/lab_processes.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <functional>
#include <thread>

#include "base/text.h"
#include "os/process.h"
#include "os/system.h"

namespace walback {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFastShutdown{30'000};
constexpr milliseconds kKillWait{10'000};
constexpr milliseconds kPoll{10};

/// A removed directory reads "/path (deleted)" in /proc.
std::string without_deleted(std::string path) {
  constexpr std::string_view kDeleted = " (deleted)";
  if (path.ends_with(kDeleted)) path.resize(path.size() - kDeleted.size());
  return path;
}

bool is_in(const std::string& path, const Path& directory) {
  const std::string& top = directory.native();
  return path == top || (path.starts_with(top) && path.size() > top.size() && path[top.size()] == '/');
}

int parent_of(const Path& proc) {
  const auto stat = real_file_system().read(proc / "stat", 4096);
  if (!stat) return 0;
  const auto end = stat->rfind(')');
  if (end == std::string::npos || end + 2 >= stat->size()) return 0;
  const auto fields = split(std::string_view(*stat).substr(end + 2), ' ');
  const auto parent = fields.size() > 1 ? parse_decimal(fields[1]) : std::nullopt;
  return parent ? static_cast<int>(*parent) : 0;
}

/// All processes for which `wanted` holds. One that ends while it is looked at is not among them.
Result<std::vector<FoundProcess>> scan(const std::function<bool(int pid, const Path& proc)>& wanted) {
  FileSystem& files = real_file_system();
  std::vector<FoundProcess> found;
  for (const DirectoryEntry& entry : TRY(files.list("/proc"))) {
    const auto pid = parse_decimal(entry.name);
    if (!pid || *pid == static_cast<std::uint64_t>(::getpid())) continue;
    const int number = static_cast<int>(*pid);
    const Path proc = Path("/proc") / entry.name;
    const auto ticks = process_start_ticks(number);
    if (!ticks || !wanted(number, proc)) continue;
    FoundProcess process;
    process.process = {number, *ticks};
    process.parent_pid = parent_of(proc);
    process.working_directory = without_deleted(files.read_link(proc / "cwd").value_or(""));
    if (is_running(process.process)) found.push_back(std::move(process));
  }
  return found;
}

void signal_each(const std::vector<FoundProcess>& processes, int signal) {
  for (const FoundProcess& found : processes) {
    if (is_running(found.process)) ::kill(found.process.pid, signal);
  }
}

}  // namespace

Result<std::vector<FoundProcess>> postgres_processes_below(const Path& directory) {
  FileSystem& files = real_file_system();
  return scan([&](int, const Path& proc) {
    // Another user's processes do not let us read these links; they are not ours either.
    const auto directory_link = files.read_link(proc / "cwd");
    if (!directory_link || !is_in(without_deleted(*directory_link), directory)) return false;
    const auto program = files.read_link(proc / "exe");
    return program && Path(without_deleted(*program)).filename() == "postgres";
  });
}

Result<std::vector<FoundProcess>> walback_processes_on(const Path& config) {
  return scan([&](int, const Path& proc) {
    const auto command = real_file_system().read(proc / "cmdline", 1U << 20);
    if (!command) return false;
    const auto words = split(*command, '\0');
    const auto has = [&](std::string_view word) {
      return std::find(words.begin(), words.end(), word) != words.end();
    };
    return has(config.native()) && (has("run") || has("capture") || has("manage"));
  });
}

std::optional<LabProcess> postmaster_of(const Path& data) {
  const auto found = postgres_processes_below(data);
  if (!found) return std::nullopt;
  const auto text = real_file_system().read(data / "postmaster.pid", 4096);
  const auto recorded = text ? parse_decimal(trim(split(*text, '\n').front())) : std::nullopt;
  for (const FoundProcess& candidate : *found) {
    if (candidate.working_directory != data) continue;
    const auto pid = candidate.process.pid;
    if (recorded && *recorded == static_cast<std::uint64_t>(pid)) return candidate.process;
    // Without the file (the directory was wiped): who has children there. An orphaned backend has none.
    const bool parent = std::any_of(found->begin(), found->end(),
                                    [&](const FoundProcess& other) { return other.parent_pid == pid; });
    if (!recorded && parent) return candidate.process;
  }
  return std::nullopt;
}

Status kill_server(const Path& data) {
  const std::int64_t deadline_us = real_clock().monotonic_us() + kKillWait.count() * 1'000;
  // Stopped first, so that a postmaster forks nothing while its children are being counted.
  signal_each(TRY(postgres_processes_below(data)), SIGSTOP);
  while (true) {
    const auto left = TRY(postgres_processes_below(data));
    if (left.empty()) return {};
    signal_each(left, SIGKILL);
    if (real_clock().monotonic_us() > deadline_us) {
      return fail(ErrorKind::internal,
                  fmt::format("{} processes of the server in '{}' do not die", left.size(), data.string()));
    }
    std::this_thread::sleep_for(kPoll);
  }
}

Status signal_server(const Path& data, int signal) {
  const auto found = TRY(postgres_processes_below(data));
  if (found.empty()) {
    return fail(ErrorKind::not_found, fmt::format("no server runs in '{}'", data.string()));
  }
  signal_each(found, signal);
  return {};
}

Status stop_server(const Path& data) {
  const auto found = TRY(postgres_processes_below(data));
  if (found.empty()) return {};
  signal_each(found, SIGCONT);  // a paused one does not hear a shutdown
  if (const auto postmaster = postmaster_of(data)) {
    static_cast<void>(stop_by_pid(postmaster->pid, postmaster->start_ticks, kFastShutdown, SIGINT));
  }
  return kill_server(data);
}

}  // namespace walback
