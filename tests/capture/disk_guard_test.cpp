#include "capture/disk_guard.h"

#include <doctest/doctest.h>

#include "support/fake_clock.h"
#include "support/faulty_file_system.h"
#include "support/memory_file_system.h"
#include "support/recording_log.h"
#include "support/scripted_processes.h"

using namespace walback;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kMb = 1U << 20;

/// A disk of 40 MB for an archive that keeps 8 MB in reserve.
struct SmallDisk {
  SmallDisk() {
    REQUIRE(memory.create_directories(archive.wal()));
    memory.set_capacity(40 * kMb);
  }
  /// A second later, with so many MB used.
  void used_mb(std::uint64_t megabytes) {
    REQUIRE(memory.write("/filler", std::string(megabytes * kMb, 'x')));
    clock.advance(1s);
    guard.look(status);
  }

  ArchiveLayout archive{"/archive"};
  MemoryFileSystem memory;
  FaultyFileSystem files{memory};
  FakeClock clock;
  RecordingLog log;
  ScriptedProcesses processes;
  CaptureSetup setup{.archive = archive,
                     .conninfo = "host=a",
                     .slot = "walback",
                     .pg_receivewal = "/bin/pg_receivewal",
                     .files = files,
                     .processes = processes,
                     .clock = clock,
                     .log = log,
                     .reserve_mb = 8};
  DiskGuard guard{setup, *SegmentSize::from_bytes(kMb)};
  CaptureStatus status;
};

}  // namespace

TEST_CASE("disk guard: warns, pauses at the reserve, and goes on with half of it more; each said once") {
  SmallDisk disk;
  disk.used_mb(1);
  CHECK_FALSE(disk.guard.full());
  CHECK(disk.log.count("disk_") == 0);
  disk.used_mb(20);
  CHECK(disk.log.count("WARN capture disk_nearly_full") == 1);
  disk.used_mb(31);
  CHECK(disk.log.count("WARN capture disk_nearly_full") == 1);
  CHECK_FALSE(disk.guard.full());
  disk.used_mb(33);
  CHECK(disk.guard.full());
  CHECK(disk.status.last_error == "the archive's disk has 7 MB free, less than the reserve of 8 MB");
  CHECK(disk.status.disk_available_bytes == 7 * kMb);
  CHECK(disk.status.disk_reserve_bytes == 8 * kMb);
  for (const std::uint64_t megabytes : {32, 31, 29}) {
    disk.used_mb(megabytes);
    CHECK(disk.guard.full());
  }
  CHECK(disk.log.count("ERROR capture disk_full") == 1);
  CHECK(disk.log.count("disk_has_room") == 0);
  disk.used_mb(28);
  CHECK_FALSE(disk.guard.full());
  CHECK(disk.log.count("INFO capture disk_has_room") == 1);
}

TEST_CASE("disk guard: the forecast is of the WAL that the primary writes") {
  SmallDisk disk;
  for (std::uint64_t second = 0; second <= 60; ++second) {
    disk.status.primary_flush_lsn = Lsn{second * kMb};
    disk.used_mb(2);
  }
  CHECK(disk.status.wal_bytes_per_second == kMb);
  CHECK(disk.log.contains(
      "disk=\"38 MB free; at 1 MB/s of WAL the reserve of 8 MB is reached in about 30 s\""));
}

TEST_CASE("disk guard: a disk that cannot be measured pauses nothing") {
  SmallDisk disk;
  disk.used_mb(33);
  REQUIRE(disk.guard.full());
  disk.files.fail_at("space", "", {ErrorKind::internal, "cannot ask", ""});
  disk.used_mb(1);
  CHECK(disk.guard.full());
  CHECK(disk.log.count("WARN capture disk_not_measured") == 1);
  disk.used_mb(1);
  CHECK_FALSE(disk.guard.full());
}
