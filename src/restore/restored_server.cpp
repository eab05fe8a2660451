#include "restore/restored_server.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "base/text.h"
#include "os/process.h"
#include "pg/recovery_queries.h"

namespace walback {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kStartTimeout{30};  ///< of pg_ctl itself, which does not wait for recovery
constexpr milliseconds kPidFileTimeout{10'000}, kPidFilePoll{2}, kEarlyEnd{300};
constexpr seconds kStopTimeout{300};  ///< a fast shutdown writes a checkpoint
constexpr std::uint64_t kLogTail = 64U << 10;

std::string one_line(const Output& output) {
  std::string text(trim(output.err.empty() ? output.out : output.err));
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

}  // namespace

Status RestoredServer::start() {
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
  const auto text = real_file_system().read(layout_.data / "postmaster.pid");
  if (!text) return false;
  const auto pid = parse_decimal(trim(split(*text, '\n').front()));
  return pid && *pid > 1 && *pid < (1U << 30) && ::kill(static_cast<pid_t>(*pid), 0) == 0;
}

Status RestoredServer::stop(const std::string& mode) {
  if (!running()) return {};
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
    const std::string conninfo = TRY(with_keywords("", {{"host", socket_directory_},
                                                        {"port", std::to_string(port_)},
                                                        {"user", role},
                                                        {"dbname", "postgres"}}));
    auto connection = Connection::open(
        conninfo, {.application_name = "walback restore", .statement_timeout = std::chrono::minutes{60}});
    if (!connection) {
      // Not there, or starting up: another role would hear the same.
      if (connection.error().kind != ErrorKind::config && connection.error().kind != ErrorKind::internal) {
        return tl::unexpected(connection.error());
      }
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

std::string RestoredServer::last_words(FileSystem& files) const {
  const auto info = files.stat(layout_.log());
  if (!info) return "it left no log";
  std::string tail(static_cast<std::size_t>(std::min(info->size_bytes, kLogTail)), '\0');
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

Status make_socket_directory(FileSystem& files, const Path& directory) {
  TRY(files.create_directories(directory));
  // Not FileSystem's business: a mode, not content that must survive.
  if (::chmod(directory.c_str(), 0700) != 0) {
    return fail(ErrorKind::conflict, fmt::format("'{}' is not ours to make private", directory.string()),
                "Remove it, or set TMPDIR to a place of your own.");
  }
  return {};
}

}  // namespace walback
