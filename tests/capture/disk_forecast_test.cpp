#include "capture/disk_forecast.h"

#include <doctest/doctest.h>

using namespace walback;

namespace {

constexpr std::uint64_t kMb = 1U << 20;
constexpr std::uint64_t kGb = 1U << 30;

ArchiveDisk disk(std::uint64_t available, std::optional<std::uint64_t> per_second = std::nullopt) {
  return {available, 64 * kMb, per_second};
}

SlotRoom idle_slot(std::uint64_t held_back) {
  SlotRoom room;
  room.slot.name = "walback";
  room.slot.restart_lsn = Lsn{0x1000000};
  room.slot.wal_status = SlotWalStatus::extended;
  room.slot.held_back_bytes = held_back;
  return room;
}

}  // namespace

TEST_CASE("WAL rate: over what was seen, nothing from a moment, the last ten minutes at most") {
  WalRate rate;
  CHECK_FALSE(rate.bytes_per_second());
  for (int second = 0; second <= 59; ++second) rate.observe(second * 1'000'000, Lsn{second * kMb});
  CHECK_FALSE(rate.bytes_per_second());
  rate.observe(60'000'000, Lsn{60 * kMb});
  CHECK(rate.bytes_per_second() == kMb);
  rate.observe(60'000'001, Lsn{900 * kMb});  // too soon to be a sample
  CHECK(rate.bytes_per_second() == kMb);
  // An hour of silence: what was written before it is out of the window.
  for (int second = 61; second < 3600; ++second) rate.observe(second * 1'000'000LL, Lsn{61 * kMb});
  CHECK(rate.bytes_per_second() == 0);
}

TEST_CASE("WAL rate: a primary that is behind the one before begins anew") {
  WalRate rate;
  for (int second = 0; second <= 60; ++second) rate.observe(second * 1'000'000, Lsn{kGb + second * kMb});
  CHECK(rate.bytes_per_second() == kMb);
  rate.observe(61'000'000, Lsn{kMb});
  CHECK_FALSE(rate.bytes_per_second());
  rate.observe(121'000'000, Lsn{121 * kMb});
  CHECK(rate.bytes_per_second() == 2 * kMb);
}

TEST_CASE("reserve: three segments, at least 64 MB, or what the configuration says") {
  CHECK(reserve_bytes(0, *SegmentSize::from_bytes(1 * kMb)) == 64 * kMb);
  CHECK(reserve_bytes(0, *SegmentSize::from_bytes(16 * kMb)) == 64 * kMb);
  CHECK(reserve_bytes(0, *SegmentSize::from_bytes(64 * kMb)) == 192 * kMb);
  CHECK(reserve_bytes(8, *SegmentSize::from_bytes(64 * kMb)) == 8 * kMb);
}

TEST_CASE("archive's disk: fine, nearly full, full, and full until there is room worth going on for") {
  CHECK(judge_disk(disk(kGb), false) == DiskState::fine);
  CHECK(judge_disk(disk(192 * kMb), false) == DiskState::fine);
  CHECK(judge_disk(disk(192 * kMb - 1), false) == DiskState::nearly_full);
  CHECK(judge_disk(disk(64 * kMb), false) == DiskState::nearly_full);
  CHECK(judge_disk(disk(64 * kMb - 1), false) == DiskState::full);
  CHECK(judge_disk(disk(64 * kMb), true) == DiskState::full);
  CHECK(judge_disk(disk(96 * kMb - 1), true) == DiskState::full);
  CHECK(judge_disk(disk(96 * kMb), true) == DiskState::nearly_full);
  // A day ahead at the rate at which WAL comes.
  CHECK(judge_disk(disk(100 * kGb, 2 * kMb), false) == DiskState::nearly_full);
  CHECK(judge_disk(disk(200 * kGb, 2 * kMb), false) == DiskState::fine);
  CHECK(judge_disk(disk(kGb, 0), false) == DiskState::fine);
}

TEST_CASE("archive's disk: what is said of it") {
  CHECK(describe(disk(40 * kMb)) == "40 MB free, less than the reserve of 64 MB");
  CHECK(describe(disk(kGb)) == "1 GB free, of which 64 MB are kept as a reserve");
  CHECK(describe(disk(64 * kMb + 12 * kMb * 90, 12 * kMb)) ==
        "1.1 GB free; at 12 MB/s of WAL the reserve of 64 MB is reached in about 90 s");
  CHECK(describe(disk(64 * kMb + 12 * kMb * 3600 * 3, 12 * kMb)) ==
        "126.6 GB free; at 12 MB/s of WAL the reserve of 64 MB is reached in about 3 h");
  CHECK(describe(disk(64 * kMb + kMb * 3600 * 24 * 9, kMb)) ==
        "759.4 GB free; at 1 MB/s of WAL the reserve of 64 MB is reached in about 9 days");
  CHECK(describe(disk(kGb, 1)) == "1 GB free; at 1 B/s of WAL the reserve of 64 MB is reached in years");
}

TEST_CASE("slot: one that is used and level is not worth a word, nor is a lost one foreseen") {
  SlotRoom room = idle_slot(16 * kMb);
  room.slot.active = true;
  CHECK_FALSE(forecast_slot(room));
  room.slot.active = false;
  room.slot.wal_status = SlotWalStatus::lost;
  CHECK_FALSE(forecast_slot(room));
}

TEST_CASE("slot: max_slot_wal_keep_size ends its WAL, and when") {
  SlotRoom room = idle_slot(3 * kGb);
  room.slot.safe_wal_size_bytes = kGb;
  CHECK(forecast_slot(room)->text ==
        "holds back 3 GB; after 1 GB more the primary removes WAL that is not captured yet");
  CHECK(forecast_slot(room)->urgent);
  CHECK(forecast_slot(room)->limited);
  room.wal_per_second = kMb;
  CHECK(forecast_slot(room)->text ==
        "holds back 3 GB; after 1 GB more the primary removes WAL that is not captured yet, at 1 MB/s of "
        "WAL in about 17 min");
  room.slot.safe_wal_size_bytes = -5;
  CHECK(forecast_slot(room)->text ==
        "holds back 3 GB; after 0 B more the primary removes WAL that is not captured yet, at 1 MB/s of "
        "WAL "
        "in about 0 s");
  room.slot.safe_wal_size_bytes = 500 * kGb;
  CHECK_FALSE(forecast_slot(room)->urgent);
}

TEST_CASE("slot: without a limit the primary's disk ends it, where that can be seen") {
  SlotRoom room = idle_slot(3 * kGb);
  room.wal_per_second = kMb;
  CHECK(forecast_slot(room)->text ==
        "holds back 3 GB on the primary, whose disk cannot be seen from here; it grows by 3.5 GB an hour");
  CHECK(forecast_slot(room)->urgent);
  room.wal_disk = DiskSpace{100 * kGb, 10 * kGb};
  CHECK(forecast_slot(room)->text ==
        "holds back 3 GB; after 10 GB more the primary's disk is full and it stops, at 1 MB/s of WAL in "
        "about 3 h");
  CHECK(forecast_slot(room)->urgent);
  CHECK_FALSE(forecast_slot(room)->limited);
}

TEST_CASE("slot: one that is used and far behind is foreseen too") {
  SlotRoom room = idle_slot(kGb);
  room.slot.active = true;
  room.slot.safe_wal_size_bytes = 500 * kMb;
  room.wal_per_second = 10 * kMb;
  CHECK(forecast_slot(room)->urgent);
}
