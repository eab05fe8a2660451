#include "integration/support/exactness.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>

#include "archive/mirror.h"
#include "base/text.h"
#include "pg/binaries.h"

namespace walback::test {
namespace {

using namespace std::chrono_literals;

/// The mirror writes once more, up to its interval after the last commit that it saw.
constexpr auto kQuiet = kMirrorInterval + 3s;

Json shown(const DumpedEnd* end) {
  if (end == nullptr) return nullptr;
  return {{"lsn", to_string(end->lsn)}, {"time", to_rfc3339(end->time)}, {"xid", end->xid}};
}
/// What pg_waldump does not print is not compared.
Json shown(Json commit) {
  if (commit.is_object()) commit.erase("end_lsn");
  return commit;
}

bool warns_of_stragglers(const Json& plan) {
  return std::ranges::any_of(plan.at("warnings"),
                             [](const Json& warning) { return warning.at("code") == "commits_beyond_stop"; });
}

Question with_before(Question question, bool before) {
  if (before) question.target.emplace_back("--before");
  if (before) question.what += ", before";
  return question;
}

}  // namespace

WaldumpOracle oracle_of(const LabFixture& lab) {
  BinarySearch search;
  search.programs = {"pg_waldump"};
  const auto binaries = find_binaries(search);
  REQUIRE_MESSAGE(binaries, binaries.error().message);
  return {*binaries, lab.archive() / "wal" / "0001", lab.directory() / "waldump"};
}

WrittenRows ledger_rows(const LabFixture& lab) {
  const auto ledger = read_ledger(lab.ledger());
  REQUIRE_MESSAGE(ledger, ledger.error().message);
  CHECK(ledger->damaged_lines == 0);
  WrittenRows rows;
  for (const LedgerEntry& entry : ledger->entries) {
    if (entry.state != LedgerState::failed) rows.emplace_back(entry.id, entry.xid);
  }
  return rows;
}

std::set<std::int64_t> ids_in(Connection connection) {
  const auto rows = connection.query("SELECT id FROM test_data");
  REQUIRE_MESSAGE(rows, rows.error().message);
  std::set<std::int64_t> ids;
  for (int row = 0; row < rows->count(); ++row) ids.insert(rows->integer(row, 0));
  return ids;
}

Question Asker::time(std::string what, Timestamp time, bool before) const {
  Question question{std::move(what), {"--to-time", to_rfc3339(time)}, oracle_.at_time(time, before)};
  for (const DumpedEnd& end : oracle_.ends()) {
    const bool asked_for = before ? end.time < time : end.time <= time;
    if (question.cut && end.commit && end.record >= *question.cut && asked_for) ++question.stragglers;
  }
  return with_before(std::move(question), before);
}

Question Asker::lsn(std::string what, Lsn lsn, bool before) const {
  return with_before({std::move(what), {"--to-lsn", to_string(lsn)}, oracle_.at_lsn(lsn, before)}, before);
}

Question Asker::xid(std::string what, std::uint32_t xid, bool before) const {
  return with_before({std::move(what), {"--to-xid", std::to_string(xid)}, oracle_.at_xid(xid, before)},
                     before);
}

Question Asker::name(const std::string& name, bool before) const {
  return with_before({"a restore point", {"--to-name", name}, oracle_.at_name(name, before)}, before);
}

Question Asker::latest() const {
  return {"everything", {"--to-latest"}, oracle_.at_end()};
}

bool Asker::reachable(const Question& question) const {
  return question.cut && *question.cut >= oracle_.backup_ends().front();
}

void Asker::check(const Question& question) const {
  std::vector<std::string> arguments{"plan"};
  arguments.insert(arguments.end(), question.target.begin(), question.target.end());
  CAPTURE(question.what);
  CAPTURE(join(question.target, " "));
  REQUIRE(question.cut);
  const Json plan = lab_.ask(arguments);
  CHECK(shown(plan.at("last_commit")) == shown(oracle_.last_commit(*question.cut)));
  CHECK(shown(plan.at("next_commit")) == shown(oracle_.next_commit(*question.cut)));
  CHECK(warns_of_stragglers(plan) == (question.stragglers > 0));
}

Json check_restore(LabFixture& lab, const WaldumpOracle& oracle, const WrittenRows& rows,
                   const Question& question) {
  const std::string name = question.what + " (" + join(question.target, " ") + ")";
  REQUIRE_MESSAGE(question.cut, name);
  const auto cluster = lab.restore(question.target);
  const auto expected = oracle.visible(rows, *question.cut);
  const auto found = ids_in(lab.connect(cluster));
  std::vector<std::int64_t> lost, surplus;
  std::ranges::set_difference(expected, found, std::back_inserter(lost));
  std::ranges::set_difference(found, expected, std::back_inserter(surplus));
  MESSAGE(name << ": " << found.size() << " rows of " << rows.size());
  CHECK_MESSAGE(cluster.proof.at("verdict") == "proven", name);
  CHECK_MESSAGE(lost.empty(), name << ": " << lost.size() << " rows are lost");
  CHECK_MESSAGE(surplus.empty(), name << ": " << surplus.size() << " rows too many");
  lab.stop(cluster);
  return cluster.proof;
}

void wait_for_quiet(const LabFixture& lab) {
  const auto next_xid = [&] { return lab.value("SELECT pg_snapshot_xmax(pg_current_snapshot())"); };
  std::string before = next_xid();
  auto since = std::chrono::steady_clock::now();
  REQUIRE(wait_until(
      [&] {
        const std::string now = next_xid();
        if (now != before) since = std::chrono::steady_clock::now();
        before = now;
        return std::chrono::steady_clock::now() - since > kQuiet;
      },
      60s));
}

}  // namespace walback::test
