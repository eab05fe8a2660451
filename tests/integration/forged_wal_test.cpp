#include <doctest/doctest.h>

#include <chrono>

#include "base/text.h"
#include "os/process.h"
#include "pg/binaries.h"
#include "support/temporary_directory.h"
#include "wal/reading.h"

/// Tests forge WAL in order to judge walback; so PostgreSQL must judge the forger.
using namespace walback;
using namespace walback::test;

namespace {

Binaries pg_waldump_here() {
  const auto binaries = find_binaries(
      BinarySearch{.configured = {}, .wanted_major = {}, .programs = {"pg_waldump"}, .path = {}});
  REQUIRE_MESSAGE(binaries, binaries.error().message);
  return *binaries;
}

/// pg_waldump reads WAL of its own version alone.
WalBuilderOptions for_pg_waldump() {
  return {.server_major = static_cast<unsigned>(pg_waldump_here().major)};
}

/// The STARTs of the records that pg_waldump reads from the first on, until it stops.
std::vector<Lsn> starts_by_waldump(const Path& directory, Lsn begin, std::uint32_t timeline) {
  const Command command{pg_waldump_here().program("pg_waldump"),
                        {"-p", directory.string(), "-t", std::to_string(timeline), "-s", to_string(begin)},
                        {},
                        "/"};
  const auto output = run(command, std::chrono::minutes(1));
  REQUIRE_MESSAGE(output, output.error().message);
  std::vector<Lsn> starts;
  for (const auto line : split(output->out, '\n')) {
    const auto at = line.find("lsn: ");
    if (at == std::string_view::npos) continue;
    const auto rest = line.substr(at + 5);
    starts.push_back(parse_lsn(rest.substr(0, rest.find(','))).value());
  }
  return starts;
}

void write_segments(const WalBuilder& wal, const Path& directory) {
  for (const auto& name : wal.segments()) {
    REQUIRE(real_file_system().write(directory / file_name(name, wal.size()), wal.segment(name)));
  }
}

}  // namespace

TEST_CASE("forged WAL: pg_waldump reads every record of it") {
  WalBuilder wal(for_pg_waldump());
  wal.commit({.xid = 700, .time = at_second(1)});
  wal.commit({.xid = 701,
              .time = at_second(2),
              .subxids = {702, 703},
              .removed_files = {{1663, 5, 16384}},
              .dropped_relations = {{5, 16384}},
              .has_origin = true});
  wal.abort({.xid = 704, .time = at_second(3), .subxids = {705}});
  wal.commit_prepared({.xid = 650, .time = at_second(4), .gid = "transfer"});
  wal.abort_prepared({.xid = 651, .time = at_second(5), .gid = "undone"});
  wal.restore_point("before lunch", at_second(6));
  wal.checkpoint(wal.next_lsn(), false, at_second(7));
  wal.parameters({100, 8, 10, 0, 64, 1, false, false});
  wal.tablespace_created(16400, "/srv/fast");
  wal.tablespace_dropped(16400);
  wal.database_dropped(16401);
  wal.backup_end({0x100028});
  wal.filler(20'000);
  wal.overwrite_contrecord(30'000, at_second(8));
  wal.fill_to({0x1FFFF0});
  wal.commit({.xid = 706, .time = at_second(9)});
  wal.filler(2'500'000);
  wal.switch_segment();
  wal.commit({.xid = 707, .time = at_second(10)});

  TemporaryDirectory directory;
  write_segments(wal, directory.path());
  const auto expected = read_all(wal);
  CHECK(expected.position == wal.end_lsn());
  CHECK(starts_by_waldump(directory.path(), {0x100028}, 1) == expected.starts());
}

TEST_CASE("forged WAL: a new timeline's segment is readable across the switch") {
  WalBuilder wal(for_pg_waldump());
  wal.filler(20'000);
  wal.commit({.xid = 700, .time = at_second(1)});
  wal.switch_timeline({2}, at_second(2));
  wal.filler(20'000);
  wal.commit({.xid = 701, .time = at_second(3)});
  TemporaryDirectory directory;
  write_segments(wal, directory.path());
  CHECK(starts_by_waldump(directory.path(), {0x100028}, 2) == read_all(wal).starts());
}
