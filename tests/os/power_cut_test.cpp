/// The doubles themselves, and what publish() promises when the power goes at any instant.
#include <doctest/doctest.h>

#include "support/faulty_file_system.h"
#include "support/memory_file_system.h"
#include "support/temporary_directory.h"

using namespace walback;

TEST_CASE("memory file system: a power cut keeps what was synced, names and contents apart") {
  MemoryFileSystem files;
  REQUIRE(files.create_directories("/d"));
  REQUIRE(files.sync_directory("/"));
  REQUIRE(files.write("/d/nothing", "x"));
  REQUIRE(files.write("/d/content", "x"));
  REQUIRE(files.sync_file("/d/content"));
  REQUIRE(files.write("/d/name", "x"));
  REQUIRE(files.append_durably("/d/journal", "line\n"));
  files.power_cut();
  CHECK(files.files() == std::vector<std::string>{"/d/journal"});
  REQUIRE(files.write("/d/name", "x"));
  REQUIRE(files.write("/d/both", "x"));
  REQUIRE(files.sync_file("/d/both"));
  REQUIRE(files.sync_directory("/d"));
  REQUIRE(files.write("/d/both", "overwritten"));
  REQUIRE(files.remove("/d/journal"));
  files.power_cut();
  CHECK(files.read("/d/both") == "x");
  CHECK(files.read("/d/name") == "");
  CHECK(files.read("/d/journal") == "line\n");
}

TEST_CASE("memory file system: a rename is lost without the directory's sync, and kept with it") {
  MemoryFileSystem files;
  REQUIRE(files.write("/old", "x"));
  files.settle();
  REQUIRE(files.rename("/old", "/new"));
  files.power_cut();
  CHECK(files.files() == std::vector<std::string>{"/old"});
  REQUIRE(files.rename("/old", "/new"));
  REQUIRE(files.sync_directory("/"));
  files.power_cut();
  CHECK(files.files() == std::vector<std::string>{"/new"});
}

TEST_CASE("memory file system: a full disk is disk_full with a hint, and an append to it changes nothing") {
  MemoryFileSystem files;
  REQUIRE(files.append_durably("/journal", "1234567\n"));
  files.set_capacity(10);
  const auto appended = files.append_durably("/journal", "8901234\n");
  REQUIRE_FALSE(appended.has_value());
  CHECK(appended.error() ==
        Error{ErrorKind::disk_full, "cannot append to '/journal': no space left on device",
              "Make room on the file system that holds '/', then run the same command again."});
  CHECK(files.read("/journal") == "1234567\n");
  CHECK(files.space("/")->available_bytes == 2);
}

TEST_CASE("faulty file system: fails at the chosen call alone, kills, and leaves half a line") {
  MemoryFileSystem memory;
  FaultyFileSystem files(memory);
  const Error full{ErrorKind::disk_full, "no room", ""};
  files.fail_at("write", ".partial", full, 2);
  CHECK(files.write("/a.partial", "1"));
  CHECK(files.write("/other", "1"));
  CHECK(files.write("/b.partial", "1") == tl::unexpected<Error>(full));
  CHECK(files.write("/b.partial", "1"));
  files.kill_at("append_durably", "journal", 1, true);
  CHECK_THROWS_AS(static_cast<void>(files.append_durably("/journal", "12345678")), Killed);
  CHECK(memory.read("/journal") == "1234");
  files.kill_at("read", "");
  CHECK_THROWS_AS(static_cast<void>(files.read("/journal")), Killed);
  files.fail_at("*", "", full);
  files.heal();
  CHECK(files.rename("/journal", "/renamed"));
  CHECK(files.changes() == std::vector<std::string>{"write /a.partial", "write /other", "write /b.partial",
                                                    "write /b.partial", "append_durably /journal",
                                                    "rename /renamed"});
}

TEST_CASE("publish: power cut before each of its steps, old or new, whole; after it, new") {
  constexpr int kSteps = 4;
  const std::string old_content(1000, 'o');
  const std::string new_content(3000, 'n');
  int seen_old = 0;
  int seen_new = 0;
  for (int step = 1; step <= kSteps + 1; ++step) {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
      MemoryFileSystem memory;
      REQUIRE(memory.create_directories("/archive"));
      REQUIRE(memory.write("/archive/status", old_content));
      memory.settle();
      FaultyFileSystem files(memory);
      files.kill_at("*", "", step, seed % 2 == 1);
      bool killed = false;
      try {
        const Status published = publish(files, "/archive/status", new_content);
        CHECK(published);  // not inside: doctest would catch the kill
      } catch (const Killed&) {
        killed = true;
      }
      CHECK(killed == (step <= kSteps));
      if (seed == 0) {
        memory.power_cut();
      } else {
        memory.power_cut(seed);
      }
      const auto found = memory.read("/archive/status");
      REQUIRE(found.has_value());
      const bool is_new = *found == new_content;
      CHECK((is_new || *found == old_content));
      if (!killed) CHECK(is_new);
      ++(is_new ? seen_new : seen_old);
      // And the next publish is not disturbed by what lies about.
      CHECK(publish(memory, "/archive/status", "next"));
      CHECK(memory.read("/archive/status") == "next");
    }
  }
  CHECK(seen_old > 0);
  CHECK(seen_new > 200);
}

TEST_CASE("publish: the oracle notices a publish without fsync") {
  int torn = 0;
  for (std::uint64_t seed = 1; seed < 100; ++seed) {
    MemoryFileSystem files;
    REQUIRE(files.write("/status", "old"));
    files.settle();
    REQUIRE(files.write("/status.tmp", "new content"));
    REQUIRE(files.rename("/status.tmp", "/status"));
    files.power_cut(seed);
    const auto found = files.read("/status");
    if (!found || (*found != "old" && *found != "new content")) ++torn;
  }
  CHECK(torn > 0);
}

TEST_CASE("publish: a failure of any step is told and leaves the old content") {
  for (const char* step : {"write", "sync_file", "rename"}) {
    CAPTURE(step);
    MemoryFileSystem memory;
    REQUIRE(memory.write("/status", "old"));
    FaultyFileSystem files(memory);
    const Error error{ErrorKind::disk_full, "no room", ""};
    files.fail_at(step, "", error);
    CHECK(publish(files, "/status", "new") == tl::unexpected<Error>(error));
    CHECK(memory.read("/status") == "old");
  }
}

TEST_CASE("publish and append: a name without a directory is in the present one") {
  const TemporaryDirectory directory;
  const Path former = std::filesystem::current_path();
  std::filesystem::current_path(directory.path());
  CHECK(publish(real_file_system(), "status", "x"));
  CHECK(real_file_system().append_durably("ledger", "x\n"));
  CHECK(real_file_system().create_directories("a/b"));
  std::filesystem::current_path(former);
  CHECK(real_file_system().list(directory.path())->size() == 3);
}
