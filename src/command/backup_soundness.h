#pragma once
#include <string>

#include "command/session.h"

/// The catalog's word about base backups, held against the disk.
namespace walback {

/// How the problem of a base backup begins whose bytes are not those of its manifest: only reading all of
/// them again clears it, which `walback verify` does.
inline constexpr std::string_view kBytesDiffer = "its bytes differ";

/// A base backup that the catalog calls unusable, and whose files are there again, is usable again.
[[nodiscard]] Status readmit_mended_backups(const ArchiveSession& session);

/// Whether the backup's files are there as its manifest says. If not, that is an ERROR in the log and a
/// problem in the catalog, and the next plan does without it.
[[nodiscard]] Result<bool> is_sound(const ArchiveSession& session, const BackupRow& backup);

/// Its files are there and right: whatever the catalog says against it is over.
[[nodiscard]] Status call_usable_again(const ArchiveContext& archive, const BackupRow& backup);

/// An ERROR in the log, and a problem in the catalog.
[[nodiscard]] Status call_unusable(const ArchiveContext& archive, const std::string& id,
                                   const std::string& problem);

/// What reading every byte of it found.
void note_differing_bytes(const ArchiveContext& archive, const std::string& id, const std::string& found);

}  // namespace walback
