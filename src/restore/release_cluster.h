#pragma once
#include <string>
#include <string_view>

#include "base/result.h"
#include "os/file_system.h"

namespace walback {

/// Lets a restored cluster go: from then on it is PostgreSQL's alone, to become the new primary. What kept it
/// to itself goes (its private socket, `trust` there, loopback, no subscriptions), and last the mark, so that
/// no command of walback takes it for a copy that may be removed. The proof stays.
///
/// Only a complete one, and only while its server is stopped (conflict): its socket's directory is removed.
/// Again after a crash: success.
[[nodiscard]] Status release_cluster(FileSystem& files, const Path& data_directory);

/// The copy's postgresql.conf without what kept it to itself; PostgreSQL's defaults stand in the place of
/// these settings. Pure.
[[nodiscard]] std::string released_settings(std::string_view postgresql_conf);
/// Nobody without a password but the operating system's user of the same name: `trust` was for a socket that
/// only its owner could reach.
[[nodiscard]] std::string released_cluster_hba();

}  // namespace walback
