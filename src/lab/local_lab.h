#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "lab/lab_state.h"

/// A throwaway topology as local processes of the current user: a primary, a hot standby with its own slot,
/// an archive, and `walback run` on it, all below one directory.
namespace walback {

struct LabSetup {
  Path directory;
  bool standby = true;
  bool capturing = true;              ///< without: the two servers alone
  std::optional<std::uint16_t> port;  ///< the primary's, the standby's is the next; else free ones by chance
  unsigned segment_size_mb = 16;
  bool synchronous = false;  ///< commits wait for the capturer
  bool fsync = true;         ///< off: faster, and figures that no real primary reaches
  Path executable;           ///< walback's; empty: this very program
  Path binaries;             ///< PostgreSQL's; empty: found
};

/// A line for a person about each step.
using LabSay = std::function<void(const std::string&)>;

/// Starts a lab, or whatever of an existing one is not running (its first setup then holds, not this one).
/// Returns when the servers let one in, the standby and the capturer stream.
/// Fails whole: what this call started is stopped again, and the evidence is in the error.
/// Refused: a directory that holds something else; a second `up` or `down` at the same time.
[[nodiscard]] Result<LabState> lab_up(const LabSetup& setup, const LabSay& say, std::stop_token stop);

/// Stops everything that runs below the directory (restored clusters there too), in reverse order, and
/// removes the directory unless `keep`. Touches no process that is not the lab's, whatever pids were
/// recorded.
[[nodiscard]] Status lab_down(const Path& directory, bool keep, const LabSay& say);

struct LabPart {
  std::string name;  ///< "primary", "standby", "walback"
  bool running = false;
  int pid = 0;
  std::uint16_t port = 0;
  Path directory;
  Path log;
};
struct LabStatus {
  LabState state;
  std::vector<LabPart> parts;
  [[nodiscard]] bool all_running() const;
};
[[nodiscard]] Result<LabStatus> lab_status(const Path& directory);

// For tests and chaos: what happens to primaries.
/// kill -9 to every process of the primary at once.
[[nodiscard]] Status kill_primary(const LabState& state);
/// Deletes the dead primary's data directory; refused while it lives.
[[nodiscard]] Status wipe_primary(const LabState& state);
/// SIGSTOP, SIGCONT: a primary that hangs without an error.
[[nodiscard]] Status pause_primary(const LabState& state);
[[nodiscard]] Status resume_primary(const LabState& state);

}  // namespace walback
