#pragma once
#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/timestamp.h"
#include "catalog/archive_layout.h"
#include "os/file_system.h"

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

}  // namespace walback
