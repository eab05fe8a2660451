#include "restore/planned_files.h"

#include <doctest/doctest.h>

#include "base/crc32c.h"
#include "support/temporary_directory.h"

using namespace walback;

namespace {

constexpr std::uint64_t kSize = 1U << 20;
const std::string kHint =
    "It changed after it was indexed. Once the WAL manager has read it again (`manage.scan_interval`), "
    "`walback plan` names what can be reached without it.";

/// Finished segments 2 to 4 and the `.partial` of 5, indexed as they are.
class World {
 public:
  World() {
    plan.timeline = {1};
    REQUIRE(files.create_directories(archive.wal() / "0001"));
    for (std::uint64_t number = 2; number <= 4; ++number) {
      REQUIRE(files.write(file(number), std::string(kSize, static_cast<char>('a' + number))));
      index(number);
    }
    REQUIRE(files.write(file(5, ".partial"), std::string(kSize, 'p')));
    plan.segments = {{{1}, {2}, {4}, 1, SegmentState::finished}, {{1}, {5}, {5}, 1, SegmentState::open}};
  }

  FileSystem& files = real_file_system();
  TemporaryDirectory directory;
  ArchiveLayout archive{directory.path() / "archive"};
  RestorePlan plan{{1, *SegmentSize::from_bytes(kSize)}};
  Catalog catalog = *Catalog::open(":memory:");

  [[nodiscard]] Path file(std::uint64_t number, const std::string& suffix = "") const {
    return archive.wal() / "0001" / (file_name({{1}, {number}}, plan.identity.segment_size) + suffix);
  }
  void index(std::uint64_t number, std::int64_t mtime_ns = 0) {
    SegmentRow row;
    row.name = {{1}, {number}};
    row.state = SegmentState::finished;
    row.start_lsn = Lsn{number * kSize};
    row.valid_end_lsn = row.start_lsn + kSize;
    row.size_bytes = kSize;
    row.mtime_ns = mtime_ns != 0 ? mtime_ns : files.stat(file(number))->mtime_ns;
    row.file_crc32c = crc32c(*files.read(file(number)));
    REQUIRE(catalog.put_segment(row));
  }
  [[nodiscard]] std::string answer() {
    const Status checked = check_planned_files(files, plan, catalog, archive);
    return checked ? "fine"
                   : std::string(name_of(checked.error().kind)) + ": " + checked.error().message + " | " +
                         checked.error().hint;
  }
};

}  // namespace

TEST_CASE("planned files: as they were indexed; touched but the same") {
  World world;
  CHECK(world.answer() == "fine");
  world.index(3, 4711);
  CHECK(world.answer() == "fine");
}

TEST_CASE("planned files: the first missing one is named, a .partial too") {
  World world;
  REQUIRE(world.files.remove(world.file(5, ".partial")));
  CHECK(world.answer() == "not_found: WAL segment '" + world.file(5, ".partial").string() +
                              "' is missing, and the plan needs it | " + kHint);
  // Finished since the plan was made.
  REQUIRE(world.files.write(world.file(5), std::string(kSize, 'p')));
  CHECK(world.answer() == "fine");
  REQUIRE(world.files.remove(world.file(4)));
  REQUIRE(world.files.remove(world.file(3)));
  CHECK(world.answer() == "not_found: WAL segment '" + world.file(3).string() +
                              "' is missing, and the plan needs it | " + kHint);
}

TEST_CASE("planned files: truncated, and changed since") {
  World world;
  REQUIRE(world.files.write(world.file(3), std::string(100, 'x')));
  CHECK(world.answer() ==
        "corrupt: WAL segment '" + world.file(3).string() + "' has 100 bytes, expected 1048576 | " + kHint);
  const std::string good = *world.files.read(world.file(4));
  const std::string changed(kSize, 'x');
  REQUIRE(world.files.write(world.file(3), changed));
  world.index(3, 4711);
  REQUIRE(world.files.write(world.file(3), good));
  char sums[64];
  std::snprintf(sums, sizeof sums, "checksum %08x, expected %08x", crc32c(good), crc32c(changed));
  CHECK(world.answer() == "corrupt: WAL segment '" + world.file(3).string() +
                              "' changed since it was captured: " + sums + " | " + kHint);
}
