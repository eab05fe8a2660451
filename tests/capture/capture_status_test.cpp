#include "capture/capture_status.h"

#include <doctest/doctest.h>

#include "support/fake_clock.h"
#include "support/faulty_file_system.h"
#include "support/memory_file_system.h"

using namespace walback;

namespace {

CaptureStatus full() {
  CaptureStatus status;
  status.state = CaptureState::streaming;
  status.pid = 100;
  status.receivewal_pid = 101;
  status.started_at = {1'795'168'800'000'001};
  status.updated_at = {1'795'168'801'500'000};
  status.updated_monotonic_us = 42'000'000;
  status.slot = "walback";
  status.epoch = 2;
  status.host = "db2:5432";
  status.timeline = 3;
  status.system_identifier = 18'446'744'073'709'551'615ULL;
  status.synchronous = false;
  status.held_lsn = Lsn{0x16B374D848};
  status.durable_lsn = Lsn{0x16B0000000};
  status.primary_flush_lsn = Lsn{0x16B374D900};
  status.primary_seen_at = Timestamp{1'795'168'801'000'000};
  status.disk_available_bytes = 5'000'000'000;
  status.disk_reserve_bytes = 64U << 20;
  status.wal_bytes_per_second = 12'000'000;
  status.restarts = 3;
  status.last_error = "pg_receivewal: error: \"disconnected\"";
  return status;
}

}  // namespace

TEST_CASE("capture.status: what is written is what is read, each state and each missing value too") {
  CHECK(parse_capture_status(to_text(full()), "x").value() == full());
  for (const auto state : {CaptureState::starting, CaptureState::streaming, CaptureState::waiting,
                           CaptureState::disk_full, CaptureState::stopped}) {
    CaptureStatus status;
    status.state = state;
    CHECK(parse_capture_status(to_text(status), "x").value() == status);
  }
}

TEST_CASE("capture.status: silence is measured with the clock that nobody sets") {
  FakeClock clock;
  CaptureStatus status = full();
  status.updated_at = clock.now();
  status.updated_monotonic_us = clock.monotonic_us();
  for (const std::int64_t hours : {1, -1}) {
    clock.set({clock.now().unix_us + hours * 3'600'000'000});
    CHECK_FALSE(is_silent(status, clock));
  }
  clock.advance(kCaptureSilence);
  CHECK_FALSE(is_silent(status, clock));
  clock.set({status.updated_at.unix_us});
  clock.advance(std::chrono::milliseconds(1));
  CHECK(is_silent(status, clock));
  // Of another boot.
  status.updated_monotonic_us = clock.monotonic_us() + 1;
  CHECK(is_silent(status, clock));
}

TEST_CASE("capture.status: LSNs and times stand in it as in every answer of walback") {
  const auto text = to_text(full());
  CHECK(text.find("\"held_lsn\": \"16/B374D848\"") != std::string::npos);
  CHECK(text.find("\"updated_at\": \"2026-11-20T10:00:01.500000Z\"") != std::string::npos);
}

TEST_CASE("capture.status: damage is an error that names the file and the key, never a crash") {
  const auto text = to_text(full());
  for (std::size_t length = 0; length < text.size() - 2; ++length) {
    CHECK(parse_capture_status(text.substr(0, length), "capture.status").error().kind == ErrorKind::corrupt);
  }
  CHECK(parse_capture_status("{\"state\":\"dancing\"}", "capture.status").error() ==
        Error{ErrorKind::corrupt, "capture.status: no valid 'state'",
              "The capturer writes this file anew every second. Is it running?"});
}

TEST_CASE("capture.status: replaced whole or not at all; none where no capturer ran") {
  MemoryFileSystem memory;
  FaultyFileSystem files(memory);
  const ArchiveLayout archive{"/archive"};
  REQUIRE(files.create_directories("/archive"));
  CHECK(read_capture_status(files, archive).error().kind == ErrorKind::not_found);
  REQUIRE(write_capture_status(files, archive, full()));
  auto later = full();
  later.restarts = 4;
  files.fail_at("write", ".tmp", {ErrorKind::disk_full, "no room", ""});
  CHECK_FALSE(write_capture_status(files, archive, later));
  CHECK(read_capture_status(files, archive).value() == full());
  REQUIRE(write_capture_status(files, archive, later));
  CHECK(read_capture_status(files, archive).value() == later);
}
