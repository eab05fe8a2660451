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
/// data directory: what runs PostgreSQL there, not by a recorded pid alone, which may be a zombie's or
/// another program's by now.
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
  /// `mode`: fast or immediate. Not running is success. Returns once nothing of it works in the data
  /// directory any more, so that it can be wiped; after `immediate` what does not end by itself is killed.
  [[nodiscard]] Status stop(const std::string& mode);

  /// Through the private socket, as the first of `roles` that is a superuser. Remembers which one it was.
  /// To the database `postgres`, or `template1` where that was dropped.
  [[nodiscard]] Result<Connection> connect(const std::vector<std::string>& roles);
  /// To another database, as the role that connect() found.
  [[nodiscard]] Result<Connection> connect_to(const std::string& database) const;
  /// The last lines of its log that say why it ended: FATAL and PANIC with their details.
  [[nodiscard]] std::string last_words(FileSystem& files) const;
  /// "psql -h /… -p 5433 -U postgres": what a person types.
  [[nodiscard]] std::string psql() const;

 private:
  [[nodiscard]] Status await_pid_file() const;
  [[nodiscard]] Status stop_postmaster(const std::string& mode);
  [[nodiscard]] Result<Connection> open(const std::string& role, const std::string& database) const;

  Binaries binaries_;
  RestoredLayout layout_;
  std::uint16_t port_;
  std::string socket_directory_;
  std::string role_;
  std::uint64_t log_begin_ = 0;  ///< what the log says before this is of an earlier start
};

/// Makes the private directory of the socket: mode 0700 and ours. One that somebody else put there (the
/// system's directory for temporary files is everybody's) is a conflict.
[[nodiscard]] Status make_socket_directory(const Path& directory);

}  // namespace walback
