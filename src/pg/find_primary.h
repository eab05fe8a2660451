#pragma once
#include <string>
#include <vector>

#include "pg/choose_primary.h"
#include "pg/connection.h"

namespace walback {

/// The hosts of a conninfo in its order, one for each. target_session_attrs and load_balance_hosts are left
/// out: which host it is to be is decided by choose_primary. Lists that do not fit together: `config`.
[[nodiscard]] Result<std::vector<HostConninfo>> hosts_of(const std::string& conninfo);

/// Asks all at once, so that a dead host costs its own time-out and not the others'. A primary above timeline
/// 1 is asked for its history over a replication connection, which pg_receivewal needs as well: no other way
/// is open to a role that is not a superuser.
[[nodiscard]] std::vector<HostSight> look_at_hosts(const std::vector<HostConninfo>& hosts,
                                                   const ConnectionOptions& options);

/// The one way to find the primary, for everybody who talks to it: looks at every host of `conninfo`, then
/// chooses (choose_primary.h).
[[nodiscard]] Result<PrimaryChoice> find_primary(const std::string& conninfo, const KnownCluster& known,
                                                 const ConnectionOptions& options = {});
/// The same, and a session there.
[[nodiscard]] Result<Connection> open_primary(const std::string& conninfo, const KnownCluster& known,
                                              const ConnectionOptions& options = {});

}  // namespace walback
