#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>

#include "integration/support/exactness.h"

/// The primary dies with its disk while it commits 2,000 times a second. What the archive alone gives back.
using namespace walback;
using namespace walback::test;
using namespace std::chrono_literals;

namespace {

constexpr int kWriters = 8;
constexpr double kRate = 2'000;
constexpr std::uint64_t kCommitsBeforeTheDeath = 6'000;

/// Every process of the primary killed in the middle of the load, its data directory deleted; the ledger says
/// what was promised to whom. `before` comes when half of the load is done.
LoadFigures lose_primary(
    const LabFixture& lab, const std::function<void()>& before = [] {}) {
  LoadSetup setup = lab.load_setup(kWriters, 0);
  setup.rate = kRate;
  BackgroundLoad load(setup);
  REQUIRE(wait_until([&] { return load.acknowledged() > 0; }, 30s));
  lab.ask({"backup"});
  for (int half = 0; half < 2; ++half) {
    if (half == 1) before();
    const std::uint64_t until = load.acknowledged() + kCommitsBeforeTheDeath / 2;
    REQUIRE(wait_until([&] { return load.acknowledged() >= until; }, 60s));
  }
  REQUIRE(kill_primary(lab.state()));
  REQUIRE(wipe_primary(lab.state()));
  load.request_stop();
  const LoadFigures figures = load.finish();
  MESSAGE(figures.acknowledged << " acknowledged, " << figures.durable << " of them durable, "
                               << figures.in_doubt << " in doubt; p99 " << figures.latency_p99_us << " us");
  return figures;
}

struct Judgement {
  std::uint64_t rows = 0;
  std::uint64_t lost_durable = 0;       ///< acknowledged as durable, and not there
  std::uint64_t lost_acknowledged = 0;  ///< durable or not
  std::uint64_t lost_held = 0;          ///< acknowledged, its commit in the archive's WAL, and not there
  std::uint64_t unknown = 0;            ///< there, and nobody ever sent its COMMIT
  std::uint64_t in_doubt_present = 0;
};

Judgement judge(const LabFixture& lab, const std::set<std::int64_t>& found, std::optional<Lsn> held) {
  const auto ledger = read_ledger(lab.ledger());
  REQUIRE_MESSAGE(ledger, ledger.error().message);
  Judgement judgement;
  judgement.rows = found.size();
  std::uint64_t known = 0;
  for (const LedgerEntry& entry : ledger->entries) {
    const bool there = found.contains(entry.id);
    const bool acknowledged = entry.state == LedgerState::acknowledged;
    if (there && entry.state != LedgerState::failed) ++known;
    if (there && entry.state == LedgerState::in_doubt) ++judgement.in_doubt_present;
    if (!there && acknowledged) ++judgement.lost_acknowledged;
    if (!there && acknowledged && entry.durable) ++judgement.lost_durable;
    if (!there && acknowledged && held && entry.insert_lsn_after <= held) ++judgement.lost_held;
  }
  judgement.unknown = found.size() - known;
  return judgement;
}

/// Everything, from the archive alone: exactly what pg_waldump finds in the archive's WAL.
Judgement restore_everything(LabFixture& lab) {
  const WaldumpOracle oracle = oracle_of(lab);
  const Asker ask(lab, oracle);
  ask.check(ask.latest());
  const auto cluster = lab.restore({"--to-latest"});
  CHECK(cluster.proof.at("verdict") == "proven");
  const auto found = ids_in(lab.connect(cluster));
  CHECK(found == oracle.visible(ledger_rows(lab), oracle.at_end()));
  lab.stop(cluster);
  REQUIRE(oracle.end());
  const Judgement judgement = judge(lab, found, oracle.end());
  CHECK(judgement.unknown == 0);
  CHECK(judgement.lost_held == 0);
  MESSAGE(judgement.rows << " rows restored; lost: " << judgement.lost_durable << " durable, "
                         << judgement.lost_acknowledged << " acknowledged; " << judgement.in_doubt_present
                         << " in doubt are there");
  return judgement;
}

}  // namespace

TEST_CASE("loss: synchronous, no acknowledged commit is lost with the primary and its disk") {
  LabFixture lab(LabOptions{.standby = true, .synchronous = true});
  const LoadFigures figures = lose_primary(lab);
  CHECK(figures.durable >= kCommitsBeforeTheDeath);
  for (const bool services_run : {true, false}) {
    CAPTURE(services_run);
    if (!services_run) lab.kill_services();
    const Judgement judgement = restore_everything(lab);
    CHECK(judgement.lost_durable == 0);
    CHECK(judgement.rows >= figures.durable);
  }
}

TEST_CASE("loss: asynchronous, all that the capturer held is restored, and nothing else") {
  LabFixture lab(LabOptions{.standby = false, .synchronous = false});
  const LoadFigures figures = lose_primary(lab);
  CHECK(figures.acknowledged >= kCommitsBeforeTheDeath);
  CHECK(figures.durable == 0);
  for (const bool services_run : {true, false}) {
    CAPTURE(services_run);
    if (!services_run) lab.kill_services();
    const Judgement judgement = restore_everything(lab);
    // What was on its way to the capturer: far below the segment that an archive_command would lose.
    CHECK(judgement.lost_acknowledged < kRate);
  }
}

TEST_CASE("loss: a capturer that died before the primary, what it held is restored exactly") {
  LabFixture lab(LabOptions{});
  lose_primary(lab, [&] { lab.kill_services(); });
  const Judgement judgement = restore_everything(lab);
  CHECK(judgement.rows > 0);
  CHECK(judgement.lost_acknowledged > 0);
}
