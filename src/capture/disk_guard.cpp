#include "capture/disk_guard.h"

namespace walback {
namespace {

constexpr std::string_view kArea = "capture";
constexpr std::int64_t kLookInterval = 1'000'000;
/// With so few reserves left each tick is a look: WAL can come by the hundred MB a second.
constexpr std::uint64_t kCloseReserves = 6;

}  // namespace

DiskGuard::DiskGuard(const CaptureSetup& setup, SegmentSize size)
    : setup_(setup), reserve_bytes_(reserve_bytes(setup.reserve_mb, size)) {}

void DiskGuard::look(CaptureStatus& status) {
  const std::int64_t now_us = setup_.clock.monotonic_us();
  if (status.primary_flush_lsn) rate_.observe(now_us, *status.primary_flush_lsn);
  if (now_us < next_look_us_) return;
  next_look_us_ = now_us + kLookInterval;
  const auto space = setup_.files.space(setup_.archive.wal());
  if (!space) {
    if (unmeasured_.due(now_us))
      setup_.log.warn(kArea, "disk_not_measured", {{key::error, space.error().message}});
    return;
  }
  const ArchiveDisk disk{space->available_bytes, reserve_bytes_, rate_.bytes_per_second()};
  status.disk_available_bytes = disk.available_bytes;
  status.disk_reserve_bytes = disk.reserve_bytes;
  status.wal_bytes_per_second = disk.wal_per_second;
  if (disk.available_bytes < kCloseReserves * disk.reserve_bytes) next_look_us_ = now_us;
  const DiskState before = state_;
  state_ = judge_disk(disk, full());
  if (full()) status.last_error = "the archive's disk has " + describe(disk);
  say(before, disk);
}

void DiskGuard::say(DiskState before, const ArchiveDisk& disk) {
  const std::string path = setup_.archive.wal().string();
  if (full() && before != DiskState::full) {
    setup_.log.error(
        kArea, "disk_full",
        {{key::path, path},
         {"disk", describe(disk)},
         {key::hint,
          "Capturing pauses, nothing that is held is touched, and the slot keeps what comes on the "
          "primary, whose disk fills meanwhile. Make room; capturing goes on by itself."}});
  } else if (!full() && before == DiskState::full) {
    setup_.log.info(kArea, "disk_has_room", {{key::path, path}, {"disk", describe(disk)}});
  } else if (state_ == DiskState::nearly_full) {
    // Never over: a rate that swings around the bound would say it every second.
    if (warning_.due(setup_.clock.monotonic_us()))
      setup_.log.warn(
          kArea, "disk_nearly_full",
          {{key::path, path},
           {"disk", describe(disk)},
           {key::hint,
            "Give the archive a larger disk, or let `walback expire` take what need not be kept."}});
  }
}

}  // namespace walback
