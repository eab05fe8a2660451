#pragma once
#include <csignal>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "os/file_system.h"
#include "os/process.h"
#include "pg/binaries.h"

namespace walback::test {

/// How a ThrowawayServer is made.
struct ThrowawayOptions {
  unsigned wal_segment_size_mb = 16;
  bool data_checksums = false;
  bool fsync = false;  ///< a test that pulls no plug need not wait for disks
  std::vector<std::pair<std::string, std::string>> settings;  ///< for postgresql.conf
  std::vector<std::string> hba;                               ///< instead of "everybody, from here, trusted"
};

/// A real PostgreSQL server for one test: its own directory under the system's temporary one, a free port on
/// 127.0.0.1 and a socket beside it, the superuser `postgres` trusted. Becomes the user postgres first where
/// the test was started by root. The destructor kills what it started, and nothing else, and removes the
/// directory.
class ThrowawayServer {
 public:
  [[nodiscard]] static Result<std::unique_ptr<ThrowawayServer>> create(const ThrowawayOptions& options = {});
  /// Over a data directory made elsewhere (a base backup's copy), which stays where it is.
  [[nodiscard]] static Result<std::unique_ptr<ThrowawayServer>> adopt(const Path& data_directory,
                                                                      const ThrowawayOptions& options = {});
  ~ThrowawayServer();
  ThrowawayServer(const ThrowawayServer&) = delete;
  ThrowawayServer& operator=(const ThrowawayServer&) = delete;

  /// Starts it and waits until it lets us in. create() has done so; here again after a stop.
  [[nodiscard]] Status start();
  /// "fast" or "immediate"; waits for the end. Not running is fine.
  [[nodiscard]] Status stop(const std::string& mode = "fast");
  /// kill -9 to the postmaster and every child of it, as a crash of the machine would; waits until they are
  /// gone. The shared memory and sockets stay, as they would.
  void kill_all();
  /// SIGSTOP or SIGCONT to all of its processes.
  void signal_all(int signal) const;

  [[nodiscard]] bool running() const;
  [[nodiscard]] int pid() const;  ///< of the postmaster, 0 when there is none
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] const Path& data_directory() const { return data_; }
  [[nodiscard]] const Path& directory() const { return directory_; }  ///< its own; sockets and log are in it
  [[nodiscard]] const Binaries& binaries() const { return binaries_; }
  /// Over TCP, as user postgres.
  [[nodiscard]] std::string conninfo(const std::string& more = "") const;
  /// Over the socket.
  [[nodiscard]] std::string socket_conninfo(const std::string& more = "") const;
  /// What the server wrote, for a failing test.
  [[nodiscard]] std::string log() const;
  /// Appends to postgresql.conf; takes effect at the next start or reload.
  [[nodiscard]] Status configure(const std::vector<std::pair<std::string, std::string>>& settings);

 private:
  ThrowawayServer() = default;
  [[nodiscard]] Status prepare();
  [[nodiscard]] Status start_on_a_free_port();
  [[nodiscard]] Status initdb(const ThrowawayOptions& options);
  [[nodiscard]] Status write_settings(const ThrowawayOptions& options);
  [[nodiscard]] std::vector<int> processes() const;

  Binaries binaries_;
  Path directory_, data_;
  std::uint16_t port_ = 0;
  std::unique_ptr<Process> process_;
  std::uint64_t started_ticks_ = 0;
};

/// A port on 127.0.0.1 that nobody had a moment ago.
[[nodiscard]] std::uint16_t free_port();

}  // namespace walback::test
