#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/timestamp.h"
#include "wal/timeline_history.h"

/// Which of a conninfo's hosts is the primary. libpq's target_session_attrs=read-write takes the first that
/// lets it write, and so an old primary that came back; here each host is looked at and held against what the
/// archive has.
namespace walback {

/// One host of a conninfo: a conninfo that leads there and nowhere else, and its name for people.
struct HostConninfo {
  std::string conninfo;
  std::string name;  ///< "db1:5432"
  bool operator==(const HostConninfo&) const = default;
};

struct SeenServer {
  std::uint64_t system_identifier = 0;
  bool in_recovery = false;
  TimelineHistory history;  ///< of the timeline that is written now; of a standby its timeline alone
  Timestamp started_at;     ///< tells whether two names lead to one server
  std::optional<Lsn> flush_lsn = {};  ///< nothing: in recovery
};

struct HostSight {
  HostConninfo host;
  Result<SeenServer> seen;
};

/// What the hosts are held against; nothing where there is no archive (yet).
struct KnownCluster {
  std::optional<std::uint64_t> system_identifier;
  /// The path to the newest timeline that the archive holds WAL of; one above 1 without entries: its history
  /// file is not there.
  std::optional<TimelineHistory> history;
  /// How far the archive holds that timeline, known before any host was looked at.
  std::optional<Lsn> held_up_to = {};
};

struct PrimaryChoice {
  HostConninfo host;
  SeenServer server;
  std::vector<Error> refused;  ///< hosts that take writes and are not the primary, each with what to do
};

/// Pure. A host in recovery is none. One that takes writes is the primary if its timeline is what the archive
/// holds or descends from it; of several the one that descends from all others.
///
/// conflict: only hosts on a timeline that the archive's history has left (an old primary that came back),
/// that does not descend from it, or that stand behind WAL which the archive holds of the same timeline (an
/// older copy: what was sent was flushed, so that no crash looks like this); or several that take writes on
/// timelines of which none descends from the other. foreign_system: only another cluster. As soon as one host
/// is in recovery, does not answer or cannot be judged, it may become the primary, so the kind is one that is
/// waited out: unavailable, config or unreachable.
[[nodiscard]] Result<PrimaryChoice> choose_primary(const std::vector<HostSight>& hosts,
                                                   const KnownCluster& known);

inline constexpr const char* kOlderCopyHint =
    "Was a copy or an image of it put in its place? What it writes from now on is another history under the "
    "same numbers, and an archive never mixes two: begin a new one with walback init --archive. The old one "
    "still restores everything up to its end.";

/// "1 until 0/94F780, then 2"
[[nodiscard]] std::string path_text(const TimelineHistory& history);

}  // namespace walback
