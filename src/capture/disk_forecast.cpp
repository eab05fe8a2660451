#include "capture/disk_forecast.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace walback {
namespace {

constexpr std::int64_t kSampleEvery = 1'000'000;
constexpr std::int64_t kRateWindow = 600'000'000;
/// A burst is no rate: over a few seconds the segment switch of one base backup fills any disk within hours.
constexpr std::int64_t kRateNeeds = 60'000'000;

constexpr std::uint64_t kLeastReserve = 64U << 20;
constexpr std::uint64_t kReservedSegments = 3;
constexpr std::uint64_t kFewReserves = 3;
constexpr std::uint64_t kWarnAheadSeconds = 24 * 3600;

/// So much behind is what a receiver that works may be behind.
constexpr std::uint64_t kNormallyHeldBack = 256U << 20;

std::optional<std::uint64_t> seconds_until_gone(std::uint64_t bytes,
                                                std::optional<std::uint64_t> per_second) {
  if (!per_second || *per_second == 0) return std::nullopt;
  return bytes / *per_second;
}

/// As a person says it: nobody plans by the second.
std::string about(std::uint64_t seconds) {
  constexpr std::uint64_t kMinute = 60, kHour = 3600, kDay = 24 * kHour;
  const auto rounded = [](std::uint64_t value, std::uint64_t unit) { return (value + unit / 2) / unit; };
  if (seconds < 2 * kMinute) return fmt::format("about {} s", seconds);
  if (seconds < 2 * kHour) return fmt::format("about {} min", rounded(seconds, kMinute));
  if (seconds < 2 * kDay) return fmt::format("about {} h", rounded(seconds, kHour));
  if (seconds < 1000 * kDay) return fmt::format("about {} days", rounded(seconds, kDay));
  return "years";
}

std::string at_rate(std::uint64_t per_second) {
  return fmt::format("at {}/s of WAL", render_bytes(per_second));
}

}  // namespace

void WalRate::observe(std::int64_t now_us, Lsn flushed) {
  if (!samples_.empty()) {
    if (flushed < samples_.back().flushed)
      samples_.clear();
    else if (now_us - samples_.back().at_us < kSampleEvery)
      return;
  }
  samples_.push_back({now_us, flushed});
  while (now_us - samples_.front().at_us > kRateWindow) samples_.pop_front();
}

std::optional<std::uint64_t> WalRate::bytes_per_second() const {
  if (samples_.empty()) return std::nullopt;
  const std::int64_t took_us = samples_.back().at_us - samples_.front().at_us;
  if (took_us < kRateNeeds) return std::nullopt;
  const std::uint64_t bytes = samples_.back().flushed - samples_.front().flushed;
  return static_cast<std::uint64_t>(static_cast<double>(bytes) * 1e6 / static_cast<double>(took_us));
}

std::uint64_t reserve_bytes(unsigned reserve_mb, SegmentSize size) {
  if (reserve_mb != 0) return std::uint64_t{reserve_mb} << 20;
  return std::max(kLeastReserve, kReservedSegments * size.bytes());
}

DiskState judge_disk(const ArchiveDisk& disk, bool was_full) {
  const std::uint64_t enough = disk.reserve_bytes + (was_full ? disk.reserve_bytes / 2 : 0);
  if (disk.available_bytes < enough) return DiskState::full;
  const auto left = seconds_to_reserve(disk);
  const bool soon = left && *left < kWarnAheadSeconds;
  return soon || disk.available_bytes < kFewReserves * disk.reserve_bytes ? DiskState::nearly_full
                                                                          : DiskState::fine;
}

std::optional<std::uint64_t> seconds_to_reserve(const ArchiveDisk& disk) {
  return seconds_until_gone(disk.available_bytes - std::min(disk.available_bytes, disk.reserve_bytes),
                            disk.wal_per_second);
}

std::string describe(const ArchiveDisk& disk) {
  const std::string free = render_bytes(disk.available_bytes) + " free";
  const std::string reserve = render_bytes(disk.reserve_bytes);
  if (disk.available_bytes <= disk.reserve_bytes)
    return fmt::format("{}, less than the reserve of {}", free, reserve);
  const auto left = seconds_to_reserve(disk);
  if (left)
    return fmt::format("{}; {} the reserve of {} is reached in {}", free, at_rate(*disk.wal_per_second),
                       reserve, about(*left));
  return fmt::format("{}, of which {} are kept as a reserve", free, reserve);
}

std::optional<SlotForecast> forecast_slot(const SlotRoom& room) {
  const ReplicationSlot& slot = room.slot;
  if (slot.wal_status == SlotWalStatus::lost || !slot.restart_lsn) return std::nullopt;  // nothing to foresee
  if (slot.active && slot.held_back_bytes <= kNormallyHeldBack &&
      slot.wal_status != SlotWalStatus::unreserved)
    return std::nullopt;
  SlotForecast forecast;
  forecast.limited = slot.safe_wal_size_bytes.has_value();
  std::optional<std::uint64_t> room_bytes;
  if (slot.safe_wal_size_bytes)
    room_bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(0, *slot.safe_wal_size_bytes));
  else if (room.wal_disk)
    room_bytes = room.wal_disk->available_bytes;

  forecast.text = "holds back " + render_bytes(slot.held_back_bytes);
  if (!room_bytes) {
    forecast.text += " on the primary, whose disk cannot be seen from here";
    if (room.wal_per_second && *room.wal_per_second > 0)
      forecast.text += fmt::format("; it grows by {} an hour", render_bytes(*room.wal_per_second * 3600));
    forecast.urgent = true;
    return forecast;
  }
  const std::string end = forecast.limited ? "the primary removes WAL that is not captured yet"
                                           : "the primary's disk is full and it stops";
  const auto left = seconds_until_gone(*room_bytes, room.wal_per_second);
  forecast.text += fmt::format("; after {} more {}", render_bytes(*room_bytes), end);
  if (left) forecast.text += fmt::format(", {} in {}", at_rate(*room.wal_per_second), about(*left));
  forecast.seconds_left = left;
  forecast.urgent = !left || *left < kWarnAheadSeconds;
  return forecast;
}

}  // namespace walback
