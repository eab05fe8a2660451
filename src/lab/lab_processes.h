#pragma once
#include <string>
#include <vector>

#include "lab/lab_state.h"

/// The processes of a lab, found by what they work on and not by recorded pids alone: a pid is recorded only
/// after its process was started, and whoever records it can be killed in between.
namespace walback {

struct FoundProcess {
  LabProcess process;
  int parent_pid = 0;
  Path working_directory;  ///< of a server's process: its data directory, even one that was removed
};

/// Every process that runs PostgreSQL's `postgres` in `directory` or below it.
[[nodiscard]] Result<std::vector<FoundProcess>> postgres_processes_below(const Path& directory);
/// Every `walback … run|capture|manage` on this configuration file but ourselves.
[[nodiscard]] Result<std::vector<FoundProcess>> walback_processes_on(const Path& config);

/// The postmaster of a data directory, if it runs.
[[nodiscard]] std::optional<LabProcess> postmaster_of(const Path& data);

/// Fast shutdown (SIGINT), then SIGKILL of whatever is left of it. Not running: success.
[[nodiscard]] Status stop_server(const Path& data);
/// kill -9 to all processes of a server at once; returns when they are gone.
[[nodiscard]] Status kill_server(const Path& data);
/// SIGSTOP or SIGCONT to all of them.
[[nodiscard]] Status signal_server(const Path& data, int signal);

}  // namespace walback
