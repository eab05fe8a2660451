#include "restore/feeder.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <chrono>
#include <thread>

#include "base/crc32c.h"
#include "base/spool.h"
#include "support/temporary_directory.h"

using namespace walback;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kSize = 1U << 20;

/// An archive with finished segments 2, 3, … of timeline 1 and, on demand, a `.partial`, on a real disk.
class World {
 public:
  World() {
    REQUIRE(files.create_directories(archive.wal() / "0001"));
    plan.timeline = {1};
  }

  FileSystem& files = real_file_system();
  TemporaryDirectory directory;
  ArchiveLayout archive{directory.path() / "archive"};
  RestorePlan plan{{1, *SegmentSize::from_bytes(kSize)}};
  Path spool = directory.path() / "spool";
  std::map<std::uint64_t, std::uint32_t> checksums;
  std::vector<std::string> damage;

  [[nodiscard]] std::string name(std::uint64_t number) const {
    return file_name({{1}, {number}}, plan.identity.segment_size);
  }
  [[nodiscard]] Path file(std::uint64_t number, const std::string& suffix = "") const {
    return archive.wal() / "0001" / (name(number) + suffix);
  }
  [[nodiscard]] static std::string content(std::uint64_t number, std::uint64_t size = kSize) {
    return std::string(size, static_cast<char>('a' + number % 26));
  }
  void finished(std::uint64_t first, std::uint64_t last) {
    for (auto number = first; number <= last; ++number) {
      REQUIRE(files.write(file(number), content(number)));
      checksums[number] = crc32c(content(number));
    }
    planned(first, last, SegmentState::finished);
  }
  void planned(std::uint64_t first, std::uint64_t last, SegmentState state) {
    plan.segments.push_back({{1}, {first}, {last}, 1, state});
    plan.segment_count += last - first + 1;
  }

  [[nodiscard]] std::unique_ptr<Feeder> feeder(std::uint64_t ahead = 64) {
    return std::make_unique<Feeder>(
        Feeder::Setup{.files = files,
                      .archive = archive,
                      .plan = plan,
                      .spool = spool,
                      .checksum_of = [this](const PlannedSegment& segment) -> std::optional<std::uint32_t> {
                        const auto found = checksums.find(segment.name.number.value);
                        return found == checksums.end() ? std::nullopt : std::optional(found->second);
                      },
                      .on_damage =
                          [this](const PlannedSegment& segment, const std::string& problem) {
                            damage.push_back(name(segment.name.number.value) + " " + problem);
                          },
                      .ahead = ahead});
  }

  [[nodiscard]] std::vector<std::string> ready() const {
    std::vector<std::string> names;
    const auto entries = files.list(spool / spool::kReady);
    REQUIRE(entries);
    for (const DirectoryEntry& entry : *entries) names.push_back(entry.name);
    return names;
  }
  /// As walback-fetch hands it out.
  void take(std::uint64_t number) {
    REQUIRE(files.write(spool / spool::kServed / name(number), ""));
    REQUIRE(files.rename(spool / spool::kReady / name(number), directory.path() / "taken"));
  }
};

template <class Condition>
bool soon(const Condition& condition) {
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(2ms);
  }
  return true;
}

/// The error with which it gave up, and the same words in the spool, whole.
Error failure_of(World& world) {
  const auto feeder = world.feeder();
  REQUIRE(feeder->start());
  REQUIRE(soon([&] { return feeder->failure().has_value(); }));
  REQUIRE(soon([&] { return exists(world.files, world.spool / spool::kFailed); }));
  CHECK(*world.files.read(world.spool / spool::kFailed) == feeder->failure()->message + "\n");
  return *feeder->failure();
}

const std::string kWithoutIt = "`walback plan` names what can be reached without it.";

}  // namespace

TEST_CASE("feeder: segments come whole and in order, as copies, a bounded number ahead") {
  World world;
  world.finished(2, 9);
  const auto feeder = world.feeder(3);
  REQUIRE(feeder->start());
  const std::vector<std::string> first{world.name(2), world.name(3), world.name(4)};
  REQUIRE(soon([&] { return world.ready() == first; }));
  std::this_thread::sleep_for(30ms);
  CHECK(world.ready() == first);
  CHECK(soon([&] { return feeder->served() == 0; }));
  CHECK(*world.files.read(world.spool / spool::kReady / world.name(3)) == World::content(3));
  struct stat copy {
  }, original{};
  REQUIRE(::stat((world.spool / spool::kReady / world.name(2)).c_str(), &copy) == 0);
  REQUIRE(::stat(world.file(2).c_str(), &original) == 0);
  CHECK(copy.st_ino != original.st_ino);
  CHECK(original.st_nlink == 1);

  world.take(2);
  REQUIRE(soon([&] { return world.ready() == std::vector{world.name(3), world.name(4), world.name(5)}; }));
  CHECK(soon([&] { return feeder->served() == 1; }));
  for (std::uint64_t number = 3; number <= 9; ++number) {
    REQUIRE(soon([&] { return exists(world.files, world.spool / spool::kReady / world.name(number)); }));
    world.take(number);
    // A segment is counted a moment after it was put into place.
    CHECK(soon([&] { return feeder->served() == number - 1; }));
  }
  CHECK_FALSE(feeder->failure());
  CHECK(*world.files.read(world.file(5)) == World::content(5));
}

