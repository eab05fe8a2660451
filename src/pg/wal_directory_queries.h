#pragma once
#include <optional>
#include <string>

#include "pg/connection.h"

namespace walback {

/// The file name of the oldest segment in the server's pg_wal, by number, whatever its timeline: older ones
/// are gone (a server removes by number alone). Nothing where the role may not look (pg_monitor may).
[[nodiscard]] Result<std::optional<std::string>> oldest_wal_file(Connection& connection);

/// May this role begin a session with lc_messages set? One that may not is turned away when it tries.
[[nodiscard]] Result<bool> may_set_lc_messages(Connection& connection);

}  // namespace walback
