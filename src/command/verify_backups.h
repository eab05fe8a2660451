#pragma once
#include <stop_token>
#include <vector>

#include "base/progress.h"
#include "command/session.h"
#include "command/verify_findings.h"

namespace walback {

struct BackupVerification {
  std::vector<BackupFinding> findings;
  std::uint64_t backups_read = 0, backups_remembered = 0;
  std::uint64_t read_bytes = 0;
  std::optional<Timestamp> oldest_look;
};

/// Every base backup against its manifest by PostgreSQL's own pg_verifybackup: every file's bytes, files that
/// are missing, files that are too many, the manifest's own checksum. (A second reader of manifests with a
/// second SHA-256 was rejected: it would be the one that is wrong.) One that was found right is read again
/// when a file of it changed, or `since` is later. A row's problem appears and goes with what is found.
[[nodiscard]] Result<BackupVerification> verify_backups(const ArchiveSession& session, Catalog& catalog,
                                                        Timestamp since, Progress& progress,
                                                        std::stop_token stop);

}  // namespace walback
