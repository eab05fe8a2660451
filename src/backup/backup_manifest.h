#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "wal/lsn.h"
#include "wal/segment_name.h"

namespace walback {

/// What walback reads of a `backup_manifest`; pg_verifybackup reads the rest of it and its checksum.
struct BackupManifest {
  struct WalRange {
    TimelineId timeline;
    Lsn start_lsn, end_lsn;  ///< [start, end): what replay needs to reach consistency
    bool operator==(const WalRange&) const = default;
  };
  std::vector<WalRange> wal_ranges;  ///< one, unless the server changed its timeline meanwhile
  std::uint64_t files = 0;
  std::uint64_t size_bytes = 0;  ///< of all files
  bool operator==(const BackupManifest&) const = default;
};

/// Read as a stream: a cluster with 100,000 files has a manifest of 20 MB, which as a tree would be ten times
/// that. Format version 1 (PostgreSQL 13 to 16) and 2 (17, 18: it adds System-Identifier); another one is
/// refused. Errors: corrupt, naming what is missing.
[[nodiscard]] Result<BackupManifest> parse_backup_manifest(std::string_view text);
/// The same, and `on_file` hears of every file: its path inside the backup, and its size.
[[nodiscard]] Result<BackupManifest> parse_backup_manifest(
    std::string_view text, const std::function<void(const std::string& path, std::uint64_t bytes)>& on_file);

}  // namespace walback
