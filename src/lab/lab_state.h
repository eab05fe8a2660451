#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "os/file_system.h"

namespace walback {

/// A process as it was recorded: its pid alone would name another one after a while.
struct LabProcess {
  int pid = 0;
  std::uint64_t start_ticks = 0;
  bool operator==(const LabProcess&) const = default;
};
/// The recorded process is the one that runs now.
[[nodiscard]] bool is_running(const LabProcess& process);

struct LabServer {
  std::string name;  ///< "primary" or "standby"
  Path data, log;
  std::uint16_t port = 0;
  bool created = false;  ///< initdb or the base backup has ended; else what is there is a remainder
  LabProcess process;
  bool operator==(const LabServer&) const = default;
};

/// A lab as `<directory>/lab.json` records it: written before anything is started and after every step, so
/// that `lab down` cleans up after a `lab up` that was killed anywhere.
struct LabState {
  Path directory;  ///< absolute, without links
  Path socket_directory;
  Path binaries;    ///< PostgreSQL's
  Path executable;  ///< walback's
  unsigned segment_size_mb = 16;
  bool synchronous = false, fsync = true;
  LabServer primary;
  std::optional<LabServer> standby;
  bool capturing = true;  ///< has an archive and a `walback run`
  LabProcess walback;     ///< `walback run`
  bool operator==(const LabState&) const = default;

  [[nodiscard]] Path config() const { return directory / "walback.yaml"; }
  [[nodiscard]] Path archive() const { return directory / "archive"; }
  [[nodiscard]] Path logs() const { return directory / "log"; }
  [[nodiscard]] Path walback_log() const { return logs() / "walback.log"; }
  /// Over the unix socket, as user and to database postgres.
  [[nodiscard]] std::string primary_conninfo() const { return conninfo(primary); }
  [[nodiscard]] std::string standby_conninfo() const { return standby ? conninfo(*standby) : ""; }
  [[nodiscard]] std::string conninfo(const LabServer& server) const;
};

[[nodiscard]] Path lab_file(const Path& directory);
[[nodiscard]] Json to_json(const LabState& state);
[[nodiscard]] Result<LabState> parse_lab_state(const std::string& text, const std::string& what);

/// No lab there: not_found.
[[nodiscard]] Result<LabState> read_lab(const Path& directory);
[[nodiscard]] Status write_lab(const LabState& state);

}  // namespace walback
