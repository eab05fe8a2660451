/// The real walback-fetch, every exit code of it.
#include <doctest/doctest.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "base/spool.h"
#include "os/process.h"
#include "support/temporary_directory.h"

using namespace walback;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t kSegmentBytes = 1U << 20;
const std::string kOne = "000000010000000000000001";
const std::string kTwo = "000000010000000000000002";
const std::string kHint =
    "\nhint: The restore stops here; its own log says why. Run it again: it begins anew.\n";

/// A spool and the pg_wal that it serves.
struct Spool {
  TemporaryDirectory directory;
  FileSystem& files = real_file_system();
  Path root = directory.path() / "spool";
  Path pg_wal = directory.path() / "data/pg_wal";
  Path destination = pg_wal / "RECOVERYXLOG";

  Spool() {
    for (const char* folder : {spool::kReady, spool::kServed}) {
      REQUIRE(files.create_directories(root / folder));
    }
    REQUIRE(files.create_directories(pg_wal));
    write_plan("segment " + kOne + "\nsegment " + kTwo + "\nhistory 00000002.history\n");
  }

  void write_plan(const std::string& lines, const std::string& timeout = "200") {
    REQUIRE(files.write(root / spool::kPlan, "segment_size 1048576\ntimeout_ms " + timeout + "\n" + lines));
  }
  void place(const std::string& name, std::string content = std::string(kSegmentBytes, 'w')) {
    REQUIRE(publish(files, root / spool::kReady / name, content));
  }
  /// As the server's startup process does with what it got.
  void keep(const std::string& name) { REQUIRE(files.rename(destination, pg_wal / name)); }

  Output fetch(const std::string& name) {
    return run({.program = WALBACK_FETCH,
                .arguments = {root, name, "pg_wal/RECOVERYXLOG"},
                .working_directory = pg_wal.parent_path()},
               20s)
        .value();
  }
};

void check(const Output& output, int code, const std::string& message = "") {
  CHECK(output.status.code == code);
  CHECK(output.status.signal == 0);
  CHECK(output.out.empty());
  CHECK(output.err == (message.empty() ? "" : "walback-fetch: " + message + kHint));
}

}  // namespace

TEST_CASE("fetch: a placed segment is renamed to its destination and marked as served") {
  Spool spool;
  spool.place(kOne);
  check(spool.fetch(kOne), 0);
  CHECK(spool.files.stat(spool.destination)->size_bytes == kSegmentBytes);
  CHECK_FALSE(exists(spool.files, spool.root / "ready" / kOne));
  CHECK(spool.files.stat(spool.root / "served" / kOne)->size_bytes == 0);
  CHECK(spool.files.read(spool.root / "wanted") == kOne + "\n");
}

TEST_CASE("fetch: a history file is copied, as often as it is asked for") {
  Spool spool;
  spool.place("00000002.history", "1\t0/3000000\tno recovery target specified\n");
  for (int i = 0; i < 2; ++i) {
    check(spool.fetch("00000002.history"), 0);
    CHECK(spool.files.read(spool.destination) == "1\t0/3000000\tno recovery target specified\n");
    REQUIRE(spool.files.remove(spool.destination));
  }
}

TEST_CASE("fetch: what the plan does not have is absent, even where it lies ready") {
  Spool spool;
  spool.place("000000010000000000000003");
  check(spool.fetch("000000010000000000000003"), 1);
  check(spool.fetch("000000020000000000000001"), 1);
  check(spool.fetch("00000003.history"), 1);
  CHECK_FALSE(exists(spool.files, spool.destination));
}

TEST_CASE("fetch: a segment asked for again is absent once PostgreSQL has it in pg_wal") {
  Spool spool;
  spool.place(kOne);
  check(spool.fetch(kOne), 0);
  spool.keep(kOne);
  check(spool.fetch(kOne), 1);
}

TEST_CASE("fetch: a segment that was handed out and is nowhere stops recovery instead of ending it") {
  Spool spool;
  spool.place(kOne);
  check(spool.fetch(kOne), 0);
  REQUIRE(spool.files.remove(spool.destination));
  check(spool.fetch(kOne), 200,
        "segment '" + kOne + "' was handed out before, but 'pg_wal/" + kOne + "' is not there");
}

TEST_CASE("fetch: killed between marker and rename, it serves when asked again") {
  Spool spool;
  spool.place(kOne);
  REQUIRE(spool.files.write(spool.root / "served" / kOne, ""));
  check(spool.fetch(kOne), 0);
  CHECK(spool.files.stat(spool.destination)->size_bytes == kSegmentBytes);
}

TEST_CASE("fetch: killed while it waits, nothing has changed and the next one is served") {
  Spool spool;
  spool.write_plan("segment " + kOne + "\n", "60000");
  auto waiting = real_processes().spawn(
      {.program = WALBACK_FETCH, .arguments = {spool.root, kOne, spool.destination}}, {});
  REQUIRE(waiting.has_value());
  while (!exists(spool.files, spool.root / "wanted")) std::this_thread::sleep_for(1ms);
  (*waiting)->kill(SIGKILL);
  CHECK((*waiting)->wait(10s)->signal == SIGKILL);
  CHECK_FALSE(exists(spool.files, spool.root / "served" / kOne));
  spool.place(kOne);
  check(spool.fetch(kOne), 0);
}

TEST_CASE("fetch: it waits for a planned segment, and sees it soon") {
  Spool spool;
  spool.write_plan("segment " + kOne + "\n", "20000");
  std::jthread feeder([&] {
    while (!exists(spool.files, spool.root / "wanted")) std::this_thread::sleep_for(1ms);
    spool.place(kOne);
  });
  const auto begin = std::chrono::steady_clock::now();
  check(spool.fetch(kOne), 0);
  CHECK(std::chrono::steady_clock::now() - begin < 10s);
}

