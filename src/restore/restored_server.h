#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "base/result.h"
#include "os/file_system.h"
#include "pg/binaries.h"
#include "pg/connection.h"
#include "restore/marker.h"

namespace walback {

/// The server of a restored cluster. It is started by pg_ctl, outlives walback, and is found again by its
/// data directory and postmaster.pid.
class RestoredServer {
 public:
  RestoredServer(Binaries binaries, RestoredLayout layout, std::uint16_t port, std::string socket_directory)
      : binaries_(std::move(binaries)),
        layout_(std::move(layout)),
        port_(port),
        socket_directory_(std::move(socket_directory)) {}

  /// Starts it and returns once its postmaster runs; whether recovery ends well is for the caller to watch.
  [[nodiscard]] Status start();
  [[nodiscard]] bool running() const;
  /// `mode`: fast, smart or immediate. Not running is success.
  [[nodiscard]] Status stop(const std::string& mode);

  /// Through the private socket, as the first of `roles` that is a superuser. Remembers which one it was.
  [[nodiscard]] Result<Connection> connect(const std::vector<std::string>& roles);
  /// The last lines of its log that say why it ended: FATAL and PANIC with their details.
  [[nodiscard]] std::string last_words(FileSystem& files) const;
  /// "psql -h /… -p 5433 -U postgres": what a person types.
  [[nodiscard]] std::string psql() const;

 private:
  [[nodiscard]] Status await_pid_file() const;

  Binaries binaries_;
  RestoredLayout layout_;
  std::uint16_t port_;
  std::string socket_directory_;
  std::string role_;
};

/// Makes the private directory of the socket (mode 0700, ours).
[[nodiscard]] Status make_socket_directory(FileSystem& files, const Path& directory);

}  // namespace walback
