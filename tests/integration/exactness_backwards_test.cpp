#include <doctest/doctest.h>
#include <fmt/format.h>

#include "base/text.h"
#include "integration/support/exactness.h"
#include "support/wal_builder.h"

/// Commit timestamps run backwards in the WAL of a busy primary, rarely and by microseconds. Here they do so
/// on purpose and by half a minute: behind the captured WAL the commits of transactions that are open on the
/// primary are forged, and PostgreSQL itself replays them.
using namespace walback;
using namespace walback::test;

namespace {

constexpr std::uint64_t kSegmentBytes = 16U << 20;

/// An open transaction with one row.
struct OpenTransaction {
  Connection connection;
  std::int64_t id;
  std::uint32_t xid;
};

OpenTransaction begin(const LabFixture& lab, std::int64_t id) {
  OpenTransaction open{lab.primary(), id, 0};
  REQUIRE(open.connection.execute("BEGIN"));
  const auto rows = open.connection.query(fmt::format(
      "INSERT INTO test_data (id, writer, payload) VALUES ({}, 99, 'open') RETURNING xmin::text", id));
  REQUIRE_MESSAGE(rows, rows.error().message);
  open.xid = static_cast<std::uint32_t>(rows->integer(0, 0));
  return open;
}

/// Ends the WAL in a commit that the capturer has, and nothing follows it. What is open is then captured too.
std::int64_t commit_one_more(const LabFixture& lab, std::int64_t id) {
  lab.execute(fmt::format("INSERT INTO test_data (id, writer, payload) VALUES ({}, 99, 'committed')", id));
  wait_for_quiet(lab);
  lab.wait_captured();
  return id;
}

Path open_segment(const LabFixture& lab, Lsn lsn) {
  const std::uint64_t number = lsn.value / kSegmentBytes;
  return lab.archive() / "wal" / "0001" /
         fmt::format("00000001{:08X}{:08X}.partial", number >> 8, number & 255);
}

/// Writes the commits, in this order and with these times, behind the end of the captured WAL.
void forge_commits(const LabFixture& lab, const WaldumpOracle& oracle,
                   const std::vector<std::pair<std::uint32_t, Timestamp>>& commits) {
  const Json status = lab.walback({"--json", "status"}).json;
  const Path path = open_segment(lab, *oracle.end());
  const auto bytes = real_file_system().read(path);
  REQUIRE_MESSAGE(bytes, bytes.error().message);
  WalBuilder wal(
      {.segment_bytes = kSegmentBytes,
       .system_identifier = parse_decimal(status.at("system_identifier").get<std::string>()).value(),
       .server_major =
           static_cast<unsigned>(parse_decimal(lab.value("SHOW server_version_num")).value() / 10'000),
       .start = oracle.end(),
       .previous_record = oracle.records().back(),
       .first_segment = *bytes});
  for (const auto& [xid, time] : commits) wal.commit({.xid = xid, .time = time});
  REQUIRE(wal.segments().size() == 1);
  REQUIRE(real_file_system().write(path, wal.segment(wal.segments().front())));
}

}  // namespace

TEST_CASE("exactness: between commits whose timestamps run backwards") {
  LabFixture lab(LabOptions{.settings = {{"autovacuum", "off"}}});
  REQUIRE(run_load(lab.load_setup(2, 0.5), {}, {}));
  lab.ask({"backup"});
  std::vector<OpenTransaction> open;
  for (std::int64_t id = -4; id < 0; ++id) open.push_back(begin(lab, id));

  WrittenRows rows = ledger_rows(lab);
  for (const OpenTransaction& each : open) rows.emplace_back(each.id, each.xid);
  commit_one_more(lab, -100);
  lab.kill_services();
  const WaldumpOracle captured = oracle_of(lab);
  REQUIRE_MESSAGE(captured.end(), "the WAL ends where pg_waldump names no position");
  rows.emplace_back(-100, captured.commits().back().xid);

  const Timestamp start = captured.commits().back().time;
  const auto after = [&](int seconds) { return Timestamp{start.unix_us + seconds * 1'000'000LL}; };
  forge_commits(lab, captured,
                {{open[0].xid, after(60)},
                 {open[1].xid, after(20)},
                 {open[2].xid, after(90)},
                 {open[3].xid, after(40)}});
  const WaldumpOracle oracle = oracle_of(lab);
  REQUIRE(oracle.records().size() == captured.records().size() + 4);
  REQUIRE(oracle.commits().size() == captured.commits().size() + 4);

  const Asker ask(lab, oracle);
  for (const int seconds : {10, 20, 30, 40, 59, 60, 70, 89, 90}) {
    for (const bool before : {false, true}) {
      const Question question = ask.time(fmt::format("{} s later", seconds), after(seconds), before);
      if (question.cut) ask.check(question);
    }
  }
  for (const OpenTransaction& each : open) {
    for (const bool before : {false, true}) {
      const Lsn lsn =
          oracle.commits().at(captured.commits().size() + static_cast<std::size_t>(4 + each.id)).lsn;
      ask.check(ask.lsn("a forged commit", lsn, before));
      ask.check(ask.xid("a forged transaction", each.xid, before));
    }
  }
  // Behind the latest stamp is silence, and no watermark speaks of it.
  const WalbackRun silent = lab.walback({"--json", "plan", "--to-time", to_rfc3339(after(90))});
  CHECK(silent.exit_code == 4);
  CHECK(silent.out.find("nothing shows what was committed up to " + to_rfc3339(after(90))) !=
        std::string::npos);

  const Question middle = ask.time("a minute later", after(60), false);
  CHECK(middle.stragglers == 1);
  CHECK(oracle.last_commit(*middle.cut)->xid == open[1].xid);
  CHECK(oracle.next_commit(*middle.cut)->xid == open[2].xid);
  check_restore(lab, oracle, rows, middle);
  check_restore(lab, oracle, rows, ask.xid("the one stamped first", open[1].xid, true));
  check_restore(lab, oracle, rows, ask.latest());
}
