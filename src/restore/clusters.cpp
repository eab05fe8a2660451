#include "restore/clusters.h"

#include <fmt/format.h>

#include <unistd.h>

#include <chrono>

#include "base/text.h"
#include "os/process.h"
#include "os/system.h"
#include "pg/recovery_queries.h"

namespace walback {
namespace {

constexpr std::int64_t kStartTimeoutUs = 300'000'000;
constexpr std::chrono::milliseconds kPoll{20};

Result<RestoreMarker> marker_of(FileSystem& files, const RestoredLayout& layout) {
  auto marker = TRY(read_marker(files, layout));
  if (!marker) {
    return fail(ErrorKind::not_found, fmt::format("'{}' holds no restored cluster", layout.data.string()),
                "`walback clusters` lists them.");
  }
  return std::move(*marker);
}

/// The programs of the major version that the data directory itself names.
Result<Binaries> binaries_of(const ClusterSetup& setup, const RestoredLayout& layout) {
  const std::string version = TRY(setup.files.read(layout.data / "PG_VERSION"));
  const auto major = parse_decimal(trim(version));
  if (!major || *major > 1000) {
    return fail(ErrorKind::corrupt,
                fmt::format("'{}' names no version", (layout.data / "PG_VERSION").string()));
  }
  return find_binaries(setup.configured_bin, static_cast<int>(*major));
}

Result<RestoredServer> server_of(const ClusterSetup& setup, const RestoredLayout& layout,
                                 const RestoreMarker& marker) {
  return RestoredServer(TRY(binaries_of(setup, layout)), layout, marker.port, marker.socket_directory);
}

Status await_answer(const ClusterSetup& setup, RestoredServer& server, const std::stop_token& stop) {
  const std::int64_t deadline_us = setup.clock.monotonic_us() + kStartTimeoutUs;
  while (true) {
    const auto connection = server.connect(setup.superusers);
    if (connection) return {};
    if (!server.running()) {
      return fail(ErrorKind::unavailable, "the restored server ended: " + server.last_words(setup.files));
    }
    if (setup.clock.monotonic_us() > deadline_us) return tl::unexpected(connection.error());
    if (!sleep_for(stop, kPoll))
      return fail(ErrorKind::interrupted, "interrupted while the restored server starts");
  }
}

/// The restore that laid it down, or a promotion of it, still works on it.
bool worked_on(const RestoreMarker& marker) {
  if (marker.phase == RestorePhase::complete || marker.phase == RestorePhase::paused) return false;
  const auto ticks = process_start_ticks(marker.pid);
  return ticks && *ticks == marker.pid_start_ticks;
}

Result<FileLock> lock_cluster(const RestoredLayout& layout) {
  return FileLock::take_directory(layout.data, fmt::format("a restore into '{}'", layout.data.string()));
}

Result<std::string> start_known(const ClusterSetup& setup, const RestoredLayout& layout,
                                const RestoreMarker& marker, const std::stop_token& stop) {
  RestoredServer server = TRY(server_of(setup, layout, marker));
  if (!server.running()) {
    if (!port_is_free(marker.port)) {
      return fail(ErrorKind::conflict, fmt::format("port {} is taken on this host", marker.port),
                  "Stop what listens there.");
    }
    TRY(make_socket_directory(marker.socket_directory));
    TRY(server.start());
  }
  TRY(await_answer(setup, server, stop));
  return server.psql();
}

/// What it was made of, as the plan in its mark says.
void describe(const Json& plan, Proof& proof) {
  const auto part = [&](const char* name) { return plan.is_object() ? plan.value(name, Json()) : Json(); };
  proof.backup_id = member<std::string>(part("backup"), "id").value_or("");
  proof.base_bytes = member<std::uint64_t>(part("backup"), "size_bytes").value_or(0);
  proof.wal_segments = member<std::uint64_t>(part("wal"), "segments").value_or(0);
  proof.wal_bytes = member<std::uint64_t>(part("wal"), "bytes").value_or(0);
}

/// What the copy says before its promotion. One that was promoted already, by a promotion that was cut short,
/// is judged by its switch point, which stays; a paused one that was started again has forgotten the time of
/// what it replayed before.
Status ask(const ClusterSetup& setup, RestoredServer& server, Proof& proof) {
  Connection connection = TRY(server.connect(setup.superusers));
  TRY(ask_while_paused(connection, proof.expected, proof.reached));
  if (!proof.reached.replay_lsn) {
    proof.reached.promoted_without_pause = true;
    proof.warnings.emplace_back("an earlier promotion was cut short; the switch point is the proof");
  } else if (!proof.reached.last_transaction_time && proof.expected.last_transaction_time) {
    proof.expected.last_transaction_time.reset();
    proof.warnings.emplace_back(
        "the server was started again since the pause, and no longer knows the time of the last transaction "
        "replayed; the proof of the pause does");
  }
  return {};
}

}  // namespace

RestoreRow as_it_is(FileSystem& files, RestoreRow row) {
  if (row.state != RestoreState::running) return row;
  const auto marker = read_marker(files, {row.directory});
  if (marker && *marker && (*marker)->name == row.name) {
    if (worked_on(**marker)) return row;
    // Killed after the mark said so and before the journal did.
    if ((*marker)->phase == RestorePhase::complete) row.state = RestoreState::complete;
    if ((*marker)->phase == RestorePhase::paused) row.state = RestoreState::paused;
    if (row.state != RestoreState::running) return row;
  }
  row.state = RestoreState::failed;
  row.error = "the restore's process ended before the restore did";
  return row;
}

std::string_view name_of(ClusterCondition condition) {
  switch (condition) {
    case ClusterCondition::running:
      return "running";
    case ClusterCondition::stopped:
      return "stopped";
    case ClusterCondition::absent:
      return "absent";
  }
  return "absent";
}

ClusterCondition cluster_condition(FileSystem& files, const Path& data_directory) {
  const RestoredLayout layout{data_directory};
  if (!exists(files, layout.marker())) return ClusterCondition::absent;
  return RestoredServer({}, layout, 0, "").running() ? ClusterCondition::running : ClusterCondition::stopped;
}

Result<std::string> start_cluster(const ClusterSetup& setup, const Path& data_directory,
                                  std::stop_token stop) {
  const RestoredLayout layout{data_directory};
  const RestoreMarker marker = TRY(marker_of(setup.files, layout));
  if (marker.phase != RestorePhase::complete && marker.phase != RestorePhase::paused) {
    return fail(ErrorKind::conflict,
                fmt::format("the restore of '{}' did not end (phase {})", marker.name, name_of(marker.phase)),
                "Restore again into the same directory: it is wiped and begun anew.");
  }
  return start_known(setup, layout, marker, stop);
}

Status stop_cluster(const ClusterSetup& setup, const Path& data_directory) {
  const RestoredLayout layout{data_directory};
  const RestoreMarker marker = TRY(marker_of(setup.files, layout));
  return TRY(server_of(setup, layout, marker)).stop("fast");
}

Result<Proof> promote_cluster(const ClusterSetup& setup, const Path& data_directory, std::stop_token stop) {
  const RestoredLayout layout{data_directory};
  const FileLock lock = TRY(lock_cluster(layout));
  RestoreMarker marker = TRY(marker_of(setup.files, layout));
  RestoredServer server = TRY(server_of(setup, layout, marker));
  // Cut short while it was promoted, and not running any more: nobody can tell what reached the disk.
  const bool again = marker.phase == RestorePhase::finishing && server.running();
  if (marker.phase != RestorePhase::paused && !again) {
    return fail(ErrorKind::conflict,
                fmt::format("'{}' is not paused (phase {})", marker.name, name_of(marker.phase)),
                marker.phase == RestorePhase::complete
                    ? "Only a cluster restored with --pause can be promoted."
                    : "It was cut short: restore again into the same directory, which is then wiped.");
  }
  TRY(start_known(setup, layout, marker, stop));
  const std::string what = fmt::format("'{}'", layout.marker().string());
  Proof proof(TRY(parse_expectation(marker.expected, what)));
  proof.name = marker.name;
  proof.directory = data_directory.string();
  proof.target = marker.target;
  proof.port = marker.port;
  proof.tablespaces = marker.tablespaces;
  describe(marker.plan, proof);
  TRY(ask(setup, server, proof));
  marker.phase = RestorePhase::finishing;
  marker.pid = ::getpid();
  marker.pid_start_ticks = process_start_ticks(marker.pid).value_or(0);
  TRY(write_marker(setup.files, layout, marker));
  const FinishSetup finish{setup.files, setup.clock, layout, setup.superusers, setup.hba};
  TRY(promote_and_make_durable(finish, server, proof, stop));
  TRY(publish_proof_and_release(finish, server, proof));
  if (!proof.holds()) return proof;
  marker.phase = RestorePhase::complete;
  TRY(write_marker(setup.files, layout, marker));
  TRY(setup.files.remove_tree(layout.spool()));
  return proof;
}

Status remove_cluster(const ClusterSetup& setup, const Path& data_directory) {
  const RestoredLayout layout{data_directory};
  const RestoreMarker marker = TRY(marker_of(setup.files, layout));
  const FileLock lock = TRY(lock_cluster(layout));
  TRY(RestoredServer({}, layout, marker.port, marker.socket_directory).stop("immediate"));
  for (const Path& directory : claimed_directories(marker.tablespaces)) {
    TRY(release_directory(setup.files, directory, data_directory));
  }
  // The mark goes last, so that a crash in between leaves a directory that is still known as ours.
  for (const DirectoryEntry& entry : TRY(setup.files.list(data_directory))) {
    const Path path = data_directory / entry.name;
    if (path != layout.marker()) TRY(setup.files.remove_tree(path));
  }
  // Only where we would have put it: the mark is a file that anybody may have written into.
  if (marker.socket_directory == layout.socket_directory().string()) {
    TRY(setup.files.remove_tree(layout.socket_directory()));
  }
  return setup.files.remove_tree(data_directory);
}

}  // namespace walback
