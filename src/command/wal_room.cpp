#include "command/wal_room.h"

#include <algorithm>
#include <cstdlib>

#include "base/text.h"

namespace walback {
namespace {

constexpr std::int64_t kRateKeepsUs = 3'600'000'000;
/// postmaster.pid tells the start to the second, taken a moment before the one that SQL tells.
constexpr std::int64_t kStartToleranceS = 5;

/// postmaster.pid's third line is when that server was started.
bool is_of_server(FileSystem& files, const Path& data, Timestamp started) {
  const auto text = files.read(data / "postmaster.pid");
  const auto lines = text ? split(*text, '\n') : std::vector<std::string_view>{};
  const auto written = lines.size() > 2 ? parse_decimal(trim(lines[2])) : std::nullopt;
  return written &&
         std::abs(started.unix_us / 1'000'000 - static_cast<std::int64_t>(*written)) <= kStartToleranceS;
}

}  // namespace

std::optional<std::uint64_t> wal_rate(const std::optional<CaptureStatus>& capture, Timestamp now) {
  if (!capture || now.unix_us - capture->updated_at.unix_us > kRateKeepsUs) return std::nullopt;
  return capture->wal_bytes_per_second;
}

std::optional<ArchiveDisk> archive_disk_now(const ArchiveContext& archive, const Config& config,
                                            std::optional<std::uint64_t> wal_per_second) {
  const auto space = archive.files.space(archive.layout.wal());
  if (!space) return std::nullopt;
  return ArchiveDisk{space->available_bytes,
                     reserve_bytes(config.capture.reserve_mb, archive.identity.segment_size), wal_per_second};
}

std::optional<DiskSpace> wal_disk_of(FileSystem& files, Connection& connection) {
  const auto server = server_identity(connection);
  const auto started = server_start_time(connection);
  if (!server || !started || server->data_directory.empty()) return std::nullopt;
  const Path data = server->data_directory;
  if (!is_of_server(files, data, *started)) return std::nullopt;
  const auto space = files.space(data / "pg_wal");
  return space ? std::optional(*space) : std::nullopt;
}

std::optional<SlotForecast> forecast_of(const std::string& slot, const std::vector<ReplicationSlot>& slots,
                                        std::optional<std::uint64_t> wal_per_second,
                                        std::optional<DiskSpace> wal_disk) {
  const auto ours = std::ranges::find(slots, slot, &ReplicationSlot::name);
  if (ours == slots.end()) return std::nullopt;
  return forecast_slot({*ours, wal_per_second, wal_disk});
}

}  // namespace walback
