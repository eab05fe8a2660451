#include "restore/restored_server.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "os/process.h"
#include "support/temporary_directory.h"

using namespace walback;
using namespace std::chrono_literals;

namespace {

std::uint32_t mode_of(const Path& path) {
  return real_file_system().stat(path)->mode;
}

/// Something that looks like a server's process: a program called `postgres` that works in `data`.
Result<int> impostor(const Path& bin, const std::string& name, const Path& data) {
  TRY(real_file_system().copy_file("/bin/sleep", bin / name));
  return spawn_detached({.program = bin / name, .arguments = {"600"}, .working_directory = data},
                        data / "out");
}

void write_pid(const Path& data, int pid) {
  REQUIRE(real_file_system().write(data / "postmaster.pid",
                                   std::to_string(pid) + "\n" + data.string() + "\n1\n"));
}

}  // namespace

TEST_CASE("restored server: a pid in postmaster.pid is believed only of PostgreSQL in that directory") {
  const TemporaryDirectory directory;
  const Path data = directory.path() / "data", bin = directory.path() / "bin",
             other = directory.path() / "other";
  for (const Path& path : {data, bin, other}) REQUIRE(real_file_system().create_directories(path));
  const RestoredServer server({}, {data}, 5433, "");
  CHECK_FALSE(server.running());
  // A reused pid: ours.
  write_pid(data, ::getpid());
  CHECK_FALSE(server.running());
  write_pid(data, 0);
  CHECK_FALSE(server.running());
  REQUIRE(real_file_system().write(data / "postmaster.pid", "garbage\n"));
  CHECK_FALSE(server.running());
  REQUIRE(real_file_system().write(data / "postmaster.pid", ""));
  CHECK_FALSE(server.running());

  const auto elsewhere = impostor(bin, "postgres", other);
  REQUIRE(elsewhere);
  write_pid(data, *elsewhere);
  CHECK_FALSE(server.running());
  const auto stranger = impostor(bin, "psql", data);
  REQUIRE(stranger);
  write_pid(data, *stranger);
  CHECK_FALSE(server.running());
  for (const auto& pid : {elsewhere, stranger}) {
    CHECK(stop_by_pid(*pid, process_start_ticks(*pid).value_or(0), 5s));
  }
}

TEST_CASE(
    "restored server: stopping ends what works in the directory, without a pid file too, and nobody else") {
  const TemporaryDirectory directory;
  const Path data = directory.path() / "data", bin = directory.path() / "bin",
             bin2 = directory.path() / "bin2";
  for (const Path& path : {data, bin, bin2}) REQUIRE(real_file_system().create_directories(path));
  const auto orphan = impostor(bin, "postgres", data);
  const auto fetch = impostor(bin, "walback-fetch", data);
  const auto shell = impostor(bin, "bash", data);
  REQUIRE(orphan);
  REQUIRE(fetch);
  REQUIRE(shell);
  RestoredServer server({}, {data}, 5433, "");
  REQUIRE(server.stop("immediate"));
  CHECK_FALSE(process_start_ticks(*orphan));
  CHECK_FALSE(process_start_ticks(*fetch));
  CHECK(process_start_ticks(*shell));
  CHECK(stop_by_pid(*shell, process_start_ticks(*shell).value_or(0), 5s));
  const auto postmaster = impostor(bin2, "postgres", data);
  REQUIRE(postmaster);
  write_pid(data, *postmaster);
  CHECK(server.running());
  REQUIRE(server.stop("immediate"));
  CHECK_FALSE(server.running());
  CHECK(server.stop("fast"));
}

TEST_CASE("restored server: its last words") {
  const TemporaryDirectory directory;
  const RestoredLayout layout{directory.path()};
  const RestoredServer server({}, layout, 5433, "");
  FileSystem& files = real_file_system();
  CHECK(server.last_words(files) == "it left no log");
  REQUIRE(files.create_directories(layout.own()));
  REQUIRE(
      files.write(layout.log(), "2026 LOG:  starting\n2026 FATAL:  the database system is starting up\n"));
  CHECK(server.last_words(files) == "its log names no reason");
  REQUIRE(files.write(layout.log(),
                      "2026 FATAL:  a\n2026 LOG:  x\n2026 PANIC:  b\n2026 DETAIL:  c\n2026 HINT:  d\n"
                      "2026 FATAL:  recovery ended before configured recovery target was reached\n"));
  CHECK(server.last_words(files) ==
        "PANIC:  b; DETAIL:  c; HINT:  d; FATAL:  recovery ended before configured recovery target was "
        "reached");
}

TEST_CASE("restored server: the socket's directory is ours and private, or it is refused") {
  const TemporaryDirectory directory;
  const Path socket = directory.path() / "walback" / "socket";
  REQUIRE(make_socket_directory(socket));
  CHECK(mode_of(socket) == 0700);
  REQUIRE(::chmod(socket.c_str(), 0777) == 0);
  REQUIRE(make_socket_directory(socket));
  CHECK(mode_of(socket) == 0700);

  const auto refusal = [](const Path& path) {
    return Error{
        ErrorKind::conflict,
        "'" + path.string() + "', where the restored server's socket goes, is not a directory of ours",
        "Somebody else made it: remove it, or restore into a directory with a shorter path."};
  };
  const Path link = directory.path() / "link";
  REQUIRE(real_file_system().create_symlink(socket, link));
  const Status through_link = make_socket_directory(link);
  REQUIRE_FALSE(through_link);
  CHECK(through_link.error() == refusal(link));
  const Path file = directory.path() / "file";
  REQUIRE(real_file_system().write(file, ""));
  const Status onto_file = make_socket_directory(file);
  REQUIRE_FALSE(onto_file);
  CHECK(onto_file.error() == refusal(file));
  if (::geteuid() == 0) {
    const Path others = directory.path() / "others";
    REQUIRE(real_file_system().create_directories(others));
    REQUIRE(::chown(others.c_str(), 65534, 65534) == 0);
    const Status squatted = make_socket_directory(others);
    REQUIRE_FALSE(squatted);
    CHECK(squatted.error() == refusal(others));
  }
}