TEST_CASE("fetch: the wait is bounded") {
  Spool spool;
  check(spool.fetch(kTwo), 200,
        "'" + kTwo + "' is planned but was not placed in '" + (spool.root / "ready" / kTwo).string() +
            "' within 200 ms");
  check(spool.fetch("00000002.history"), 200,
        "'00000002.history' is planned but was not placed in '" +
            (spool.root / "ready/00000002.history").string() + "' within 200 ms");
}

TEST_CASE("fetch: a feeder that failed is heard at once, before and during the wait") {
  Spool spool;
  spool.write_plan("segment " + kOne + "\n", "60000");
  std::jthread feeder([&] {
    while (!exists(spool.files, spool.root / "wanted")) std::this_thread::sleep_for(1ms);
    REQUIRE(publish(spool.files, spool.root / "failed", "no room left\nmore"));
  });
  check(spool.fetch(kOne), 200, "'" + kOne + "' will not come, the restore failed: no room left");
  spool.place(kOne);
  check(spool.fetch(kOne), 200, "'" + kOne + "' will not come, the restore failed: no room left");
}

TEST_CASE("fetch: a segment of the wrong size, or that is no file, is refused") {
  Spool spool;
  spool.place(kOne, "short");
  check(spool.fetch(kOne), 200, "segment '" + kOne + "' in the spool has 5 bytes, expected 1048576");
  CHECK_FALSE(exists(spool.files, spool.root / "served" / kOne));
  REQUIRE(spool.files.create_directories(spool.root / "ready" / kTwo));
  check(spool.fetch(kTwo), 200, "'" + (spool.root / "ready" / kTwo).string() + "' is not a regular file");
}

TEST_CASE("fetch: a rename that fails is told, and the segment is still there for the next time") {
  Spool spool;
  spool.place(kOne);
  REQUIRE(spool.files.create_directories(spool.destination));
  check(spool.fetch(kOne), 200,
        "cannot rename '" + (spool.root / "ready" / kOne).string() +
            "' to 'pg_wal/RECOVERYXLOG': Is a directory");
  REQUIRE(spool.files.remove(spool.destination));
  check(spool.fetch(kOne), 0);
}

TEST_CASE("fetch: a broken plan stops recovery") {
  Spool spool;
  const Path plan = spool.root / "plan";
  const std::string at = "'" + plan.string() + "'";
  REQUIRE(spool.files.write(plan, ""));
  check(spool.fetch(kOne), 200, "the plan " + at + " is empty");
  REQUIRE(spool.files.write(plan, "segment_size 1048576\ntimeout_ms 200\nsegment 0000"));
  check(spool.fetch(kOne), 200, "the plan " + at + " ends in the middle of a line");
  REQUIRE(spool.files.write(plan, "timeout_ms 200\nsegment " + kOne + "\n"));
  check(spool.fetch(kOne), 200,
        "the plan " + at + " has no valid line 'segment_size': expected a number from 1048576 to 1073741824");
  REQUIRE(spool.files.write(plan, "timeout_ms soon\nsegment_size 1048576\nsegment " + kOne + "\n"));
  check(spool.fetch(kOne), 200,
        "the plan " + at + " has no valid line 'timeout_ms': expected a number from 0 to 2147483647");
  REQUIRE(spool.files.remove(plan));
  check(spool.fetch(kOne), 200, "cannot open the plan " + at + ": No such file or directory");
}

TEST_CASE("fetch: bad arguments stop recovery") {
  Spool spool;
  const auto none = run({.program = WALBACK_FETCH}, 10s);
  REQUIRE(none.has_value());
  CHECK(none->status.code == 200);
  CHECK(none->err ==
        "walback-fetch: found 0 arguments, expected 3: SPOOL NAME DESTINATION\n"
        "hint: It is PostgreSQL's restore_command in a restore: walback-fetch SPOOL %f %p\n");
  for (const char* name : {"../plan", "00000001000000000000000a", "000000010000000000000001.partial", ""}) {
    const Output output = spool.fetch(name);
    CHECK(output.status.code == 200);
    CHECK(output.err ==
          "walback-fetch: '" + std::string(name) +
              "' is neither the name of a WAL segment nor of a history file\n"
              "hint: It is PostgreSQL's restore_command in a restore: walback-fetch SPOOL %f %p\n");
  }
}

TEST_CASE("fetch: 100,000 planned segments, found at the start, in the middle and at the end, fast") {
  Spool spool;
  std::string lines;
  std::vector<std::string> names;
  for (int i = 0; i < 100'000; ++i) {
    char name[25];
    std::snprintf(name, sizeof name, "00000001%08X%08X", i / 256, i % 256);
    names.emplace_back(name);
    lines += "segment " + names.back() + "\n";
  }
  spool.write_plan(lines);
  for (const std::size_t i : {0, 50'000, 99'999}) {
    spool.place(names[i]);
    const auto begin = std::chrono::steady_clock::now();
    check(spool.fetch(names[i]), 0);
    const auto took = std::chrono::steady_clock::now() - begin;
    CHECK(took < 1s);  // a few milliseconds; the bound is for a machine that is busy
    MESSAGE("walback-fetch with a plan of 100,000: ",
            std::chrono::duration_cast<std::chrono::microseconds>(took).count(),
            " us, start and end included");
    REQUIRE(spool.files.remove(spool.destination));
  }
  check(spool.fetch("0000000100000FFF00000001"), 1);
}
