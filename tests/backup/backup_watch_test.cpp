#include "backup/backup_watch.h"

#include <doctest/doctest.h>

using namespace walback;
using namespace std::chrono_literals;
using Verdict = BackupWatch::Verdict;

namespace {

constexpr std::int64_t kSecond = 1'000'000;
constexpr const char* kStreaming = "streaming database files";
constexpr const char* kCheckpoint = "waiting for checkpoint to finish";
constexpr const char* kArchiving = "waiting for wal archiving to finish";

BaseBackupProgress at(const std::string& phase, std::uint64_t bytes) {
  BaseBackupProgress progress;
  progress.phase = phase;
  progress.streamed_bytes = bytes;
  progress.total_bytes = 1000;
  return progress;
}

/// The second of the first verdict that ends it, or -1.
template <class Make>
std::int64_t first_end(BackupWatch& watch, std::int64_t from, std::int64_t to, bool seen, const Make& make) {
  for (std::int64_t second = from; second < to; ++second) {
    if (watch.observe(second * kSecond, seen, make(second)) != Verdict::go_on) return second;
  }
  return -1;
}

}  // namespace

TEST_CASE("backup watch: 60 s of waiting for the archiver are enough") {
  BackupWatch watch(60s);
  CHECK(watch.observe(0, true, at(kStreaming, 1000)) == Verdict::go_on);
  CHECK(first_end(watch, 1, 1000, true, [](auto) { return at(kArchiving, 1000); }) == 61);
  CHECK(watch.observe(62 * kSecond, true, at(kArchiving, 1000)) == Verdict::archiver_stuck);
}

TEST_CASE("backup watch: an archiver that succeeds in time ends the wait") {
  BackupWatch watch(60s);
  CHECK(first_end(watch, 0, 59, true, [](auto) { return at(kArchiving, 1000); }) == -1);
  watch.note_line("pg_basebackup: syncing data to disk ...");
  CHECK(first_end(watch, 59, 5000, true, [](auto) { return std::nullopt; }) == -1);
  CHECK(watch.shown().detail == "syncing to disk");
}

TEST_CASE("backup watch: a spread checkpoint may take as long as the primary says that it does") {
  BackupWatch watch(60s);
  CHECK(first_end(watch, 0, 10'000, true, [](auto) { return at(kCheckpoint, 0); }) == -1);
}

TEST_CASE("backup watch: bytes that move are a sign of life, bytes that stand for 300 s are not") {
  BackupWatch watch(60s);
  CHECK(first_end(watch, 0, 2000, true,
                  [](auto second) { return at(kStreaming, static_cast<std::uint64_t>(second)); }) == -1);
  CHECK(first_end(watch, 2000, 9000, true, [](auto) { return at(kStreaming, 1999); }) == 2299);
}

TEST_CASE(
    "backup watch: a primary that no longer answers is given 300 s, unless pg_basebackup still receives") {
  BackupWatch silent(60s);
  CHECK(first_end(silent, 0, 1000, false, [](auto) { return std::nullopt; }) == 300);
  BackupWatch busy(60s);
  for (std::int64_t second = 0; second < 1000; ++second) {
    busy.note_line("147133/147133 kB (100%), 0/1 tablespace (/a/global/pg_control )");
    CHECK(busy.observe(second * kSecond, false, std::nullopt) == Verdict::go_on);
  }
}

TEST_CASE("backup watch: pg_basebackup's complaint, in one line, and what kind it is") {
  BackupWatch watch(60s);
  watch.note_line("pg_basebackup: initiating base backup, waiting for checkpoint to complete");
  watch.note_line("NOTICE:  WAL archiving is not enabled");
  CHECK(watch.complaint().empty());
  watch.note_line(
      "pg_basebackup: error: could not read COPY data: server closed the connection unexpectedly");
  watch.note_line("\tThis probably means the server terminated abnormally");
  watch.note_line("\tbefore or while processing the request.");
  watch.note_line("pg_basebackup: removing contents of data directory \"/x\"");
  CHECK(watch.complaint() ==
        "could not read COPY data: server closed the connection unexpectedly This probably means the server "
        "terminated abnormally before or while processing the request.");
  CHECK(watch.complaint_kind() == ErrorKind::unreachable);
  BackupWatch full(60s);
  full.note_line("pg_basebackup: error: could not write to file \"/x/base/1\": No space left on device");
  CHECK(full.complaint_kind() == ErrorKind::disk_full);
  BackupWatch refused(60s);
  refused.note_line(
      "pg_basebackup: error: connection to server at \"127.0.0.1\" failed: FATAL:  no pg_hba.conf entry for "
      "replication connection");
  CHECK(refused.complaint_kind() == ErrorKind::config);
}

TEST_CASE("backup watch: what a person is shown") {
  BackupWatch watch(60s);
  CHECK(watch.shown().detail == "starting");
  CHECK(watch.observe(0, true, at(kStreaming, 250)) == Verdict::go_on);
  CHECK(watch.shown().phase == "base backup");
  CHECK(watch.shown().done == 250);
  CHECK(watch.shown().total == 1000);
  CHECK(watch.shown().detail.empty());
}
