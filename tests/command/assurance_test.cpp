#include "command/assurance.h"

#include <doctest/doctest.h>

#include "catalog/verified_journal.h"
#include "command/check_findings.h"
#include "support/memory_file_system.h"

using namespace walback;

namespace {

constexpr std::int64_t kHour = 3'600'000'000;
constexpr Timestamp kNow{1'795'171'327'000'000};

DrillRow drill(DrillState state, std::int64_t hours_ago) {
  DrillRow row;
  row.started_at = {kNow.unix_us - hours_ago * kHour};
  row.finished_at = {row.started_at.unix_us + 90'000'000};
  row.state = state;
  row.seed = 17;
  row.target = "--to-lsn 0/5000028 --before";
  row.directory = "/srv/walback-drill-1";
  row.rto_us = 72'000'000;
  row.base_bytes = 20U << 20;
  row.wal_bytes = 100U << 20;
  row.checks = "proof, amcheck";
  if (state == DrillState::failed) row.error = "the restored cluster is not what was planned";
  return row;
}
VerificationRow verification(std::uint64_t findings) {
  return {.started_at = {kNow.unix_us - 2 * kHour},
          .finished_at = {kNow.unix_us - kHour},
          .everything = true,
          .read_bytes = 1U << 20,
          .segments = 128,
          .backups = 3,
          .findings = findings,
          .oldest_look = {kNow.unix_us - 2 * kHour}};
}

std::vector<std::string> check_of(const Assurance& assurance) {
  static const Config config;
  CheckInput input(config);
  input.now = kNow;
  input.assurance = assurance;
  std::vector<std::string> found;
  for (const Finding& finding : check_findings(input)) {
    if (finding.subject == "drill" || finding.subject == "verification")
      found.push_back(std::string(name_of(finding.severity)) + " " + finding.subject + ": " + finding.text);
  }
  return found;
}

}  // namespace

TEST_CASE("assurance: from the journal, as it was recorded") {
  MemoryFileSystem files;
  const ArchiveLayout layout{"/srv/archive"};
  REQUIRE(files.create_directories(layout.root));
  Catalog catalog = Catalog::open(":memory:").value();
  DrillRow killed = drill(DrillState::running, 1);
  killed.finished_at.reset();
  for (const DrillRow& row : {drill(DrillState::passed, 30), drill(DrillState::failed, 3), killed})
    REQUIRE(record_drill(files, layout, catalog, row));
  REQUIRE(record_verification(files, layout, catalog, verification(2)));
  Catalog rebuilt = Catalog::open(":memory:").value();
  REQUIRE(replay_journal(rebuilt, read_journal(files, layout.journal()).value().entries));
  for (const Catalog* each : {&catalog, &rebuilt}) {
    const Assurance assurance = take_assurance(*each).value();
    CHECK(assurance.drill == drill(DrillState::failed, 3));
    CHECK(assurance.passed_drill == drill(DrillState::passed, 30));
    CHECK(assurance.verification == verification(2));
  }
}

TEST_CASE("assurance: what status says") {
  CHECK(render_text(Assurance{}, kNow) ==
        "  verified   never: `walback verify` reads everything once\n"
        "  drill      never: `walback drill` measures how long a restore takes\n");
  const Assurance good{verification(0), drill(DrillState::passed, 1), drill(DrillState::passed, 1)};
  CHECK(render_text(good, kNow) ==
        "  verified   1 h 0 min ago: 128 segments, 3 base backups, nothing wrong; all was read since "
        "2026-11-20T08:42:07.000000Z\n"
        "  drill      passed 58 min 30 s ago (--to-lsn 0/5000028 --before); a restore took 1 min 12 s (20 "
        "MB of "
        "base backup, 100 MB of WAL)\n");
  CHECK(problems_of(good).empty());
  DrillRow refused = drill(DrillState::failed, 1);
  refused.target.clear();
  CHECK(render_text({{}, refused, {}}, kNow) ==
        "  verified   never: `walback verify` reads everything once\n"
        "  drill      FAILED 58 min 30 s ago (no moment)\n");
}

TEST_CASE("assurance: a failed drill and findings are wrong, nothing yet is a note") {
  CHECK(check_of({}) == std::vector<std::string>{
                            "note verification: never: nobody has read the archive since it was captured",
                            "note drill: never: nobody knows how long a restore takes"});
  const Assurance bad{verification(2), drill(DrillState::failed, 3), {}};
  CHECK(check_of(bad) ==
        std::vector<std::string>{
            "wrong verification: 1 h 0 min ago it found 2 things wrong",
            "wrong drill: 2 h 58 min ago it failed: the restored cluster is not what was planned"});
  CHECK(problems_of(bad) ==
        std::vector<std::string>{
            "verification at 2026-11-20T09:42:07.000000Z found 2 things wrong: `walback verify` names them",
            "the last drill failed (--to-lsn 0/5000028 --before, seed 17): the restored cluster is not what "
            "was "
            "planned"});
  VerificationRow rotting = verification(0);
  rotting.oldest_look.unix_us -= kBytesAreOldUs;
  CHECK(check_of({rotting, drill(DrillState::passed, 24 * 9), {}}) ==
        std::vector<std::string>{"note verification: some of the archive was last read 35 d 2 h ago",
                                 "note drill: the last one was 8 d 23 h ago"});
}
