#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "base/text.h"
#include "integration/support/exactness.h"
#include "os/system.h"

/// Nothing in walback may take a segment for 16 MB: names, borders, page headers, `.partial`s, the copy.
using namespace walback;
using namespace walback::test;

namespace {

/// So that each size has finished segments before, within and behind the restored range.
constexpr const char* kBulk =
    "SELECT pg_logical_emit_message(false, 'bulk', repeat(md5(random()::text), 40000))";

std::vector<std::string> finished_segments(const LabFixture& lab) {
  std::vector<std::string> names;
  const auto entries = real_file_system().list(lab.archive() / "wal" / "0001");
  REQUIRE(entries);
  for (const auto& entry : *entries)
    if (entry.name.size() == 24) names.push_back(entry.name);
  std::ranges::sort(names);
  return names;
}

void from_load_to_proof(unsigned size_mb, std::uint64_t seed) {
  CAPTURE(size_mb);
  LabFixture lab(LabOptions{.segment_size_mb = size_mb});
  CHECK(lab.value("SHOW wal_segment_size") == fmt::format("{}MB", size_mb));
  LoadSetup load = lab.load_setup(3, 0.4);
  load.rate = 800;
  REQUIRE(run_load(load, {}, {}));
  lab.ask({"backup"});
  // The smallest are filled, the others switched.
  for (int i = 0; i < 3; ++i) {
    lab.execute(kBulk);
    if (size_mb > 1) lab.execute("SELECT pg_switch_wal()");
    load.seed = seed + static_cast<std::uint64_t>(i);
    REQUIRE(run_load(load, {}, {}));
  }
  lab.wait_captured();
  lab.kill_services();

  const WaldumpOracle oracle = oracle_of(lab);
  const auto finished = finished_segments(lab);
  CHECK(finished.size() >= 3);
  // 0x100000000 bytes are so many segments: the name's last eight digits begin again behind them.
  CHECK(finished.back() <
        fmt::format("0000000100000000{:08X}", (std::uint64_t{1} << 32) / (std::uint64_t{size_mb} << 20)));
  CHECK(lab.ask({"list", "segments"}).size() >= finished.size());

  const Asker ask(lab, oracle);
  const auto commits = oracle.commits();
  std::vector<DumpedEnd> reachable;
  std::ranges::copy_if(commits, std::back_inserter(reachable), [&](const DumpedEnd& commit) {
    return commit.record >= oracle.backup_ends().front();
  });
  REQUIRE(reachable.size() > 100);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 3; ++i) {
    const DumpedEnd& commit = reachable[random() % reachable.size()];
    ask.check(ask.time("a commit's time", commit.time, false));
    ask.check(ask.lsn("a commit's LSN", commit.lsn, i % 2 == 0));
    ask.check(ask.xid("a commit's xid", commit.xid, i % 2 == 1));
  }
  const DumpedEnd& target = reachable[random() % reachable.size()];
  check_restore(lab, oracle, ledger_rows(lab), ask.lsn("a commit", target.lsn, false));
}

}  // namespace

TEST_CASE("segment sizes: from load to proof, 1, 4, 16 and 64 MB") {
  const auto given = environment_variable("WALBACK_TEST_SEED");
  const std::uint64_t seed = given ? parse_decimal(*given).value() : random_u64();
  MESSAGE("WALBACK_TEST_SEED=" << seed);
  for (const unsigned size_mb : {1U, 4U, 16U, 64U}) from_load_to_proof(size_mb, seed);
}
