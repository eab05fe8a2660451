#include "support/every_fault.h"

#include <doctest/doctest.h>

using namespace walback;
using namespace walback::test;

namespace {

const std::string kOld(1000, 'o'), kNew(3000, 'n');

void old_status(MemoryFileSystem& disk) {
  REQUIRE(disk.create_directories("/archive"));
  REQUIRE(disk.write("/archive/status", kOld));
}

}  // namespace

TEST_CASE("publish: killed, full or without power at any of its changes, old or new, whole; done, new") {
  int seen_new = 0;
  const int runs = at_every_change(
      old_status, [](FileSystem& files) { return publish(files, "/archive/status", kNew); },
      [&](const FaultedRun& run) {
        const auto found = run.disk.read("/archive/status");
        REQUIRE(found);
        CHECK((*found == kOld || *found == kNew));
        if (run.acknowledged) CHECK(*found == kNew);
        if (*found == kNew) ++seen_new;
        CHECK(publish(run.disk, "/archive/status", "next"));
        CHECK(run.disk.read("/archive/status") == "next");
      });
  CHECK(runs > 300);
  CHECK(seen_new > 50);
}

TEST_CASE("publish: of a file that was not there, nothing or the whole") {
  at_every_change([](MemoryFileSystem& disk) { REQUIRE(disk.create_directories("/archive")); },
                  [](FileSystem& files) { return publish(files, "/archive/status", kNew); },
                  [&](const FaultedRun& run) {
                    const auto found = run.disk.read("/archive/status");
                    if (found) CHECK(*found == kNew);
                    CHECK((found || !run.acknowledged));
                  });
}

TEST_CASE("the judge notices a publish that leaves a step out") {
  for (const bool without_file : {true, false}) {
    CAPTURE(without_file);
    int lost = 0;
    at_every_change(
        old_status,
        [&](FileSystem& files) -> Status {
          TRY(files.write("/archive/status.tmp", kNew));
          if (!without_file) TRY(files.sync_file("/archive/status.tmp"));
          TRY(files.rename("/archive/status.tmp", "/archive/status"));
          return without_file ? files.sync_directory("/archive") : Status{};
        },
        [&](const FaultedRun& run) {
          const auto found = run.disk.read("/archive/status");
          if (!found || (*found != kOld && *found != kNew) || (run.acknowledged && *found != kNew)) ++lost;
        });
    CHECK(lost > 0);
  }
}
