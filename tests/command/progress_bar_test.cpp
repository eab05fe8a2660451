#include "command/progress_bar.h"

#include <doctest/doctest.h>

#include "command/restart_pause.h"

using namespace walback;
using std::chrono::milliseconds;
using std::chrono::minutes;

TEST_CASE("progress bar: share, bytes and detail") {
  CHECK(render_progress({"replay", 1ULL << 30, 2ULL << 30, "segment 72 of 128"}, 200) ==
        "replay  [##########..........]  50 %  1 GB of 2 GB, segment 72 of 128");
  CHECK(render_progress({"base backup", 0, 16U << 20, ""}, 200) ==
        "base backup  [....................]   0 %  0 B of 16 MB");
}

TEST_CASE("progress bar: a total that turned out too small is full, not fuller") {
  CHECK(render_progress({"base backup", 3000, 1000, ""}, 200).find("[####################] 100 %") !=
        std::string::npos);
}

TEST_CASE("progress bar: no total, no bar") {
  CHECK(render_progress({"verifying", 0, 0, "pg_verifybackup reads every file"}, 200) ==
        "verifying  pg_verifybackup reads every file");
  CHECK(render_progress({"load", 0, 0, ""}, 200) == "load");
}

TEST_CASE("progress bar: a narrow terminal cuts the line, never a character") {
  CHECK(render_progress({"replay", 1, 2, "segment 72 of 128"}, 20) == "replay  [##########.");
  CHECK(render_progress({"r", 0, 0, "é"}, 4) == "r  ");
}

TEST_CASE("restart pause: doubles up to a minute, and begins anew after healthy minutes") {
  RestartPause pause;
  for (const int expected : {3, 6, 12, 24, 48, 60, 60})
    CHECK(pause.after(milliseconds(500)) == std::chrono::seconds(expected));
  CHECK(pause.after(minutes(1)) == std::chrono::seconds(60));
  CHECK(pause.after(minutes(2)) == std::chrono::seconds(3));
  CHECK(pause.after(milliseconds(0)) == std::chrono::seconds(6));
}