TEST_CASE("feeder: how far ahead depends on the segments' size") {
  CHECK(segments_ahead(*SegmentSize::from_bytes(1U << 20)) == 64);
  CHECK(segments_ahead(*SegmentSize::from_bytes(16U << 20)) == 64);
  CHECK(segments_ahead(*SegmentSize::from_bytes(64U << 20)) == 16);
  CHECK(segments_ahead(*SegmentSize::from_bytes(1U << 30)) == 2);
}

TEST_CASE("feeder: the plan in the spool, and every known history, not only the plan's") {
  World world;
  world.finished(2, 3);
  REQUIRE(world.files.create_directories(world.archive.wal() / "0002"));
  REQUIRE(world.files.write(world.archive.wal() / "0001" / "00000002.history", "1\t0/300\tno\n"));
  REQUIRE(world.files.write(world.archive.wal() / "0002" / "00000002.history", "1\t0/300\tno\n"));
  REQUIRE(world.files.write(world.archive.wal() / "0002" / "00000003.history", "2\t0/400\tno\n"));
  REQUIRE(world.files.write(world.archive.wal() / "a note", "not an epoch"));
  const auto feeder = world.feeder();
  REQUIRE(feeder->start());
  CHECK(*world.files.read(world.spool / spool::kPlan) ==
        "segment_size 1048576\ntimeout_ms 300000\nhistory 00000002.history\nhistory 00000003.history\n"
        "segment 000000010000000000000002\nsegment 000000010000000000000003\n");
  CHECK(*world.files.read(world.spool / spool::kReady / "00000003.history") == "2\t0/400\tno\n");
  REQUIRE(soon([&] { return world.ready().size() == 4; }));
  CHECK(soon([&] { return feeder->served() == 0; }));
  world.take(2);
  CHECK(feeder->served() == 1);
}

TEST_CASE("feeder: a changed segment ends the restore, by name") {
  World world;
  world.finished(2, 4);
  std::string bytes = World::content(3);
  bytes[4711] = 'X';
  REQUIRE(world.files.write(world.file(3), bytes));
  char sums[64];
  std::snprintf(sums, sizeof sums, "checksum %08x, expected %08x", crc32c(bytes), world.checksums[3]);
  const std::string problem = std::string("is not what was captured: ") + sums;
  CHECK(failure_of(world) == Error{ErrorKind::corrupt,
                                   "WAL segment '" + world.file(3).string() + "' " + problem,
                                   "The archive's disk changed it. " + kWithoutIt});
  CHECK(world.damage == std::vector{world.name(3) + " " + problem});
  CHECK(world.ready() == std::vector{world.name(2)});
}

TEST_CASE("feeder: a truncated segment is never padded") {
  World world;
  world.finished(2, 2);
  REQUIRE(world.files.write(world.file(2), World::content(2, 1000)));
  CHECK(failure_of(world) ==
        Error{ErrorKind::corrupt,
              "WAL segment '" + world.file(2).string() + "' has 1000 bytes, expected 1048576",
              "The archive's copy was cut. " + kWithoutIt});
  CHECK(world.ready().empty());
}

TEST_CASE("feeder: a missing segment is not the end of the archive") {
  World world;
  world.finished(2, 3);
  REQUIRE(world.files.remove(world.file(3)));
  CHECK(failure_of(world) ==
        Error{ErrorKind::not_found,
              "WAL segment '" + world.file(3).string() + "' is missing, and the plan needs it", kWithoutIt});
  CHECK(world.damage.empty());
}

TEST_CASE("feeder: the .partial goes out under its bare name and at full size, and stays where it is") {
  World world;
  world.finished(2, 2);
  world.planned(3, 3, SegmentState::open);
  REQUIRE(world.files.write(world.file(3, ".partial"), World::content(3, 5000)));
  const auto feeder = world.feeder();
  REQUIRE(feeder->start());
  REQUIRE(soon([&] { return world.ready().size() == 2; }));
  CHECK(*world.files.read(world.spool / spool::kReady / world.name(3)) ==
        World::content(3, 5000) + std::string(kSize - 5000, '\0'));
  CHECK(*world.files.read(world.file(3, ".partial")) == World::content(3, 5000));
}

TEST_CASE("feeder: a .partial that was finished since the plan was made; an ended one that is gone") {
  World world;
  world.planned(3, 3, SegmentState::open);
  REQUIRE(world.files.write(world.file(3), World::content(3)));
  {
    const auto feeder = world.feeder();
    REQUIRE(feeder->start());
    REQUIRE(soon([&] { return world.ready() == std::vector{world.name(3)}; }));
  }
  REQUIRE(world.files.remove(world.file(3)));
  REQUIRE(world.files.remove_tree(world.spool));
  CHECK(failure_of(world).message ==
        "WAL segment '" + world.file(3, ".partial").string() + "' is missing, and the plan needs it");
}

TEST_CASE("feeder: ends at once when the restore does, however much is left") {
  World world;
  world.finished(2, 9);
  auto feeder = world.feeder(1);
  REQUIRE(feeder->start());
  REQUIRE(soon([&] { return world.ready().size() == 1; }));
  const auto begin = std::chrono::steady_clock::now();
  feeder.reset();
  CHECK(std::chrono::steady_clock::now() - begin < 5s);
  CHECK(world.ready().size() == 1);
  CHECK_FALSE(exists(world.files, world.spool / spool::kFailed));
}
