#pragma once
#include "base/result.h"
#include "lab/lab_state.h"

/// What happens to a lab's servers in a failover, for tests and chaos. Which of them is the primary is then
/// no longer what LabState calls so: `primary` and `standby` stay the names of two servers.
namespace walback {

/// pg_promote, and waits until the server takes writes.
[[nodiscard]] Status promote(const LabState& state, const LabServer& standby);

/// The standby receives no more WAL from now on: its primary runs ahead of it.
[[nodiscard]] Status cut_off(const LabState& state, const LabServer& standby);

/// A server that was killed or stopped, started again as it is: an old primary that comes back.
[[nodiscard]] Status start_again(LabState& state, LabServer& server);

/// Stops the server, throws its data away and makes it a standby of `primary` from a new base backup.
[[nodiscard]] Status rebuild_as_standby(LabState& state, LabServer& server, const LabServer& primary);

}  // namespace walback
