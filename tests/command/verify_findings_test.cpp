#include "command/verify_findings.h"

#include <doctest/doctest.h>

using namespace walback;

namespace {

BackupRow backup(const std::string& id, std::uint64_t start, std::uint64_t stop) {
  BackupRow row;
  row.id = id;
  row.timeline = {1};
  row.start_lsn = {start};
  row.stop_lsn = {stop};
  return row;
}
const std::vector<BackupRow> kTwo{backup("A", 0x2000028, 0x2000100), backup("B", 0x6000028, 0x6000100)};

}  // namespace

TEST_CASE("verify findings: what lost WAL makes unreachable ends with the next base backup") {
  const WalRange lost{{1}, {0x3000148}, {0x4000000}};
  CHECK(unreachable_without(lost, kTwo) ==
        "every moment from 0/3000148 on until base backup B is consistent at 0/6000100");
  CHECK(unreachable_without(lost, {kTwo[0]}) ==
        "every moment from 0/3000148 on timeline 1 on, until a new base backup is taken");
  // Behind the first consistent moment of every base backup there is, nobody needs it.
  CHECK(unreachable_without(lost, {kTwo[1]}).empty());
}

TEST_CASE("verify findings: what a lost base backup makes unreachable") {
  CHECK(unreachable_without("A", kTwo, kTwo) ==
        "every moment from 0/2000100 on until base backup B is consistent at 0/6000100");
  CHECK(unreachable_without("B", kTwo, kTwo).empty());
  CHECK(unreachable_without("A", {kTwo[0]}, {kTwo[0]}) == "everything: there is no other base backup");
}

TEST_CASE("verify findings: a damaged segment, word for word") {
  const WalFinding damaged{
      WalFinding::Kind::damaged, "/a/wal/0001/000000010000000000000003",
      "damaged at 0/3000148: record at 0/3000148 carries checksum 1A2B3C4D, expected 5E6F7081",
      WalRange{{1}, {0x3000148}, {0x4000000}}};
  CHECK(render_text(explain(damaged, kTwo)) ==
        "wrong  /a/wal/0001/000000010000000000000003: damaged at 0/3000148: record at 0/3000148 carries "
        "checksum "
        "1A2B3C4D, expected 5E6F7081\n"
        "       unreachable: every moment from 0/3000148 on until base backup B is consistent at 0/6000100\n"
        "       mend: put a good copy there if one exists anywhere (pg_wal of the primary or a standby, "
        "another "
        "archive); then walback backup (a new base backup, so that what comes is safe)\n");
}

TEST_CASE("verify findings: strange names are notes, a backup whose bytes differ is wrong") {
  const WalFinding strange{WalFinding::Kind::unknown_name, "/a/wal/0001/notes.txt", "no such name", {}};
  CHECK(explain(strange, kTwo).severity == Severity::note);
  const VerifyFinding differs =
      explain(BackupFinding{BackupFinding::Kind::differs, "A", "'base/1/1249' is missing"}, kTwo, kTwo);
  CHECK(differs.severity == Severity::wrong);
  CHECK(to_line(to_json(differs)) ==
        R"J({"severity":"wrong","subject":"base backup A","text":"'base/1/1249' is missing",)J"
        R"J("unreachable":"every moment from 0/2000100 on until base backup B is consistent at 0/6000100",)J"
        R"J("mend":"put its files back if there is a copy; then walback backup (a new base backup, so that )J"
        R"J(what comes is safe)"})J");
}
