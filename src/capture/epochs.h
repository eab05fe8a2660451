#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/timestamp.h"
#include "catalog/archive_layout.h"
#include "catalog/held_wal.h"
#include "os/file_system.h"
#include "wal/timeline_history.h"

/// Epochs: one directory of pg_receivewal each. Nothing is ever moved out of one, so WAL that does not go on
/// where the newest epoch ends (the primary's history forked before it, or a person accepted a gap) needs a
/// new one, and the reason is recorded.
namespace walback {

/// The newest epoch on disk; the first one is made when there is none.
[[nodiscard]] Result<std::uint32_t> open_newest_epoch(FileSystem& files, const ArchiveLayout& archive);

/// Opens the next epoch, durably, and returns its number. The journal's line with `reason` comes first, the
/// directory second: there is no epoch without a reason. A newest epoch that holds no segment yet is the next
/// one already (a killed call left it, or a person made it); it gets its reason and its number is returned.
/// So a call that was killed anywhere is repeated as it is: at most a second line of the same epoch stands in
/// the journal. The caller holds the capturer's lock, and no pg_receivewal runs.
[[nodiscard]] Result<std::uint32_t> open_epoch(FileSystem& files, const ArchiveLayout& archive, Timestamp at,
                                               const std::string& reason);

/// Pure. Why pg_receivewal cannot go on at `resume` with a server of this history, so that a new epoch is
/// needed; nothing: it can. A server that left the timeline inside our open segment is no reason: what it
/// sends of that segment is the same up to the switch, pg_receivewal writes it over itself, and the abandoned
/// end behind it stays byte for byte (measured, and held by a test). One that left it before is: asked for a
/// position behind the switch it answers "not in this server's history" for ever. conflict: the timeline is
/// not on the server's path at all.
[[nodiscard]] Result<std::optional<std::string>> reason_for_new_epoch(const ResumePoint& resume,
                                                                      const TimelineHistory& server);

}  // namespace walback
