#include "restore/release_cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "os/system.h"
#include "restore/conf_file.h"
#include "restore/marker.h"
#include "restore/restored_server.h"

namespace walback {
namespace {

/// What restored_settings sets for every copy, whatever its base said.
constexpr std::array<std::string_view, 7> kQuarantine = {"archive_mode",
                                                         "hot_standby",
                                                         "listen_addresses",
                                                         "logging_collector",
                                                         "max_logical_replication_workers",
                                                         "synchronous_standby_names",
                                                         "unix_socket_directories"};

tl::unexpected<Error> not_stopped(const std::string& name) {
  return fail(ErrorKind::conflict, fmt::format("'{}' is running", name),
              fmt::format("Stop it first: walback clusters stop {}", name));
}

}  // namespace

std::string released_settings(std::string_view postgresql_conf) {
  std::string text =
      "# Written by walback for a restored cluster, which was then released: what kept it to itself is gone. "
      "What\n"
      "# was dropped of the primary's settings is listed in walback-proof.json.\n";
  for (const ConfLine& setting : parse_settings(postgresql_conf)) {
    if (std::ranges::find(kQuarantine, setting.name) != kQuarantine.end()) continue;
    text += render_setting(setting.name, setting.value);
  }
  return text;
}

std::string released_cluster_hba() {
  return "# Written by walback when this restored cluster was released.\n"
         "local all all peer\n"
         "host all all 127.0.0.1/32 scram-sha-256\n"
         "host all all ::1/128 scram-sha-256\n";
}

Status release_cluster(FileSystem& files, const Path& data_directory) {
  const RestoredLayout layout{data_directory};
  const auto marker = TRY(read_marker(files, layout));
  if (!marker) {
    return fail(ErrorKind::not_found, fmt::format("'{}' holds no restored cluster", data_directory.string()),
                "`walback clusters` lists them.");
  }
  if (marker->phase != RestorePhase::complete) {
    return fail(ErrorKind::conflict,
                fmt::format("'{}' is not a complete restored cluster (phase {})", marker->name,
                            name_of(marker->phase)),
                marker->phase == RestorePhase::paused
                    ? fmt::format("Open it first: walback clusters promote {}", marker->name)
                    : "Restore again into the same directory, which is then wiped.");
  }
  const FileLock lock = TRY(
      FileLock::take_directory(data_directory, fmt::format("a restore into '{}'", data_directory.string())));
  if (RestoredServer({}, layout, 0, "").running()) return not_stopped(marker->name);
  TRY(publish(files, data_directory / "postgresql.conf",
              released_settings(TRY(files.read(data_directory / "postgresql.conf")))));
  TRY(publish(files, data_directory / "pg_hba.conf", released_cluster_hba()));
  // Only where we would have put it: the mark is a file that anybody may have written into.
  if (marker->socket_directory == layout.socket_directory().string())
    TRY(files.remove_tree(layout.socket_directory()));
  TRY(files.remove_tree(layout.own()));
  TRY(files.remove(layout.marker()));
  return files.sync_directory(data_directory);
}

}  // namespace walback
