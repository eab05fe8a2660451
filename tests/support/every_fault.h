#pragma once
#include <doctest/doctest.h>

#include <functional>
#include <string>

#include "support/faulty_file_system.h"
#include "support/memory_file_system.h"

namespace walback::test {

/// What one run of at_every_change() came to.
struct FaultedRun {
  MemoryFileSystem& disk;  ///< as it is after the fault
  bool acknowledged;       ///< the work said that it was done
};

/// Does the same work again and again, each time on a fresh disk and with another fault at another of its
/// changes: killed there (with half a write), the power cut there (all unsynced lost, or as the dice fall),
/// the disk full there; and once without. After each, `check` looks at what is left. A fault that the work
/// does not report is a failure of the test. Returns how many runs it were.
template <class Prepare, class Work, class Check>
int at_every_change(const Prepare& prepare, const Work& work, const Check& check) {
  constexpr int kDice = 40, kMostChanges = 100;
  int runs = 0;
  const auto run = [&](int change, bool full, bool cut, int dice) {
    MemoryFileSystem disk;
    prepare(disk);
    disk.settle();
    FaultyFileSystem files(disk);
    files.stay_dead();
    if (full) {
      files.fail_at("*", "", {ErrorKind::disk_full, "no room", ""}, change);
    } else {
      files.kill_at("*", "", change, /*half=*/dice % 2 == 1);
    }
    bool acknowledged = false, killed = false;
    try {
      const Status done = work(files);
      acknowledged = done.has_value();
    } catch (const Killed&) {
      killed = true;
    }
    const bool met = killed || static_cast<int>(files.changes().size()) >= change;
    if (cut && dice == 0) disk.power_cut();
    if (cut && dice != 0) disk.power_cut(static_cast<std::uint64_t>(change * 1000 + dice));
    CAPTURE(change);
    CAPTURE(full);
    CAPTURE(cut);
    CAPTURE(dice);
    CHECK(acknowledged == !met);
    check(FaultedRun{disk, acknowledged});
    ++runs;
    return met;
  };
  for (int change = 1;; ++change) {
    REQUIRE(change < kMostChanges);
    bool met = false;
    for (const bool full : {false, true}) {
      for (int dice = 0; dice < 2; ++dice) met = run(change, full, false, dice);
      for (int dice = 0; dice < kDice; ++dice) run(change, full, true, dice);
    }
    if (!met) return runs;
  }
}

}  // namespace walback::test
