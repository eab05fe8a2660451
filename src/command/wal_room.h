#pragma once
#include <optional>
#include <string>
#include <vector>

#include "archive/archive_context.h"
#include "capture/capture_status.h"
#include "capture/disk_forecast.h"
#include "pg/server.h"

/// Room for WAL as a command sees it now: in the archive's file system, and on the primary.
namespace walback {

/// How fast WAL comes as the capturer measured it last; nothing when that is an hour ago.
[[nodiscard]] std::optional<std::uint64_t> wal_rate(const std::optional<CaptureStatus>& capture,
                                                    Timestamp now);

/// Nothing where the file system cannot be asked.
[[nodiscard]] std::optional<ArchiveDisk> archive_disk_now(const ArchiveContext& archive, const Config& config,
                                                          std::optional<std::uint64_t> wal_per_second);

/// Of the file system that holds the server's pg_wal, where the server runs on this host and its data
/// directory may be entered. A directory of that name can belong to another server: postmaster.pid tells.
[[nodiscard]] std::optional<DiskSpace> wal_disk_of(FileSystem& files, Connection& connection);

/// Our slot's, among all of the primary's.
[[nodiscard]] std::optional<SlotForecast> forecast_of(const std::string& slot,
                                                      const std::vector<ReplicationSlot>& slots,
                                                      std::optional<std::uint64_t> wal_per_second,
                                                      std::optional<DiskSpace> wal_disk);

}  // namespace walback
