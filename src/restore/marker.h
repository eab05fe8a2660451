#pragma once
#include <optional>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "base/timestamp.h"
#include "os/file_system.h"
#include "restore/restored_tablespace.h"

namespace walback {

/// How far a restore came. Anything but paused and complete is unfinished: ours to wipe and begin again.
enum class RestorePhase : std::uint8_t { laying_base, recovering, paused, finishing, complete };
[[nodiscard]] std::string_view name_of(RestorePhase phase);

/// `<data directory>/walback-restore.json`: written before the first byte of the copy, so that a directory
/// that a crash leaves behind is known as ours and as unfinished. Published durably at every change of phase.
struct RestoreMarker {
  RestorePhase phase = RestorePhase::laying_base;
  std::string name;
  int pid = 0;  ///< of the walback that works on it
  std::uint64_t pid_start_ticks = 0;
  Timestamp started_at;
  std::uint16_t port = 0;
  std::string socket_directory;
  std::string target;
  Json plan;
  Json expected;  ///< what the proof is held against: restore/proof.h
  std::vector<RestoredTablespace> tablespaces = {};
};

/// Everything of ours inside a restored data directory.
struct RestoredLayout {
  Path data;

  [[nodiscard]] Path marker() const { return data / "walback-restore.json"; }
  [[nodiscard]] Path proof() const { return data / "walback-proof.json"; }
  [[nodiscard]] Path own() const { return data / "walback"; }
  [[nodiscard]] Path spool() const { return own() / "spool"; }
  [[nodiscard]] Path log() const { return own() / "server.log"; }
  /// Private to its owner. Beside the copy where the path is short enough for a socket's name (107 bytes),
  /// else under the system's directory for temporary files, with a name made from the path.
  [[nodiscard]] Path socket_directory() const;
};

[[nodiscard]] Json to_json(const RestoreMarker& marker);
[[nodiscard]] Result<RestoreMarker> parse_marker(const std::string& text, const std::string& what);
/// Nothing where the directory has none.
[[nodiscard]] Result<std::optional<RestoreMarker>> read_marker(FileSystem& files,
                                                               const RestoredLayout& layout);
[[nodiscard]] Status write_marker(FileSystem& files, const RestoredLayout& layout,
                                  const RestoreMarker& marker);

}  // namespace walback
