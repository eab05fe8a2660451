#include "restore/restored_server.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>

#include "base/text.h"
#include "os/process.h"
#include "pg/conninfo.h"
#include "pg/recovery_queries.h"

namespace walback {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kStartTimeout{30};  ///< of pg_ctl itself, which does not wait for recovery
constexpr milliseconds kPidFileTimeout{10'000}, kPidFilePoll{2}, kEarlyEnd{300};
constexpr seconds kStopTimeout{300};      ///< a fast shutdown writes a checkpoint
constexpr seconds kImmediateTimeout{20};  ///< then killed: its data is not to be kept, or is safe in WAL
constexpr seconds kLastOnesTimeout{20};   ///< an orphaned backend notices by itself that its postmaster died
constexpr milliseconds kPoll{5};
constexpr std::uint64_t kLogTail = 64U << 10;

std::string one_line(const Output& output) {
  std::string text(trim(output.err.empty() ? output.out : output.err));
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

struct Worker {
  int pid = 0;
  std::uint64_t start_ticks = 0;
};

/// The name of the program that a process runs, and its working directory; empty where it is another user's,
/// who does not let us look.
std::string link_of(const Path& proc, const std::string& name) {
  std::string target = real_file_system().read_link(proc / name).value_or("");
  constexpr std::string_view kDeleted = " (deleted)";
  if (target.ends_with(kDeleted)) target.resize(target.size() - kDeleted.size());
  return target;
}

bool works_in(const Path& proc, const std::string& directory) {
  if (link_of(proc, "cwd") != directory) return false;
  const std::string program = Path(link_of(proc, "exe")).filename().string();
  return program == "postgres" || program == "walback-fetch";
}

/// /proc shows directories by their real names.
std::string real_name(const Path& directory) {
  std::error_code failure;
  const Path real = std::filesystem::canonical(directory, failure);
  return (failure ? directory : real).string();
}

/// Everything of PostgreSQL that works in a data directory: its processes chdir() there. An orphaned
/// walback-fetch counts too: it would hand a segment of the next restore to nobody.
std::vector<Worker> workers_in(const Path& data) {
  std::vector<Worker> found;
  const std::string directory = real_name(data);
  const auto entries = real_file_system().list("/proc");
  for (const DirectoryEntry& entry : entries ? *entries : std::vector<DirectoryEntry>{}) {
    const auto pid = parse_decimal(entry.name);
    if (!pid || !works_in(Path("/proc") / entry.name, directory)) continue;
    const int number = static_cast<int>(*pid);
    if (const auto ticks = process_start_ticks(number)) found.push_back({number, *ticks});
  }
  return found;
}

/// The postmaster that postmaster.pid names, if it is one and works here.
std::optional<Worker> postmaster_of(const Path& data) {
  const auto text = real_file_system().read(data / "postmaster.pid");
  if (!text) return std::nullopt;
  const auto pid = parse_decimal(trim(split(*text, '\n').front()));
  if (!pid || *pid < 2 || *pid >= (1U << 30)) return std::nullopt;
  if (!works_in(Path("/proc") / std::to_string(*pid), real_name(data))) return std::nullopt;
  const auto ticks = process_start_ticks(static_cast<int>(*pid));
  if (!ticks) return std::nullopt;
  return Worker{static_cast<int>(*pid), *ticks};
}

/// postmaster.pid with the pid of a zombie or of another program: PostgreSQL would take it for alive and not
/// start. A pid that is nobody's is left to PostgreSQL, which then asks the shared memory too.
bool pid_file_names_a_stranger(const Path& data) {
  FileSystem& files = real_file_system();
  const auto text = files.read(data / "postmaster.pid");
  const auto pid = text ? parse_decimal(trim(split(*text, '\n').front())) : std::nullopt;
  return pid && exists(files, Path("/proc") / std::to_string(*pid)) && workers_in(data).empty();
}

/// True: nothing works there any more.
bool await_nobody(const Path& data, seconds bound) {
  for (milliseconds waited{0}; !workers_in(data).empty(); waited += kPoll) {
    if (waited > bound) return false;
    std::this_thread::sleep_for(kPoll);
  }
  return true;
}

}  // namespace

Status RestoredServer::start() {
  if (pid_file_names_a_stranger(layout_.data)) {
    TRY(real_file_system().remove(layout_.data / "postmaster.pid"));
  }
  const auto log = real_file_system().stat(layout_.log());
  log_begin_ = log ? log->size_bytes : 0;
  const Command command{
      .program = binaries_.program("pg_ctl"),
      .arguments = {"start", "-W", "-s", "-D", layout_.data.string(), "-l", layout_.log().string()},
      .environment = {{"PGDATA", ""}, {"PGPORT", ""}, {"PGOPTIONS", ""}, {"TZ", ""}}};
  const Output output = TRY(run(command, kStartTimeout));
  if (!output.status.success()) {
    return fail(ErrorKind::unavailable,
                fmt::format("the restored server in '{}' did not start: pg_ctl ended with {}: {}",
                            layout_.data.string(), to_string(output.status), one_line(output)),
                fmt::format("Its log is '{}'.", layout_.log().string()));
  }
  return await_pid_file();
}

/// pg_ctl returns before its child has written postmaster.pid; from then on running() tells the truth. One
/// that fails earlier (a senseless setting) leaves only its log.
Status RestoredServer::await_pid_file() const {
  for (milliseconds waited{0}; waited < kPidFileTimeout; waited += kPidFilePoll) {
    if (running()) return {};
    std::this_thread::sleep_for(kPidFilePoll);
    if (waited >= kEarlyEnd && last_words(real_file_system()).find("FATAL") != std::string::npos) break;
  }
  if (running()) return {};
  return fail(ErrorKind::unavailable,
              fmt::format("the restored server in '{}' ended at its start: {}", layout_.data.string(),
                          last_words(real_file_system())),
              fmt::format("Its log is '{}'.", layout_.log().string()));
}

bool RestoredServer::running() const {
  return postmaster_of(layout_.data).has_value();
}

Status RestoredServer::stop(const std::string& mode) {
  TRY(stop_postmaster(mode));
  // Also what a killed postmaster left behind, and one that has not yet written its postmaster.pid.
  if (await_nobody(layout_.data, mode == "immediate" ? seconds{0} : kLastOnesTimeout)) return {};
  for (const Worker& worker : workers_in(layout_.data)) {
    static_cast<void>(stop_by_pid(worker.pid, worker.start_ticks, seconds{2}, SIGQUIT));
  }
  if (await_nobody(layout_.data, kLastOnesTimeout)) return {};
  return fail(
      ErrorKind::unavailable,
      fmt::format("{} processes still work in '{}'", workers_in(layout_.data).size(), layout_.data.string()),
      "End them, and try again.");
}

Status RestoredServer::stop_postmaster(const std::string& mode) {
  const auto postmaster = postmaster_of(layout_.data);
  if (!postmaster) return {};
  if (mode == "immediate") {
    if (stop_by_pid(postmaster->pid, postmaster->start_ticks, kImmediateTimeout, SIGQUIT)) return {};
    return fail(ErrorKind::unavailable,
                fmt::format("the restored server in '{}', pid {}, does not end", layout_.data.string(),
                            postmaster->pid),
                "End it by hand, and try again.");
  }
  const Command command{.program = binaries_.program("pg_ctl"),
                        .arguments = {"stop", "-s", "-D", layout_.data.string(), "-m", mode, "-t",
                                      std::to_string(kStopTimeout.count())}};
  const Output output = TRY(run(command, kStopTimeout + seconds{10}));
  if (output.status.success() || !running()) return {};
  return fail(
      ErrorKind::unavailable,
      fmt::format("the restored server in '{}' did not stop: {}", layout_.data.string(), one_line(output)),
      fmt::format("Its log is '{}'.", layout_.log().string()));
}

Result<Connection> RestoredServer::connect(const std::vector<std::string>& roles) {
  Error last{ErrorKind::internal, "no role to connect as", ""};
  for (const std::string& role : role_.empty() ? roles : std::vector<std::string>{role_}) {
    auto connection = open(role, "postgres");
    if (!connection) {
      // Not there, or starting up: another role would hear the same.
      if (connection.error().kind != ErrorKind::config && connection.error().kind != ErrorKind::internal) {
        return tl::unexpected(connection.error());
      }
      if (auto other = open(role, "template1")) connection = std::move(other);
    }
    if (!connection) {
      last = connection.error();
      continue;
    }
    if (TRY(is_superuser(*connection))) {
      role_ = role;
      return connection;
    }
    last = {ErrorKind::config, fmt::format("role '{}' of the restored cluster is no superuser", role), ""};
  }
  last.hint = fmt::format("walback tried {}; set restore.superuser in walback.yaml.", join(roles, ", "));
  return tl::unexpected(last);
}

Result<Connection> RestoredServer::connect_to(const std::string& database) const {
  return open(role_, database);
}

/// A library that a role or a database preloads, and that is not installed here, keeps everybody out; a
/// superuser may say that it is not wanted.
Result<Connection> RestoredServer::open(const std::string& role, const std::string& database) const {
  Keywords keywords{
      {"host", socket_directory_}, {"port", std::to_string(port_)}, {"user", role}, {"dbname", database}};
  const ConnectionOptions options{.application_name = "walback restore",
                                  .statement_timeout = std::chrono::minutes{60}};
  auto connection = Connection::open(TRY(with_keywords("", keywords)), options);
  if (connection || connection.error().kind != ErrorKind::unreachable) return connection;
  set_keyword(keywords, "options", "-c session_preload_libraries= -c local_preload_libraries=");
  auto bare = Connection::open(TRY(with_keywords("", keywords)), options);
  return bare ? std::move(bare) : std::move(connection);
}

std::string RestoredServer::last_words(FileSystem& files) const {
  const auto info = files.stat(layout_.log());
  if (!info) return "it left no log";
  const std::uint64_t written = info->size_bytes - std::min(info->size_bytes, log_begin_);
  std::string tail(static_cast<std::size_t>(std::min(written, kLogTail)), '\0');
  const auto count = files.read_at(layout_.log(), info->size_bytes - tail.size(), tail);
  if (!count) return "its log cannot be read";
  tail.resize(*count);
  std::vector<std::string> words;
  for (const std::string_view line : split(tail, '\n')) {
    for (const std::string_view mark : {"FATAL:  ", "PANIC:  ", "DETAIL:  ", "HINT:  "}) {
      const auto found = line.find(mark);
      const bool starting_up = line.find("the database system is ") != std::string_view::npos;
      if (found != std::string_view::npos && !starting_up) words.emplace_back(trim(line.substr(found)));
    }
  }
  constexpr std::size_t kMostWords = 4;
  if (words.size() > kMostWords) words.erase(words.begin(), words.end() - kMostWords);
  return words.empty() ? "its log names no reason" : join(words, "; ");
}

std::string RestoredServer::psql() const {
  return fmt::format("{} -h {} -p {} -U {} postgres", binaries_.program("psql").string(), socket_directory_,
                     port_, role_.empty() ? "postgres" : role_);
}

Status make_socket_directory(const Path& directory) {
  // Not FileSystem's business: an owner and a mode, not content that must survive.
  struct stat found {};
  TRY(real_file_system().create_directories(directory.parent_path()));
  const bool made = ::mkdir(directory.c_str(), 0700) == 0;
  const int number = made ? 0 : errno;
  if (!made && number != EEXIST) {
    return fail(number == ENOSPC ? ErrorKind::disk_full : ErrorKind::conflict,
                fmt::format("cannot create '{}': {}", directory.string(), std::strerror(number)));
  }
  if (::lstat(directory.c_str(), &found) != 0 || !S_ISDIR(found.st_mode) || found.st_uid != ::geteuid() ||
      ::chmod(directory.c_str(), 0700) != 0) {
    return fail(ErrorKind::conflict,
                fmt::format("'{}', where the restored server's socket goes, is not a directory of ours",
                            directory.string()),
                "Somebody else made it: remove it, or restore into a directory with a shorter path.");
  }
  return {};
}

}  // namespace walback
