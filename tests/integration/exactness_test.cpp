#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <random>

#include "base/text.h"
#include "integration/support/lab_fixture.h"
#include "integration/support/other_work.h"
#include "integration/support/waldump_oracle.h"
#include "os/system.h"
#include "pg/binaries.h"

/// Whatever a person may ask for: the plan's last commit in and first commit out are those that PostgreSQL's
/// own pg_waldump shows around the stop, and what a restore opens holds exactly the rows of the commits
/// before it.
using namespace walback;
using namespace walback::test;
using namespace std::chrono_literals;

namespace {

using Arguments = std::vector<std::string>;
using WrittenRows = std::vector<std::pair<std::int64_t, std::uint32_t>>;

Binaries waldump_binaries() {
  BinarySearch search;
  search.programs = {"pg_waldump"};
  const auto binaries = find_binaries(search);
  REQUIRE_MESSAGE(binaries, binaries.error().message);
  return *binaries;
}

WaldumpOracle oracle_of(const LabFixture& lab) {
  return {waldump_binaries(), lab.archive() / "wal" / "0001", lab.directory() / "waldump"};
}

/// Each row with the xid that wrote it.
WrittenRows rows_of(const LabFixture& lab) {
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

Json shown(const DumpedEnd* end) {
  if (end == nullptr) return nullptr;
  return {{"lsn", to_string(end->lsn)}, {"time", to_rfc3339(end->time)}, {"xid", end->xid}};
}
/// What pg_waldump does not print is not compared.
Json shown(Json commit) {
  if (commit.is_object()) commit.erase("end_lsn");
  return commit;
}

/// The options of a target and what pg_waldump says of it; no cut: there is nothing that decides it.
struct Question {
  std::string what;
  Arguments target;
  std::optional<Cut> cut;
  std::uint64_t stragglers = 0;  ///< commits beyond the stop that are not stamped beyond the time
};

class Asker {
 public:
  Asker(const LabFixture& lab, const WaldumpOracle& oracle) : lab_(lab), oracle_(oracle) {}

  [[nodiscard]] Question time(std::string what, Timestamp time, bool before) const {
    Question question{std::move(what), {"--to-time", to_rfc3339(time)}, oracle_.at_time(time, before)};
    for (const DumpedEnd& end : oracle_.ends()) {
      const bool asked_for = before ? end.time < time : end.time <= time;
      if (question.cut && end.commit && end.record >= *question.cut && asked_for) ++question.stragglers;
    }
    return with(std::move(question), before);
  }
  [[nodiscard]] Question lsn(std::string what, Lsn lsn, bool before) const {
    return with({std::move(what), {"--to-lsn", to_string(lsn)}, oracle_.at_lsn(lsn, before)}, before);
  }
  [[nodiscard]] Question xid(std::string what, std::uint32_t xid, bool before) const {
    return with({std::move(what), {"--to-xid", std::to_string(xid)}, oracle_.at_xid(xid, before)}, before);
  }
  [[nodiscard]] Question name(const std::string& name, bool before) const {
    return with({"restore point", {"--to-name", name}, oracle_.at_name(name, before)}, before);
  }
  /// Reached by the oldest base backup.
  [[nodiscard]] bool reachable(const Question& question) const {
    return question.cut && *question.cut >= oracle_.backup_ends().front();
  }

  /// The plan's commits on both sides of the stop against pg_waldump's.
  void check(const Question& question) const {
    Arguments arguments{"plan"};
    arguments.insert(arguments.end(), question.target.begin(), question.target.end());
    CAPTURE(question.what);
    CAPTURE(join(question.target, " "));
    REQUIRE(question.cut);
    const Json plan = lab_.ask(arguments);
    CHECK(shown(plan.at("last_commit")) == shown(oracle_.last_commit(*question.cut)));
    CHECK(shown(plan.at("next_commit")) == shown(oracle_.next_commit(*question.cut)));
    const bool warned = plan.dump().find("\"commits_beyond_stop\"") != std::string::npos;
    CHECK(warned == (question.stragglers > 0));
  }

 private:
  static Question with(Question question, bool before) {
    if (before) question.target.emplace_back("--before");
    if (before) question.what += ", before";
    return question;
  }
  const LabFixture& lab_;
  const WaldumpOracle& oracle_;
};

/// Restores to it, and holds the copy's rows against those that pg_waldump's order of commits makes visible.
Json check_restore(LabFixture& lab, const WaldumpOracle& oracle, const WrittenRows& rows,
                   const Question& question) {
  CAPTURE(question.what);
  CAPTURE(join(question.target, " "));
  REQUIRE(question.cut);
  const auto cluster = lab.restore(question.target);
  CHECK(cluster.proof.at("verdict") == "proven");
  const auto expected = oracle.visible(rows, *question.cut);
  const auto found = ids_in(lab.connect(cluster));
  std::vector<std::int64_t> lost, surplus;
  std::ranges::set_difference(expected, found, std::back_inserter(lost));
  std::ranges::set_difference(found, expected, std::back_inserter(surplus));
  CHECK(lost.empty());
  CHECK(surplus.empty());
  MESSAGE(question.what << " (" << join(question.target, " ") << "): " << found.size() << " rows of "
                        << rows.size());
  lab.stop(cluster);
  return cluster.proof;
}

/// Nobody commits any more, neither a person nor walback's mirror of its index.
void wait_for_quiet(const LabFixture& lab) {
  const auto next_xid = [&] { return lab.value("SELECT pg_snapshot_xmax(pg_current_snapshot())"); };
  std::string before = next_xid();
  auto since = std::chrono::steady_clock::now();
  REQUIRE(wait_until(
      [&] {
        const std::string now = next_xid();
        if (now != before) since = std::chrono::steady_clock::now();
        before = now;
        return std::chrono::steady_clock::now() - since > 4s;
      },
      60s));
}

/// Draws targets; the same seed draws the same ones from the same WAL.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : random_(seed) {}
  std::size_t below(std::size_t bound) {
    return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random_);
  }
  template <class T>
  const T& one_of(const std::vector<T>& all) {
    REQUIRE(!all.empty());
    return all[below(all.size())];
  }

 private:
  std::mt19937_64 random_;
};

std::uint64_t seed_of_this_run() {
  const auto given = environment_variable("WALBACK_TEST_SEED");
  const std::uint64_t seed = given ? parse_decimal(*given).value() : random_u64();
  MESSAGE("WALBACK_TEST_SEED=" << seed);
  return seed;
}

/// The ledger's entries that the oldest base backup reaches, with what pg_waldump says of their commits.
std::vector<DumpedEnd> reachable_commits(const WaldumpOracle& oracle) {
  std::vector<DumpedEnd> commits = oracle.commits();
  std::erase_if(commits, [&](const DumpedEnd& end) { return end.record <= oracle.backup_ends().front(); });
  return commits;
}

}  // namespace

namespace {

/// Eight writers and one session of everything else, a base backup at the beginning and one in the middle;
/// all of it captured, and quiet.
struct WorkedLab {
  LabFixture lab{LabOptions{.settings = {{"autovacuum", "off"}}}};
  std::vector<LedgerEntry> ledger;
  std::unique_ptr<OtherWork> other;

  explicit WorkedLab(std::uint64_t seed) {
    LoadSetup setup = lab.load_setup(8, 0);
    setup.seed = seed;
    BackgroundLoad load(setup);
    await(load, 200);
    other = std::make_unique<OtherWork>(lab.primary(), seed);
    std::stop_source stop;
    auto work = std::async(std::launch::async, [&] { return other->run(stop.get_token()); });
    lab.ask({"backup"});
    await(load, load.acknowledged() + 5'000);
    lab.ask({"backup"});
    await(load, load.acknowledged() + 3'000);
    load.request_stop();
    const LoadFigures figures = load.finish();
    stop.request_stop();
    const Status worked = work.get();
    REQUIRE_MESSAGE(worked, worked.error().message);
    CHECK(figures.failed == 0);
    wait_for_quiet(lab);
    lab.wait_captured();
    const auto read = read_ledger(lab.ledger());
    REQUIRE(read);
    ledger = read->entries;
  }
  [[nodiscard]] WrittenRows rows() const {
    WrittenRows rows = rows_of(lab);
    rows.insert(rows.end(), other->rows().begin(), other->rows().end());
    return rows;
  }

 private:
  static void await(const BackgroundLoad& load, std::uint64_t acknowledged) {
    REQUIRE(wait_until([&] { return load.acknowledged() >= acknowledged; }, 60s));
  }
};

std::vector<Question> draw_times(const Asker& ask, const WaldumpOracle& oracle, const WorkedLab& worked,
                                 Draw& draw) {
  const auto commits = reachable_commits(oracle);
  std::vector<Question> questions;
  for (int i = 0; i < 4; ++i) {
    const auto time = [&] {
      std::optional<Timestamp> stamped;
      while (!stamped) stamped = draw.one_of(worked.ledger).commit_time;
      return *stamped;
    };
    questions.push_back(ask.time("a commit's own time", time(), false));
    questions.push_back(ask.time("a commit's own time", time(), true));
    questions.push_back(ask.time("the last microsecond before a commit", {time().unix_us - 1}, false));
    const std::size_t at = draw.below(commits.size() - 1);
    const Timestamp middle{(commits[at].time.unix_us + commits[at + 1].time.unix_us) / 2};
    questions.push_back(ask.time("between two commits", middle, draw.below(2) == 0));
  }
  return questions;
}

std::vector<Question> draw_lsns(const Asker& ask, const WaldumpOracle& oracle, const WorkedLab& worked,
                                Draw& draw) {
  constexpr std::uint64_t kPage = 8192, kSegment = 16U << 20;
  const auto commits = reachable_commits(oracle);
  const std::uint64_t from = commits.front().lsn.value, to = oracle.records().back().value;
  const auto anywhere = [&] { return from + draw.below(to - from); };
  std::vector<Question> questions;
  for (const bool before : {false, true}) {
    for (int i = 0; i < 3; ++i) {
      questions.push_back(ask.lsn("a commit's start", draw.one_of(commits).lsn, before));
      questions.push_back(ask.lsn("anywhere", Lsn{anywhere()}, before));
      questions.push_back(ask.lsn("in a record", draw.one_of(oracle.records()) + 1, before));
      questions.push_back(
          ask.lsn("a position of the primary", draw.one_of(worked.other->positions()), before));
      const LedgerEntry& entry = draw.one_of(worked.ledger);
      if (entry.insert_lsn_before)
        questions.push_back(ask.lsn("the ledger's", *entry.insert_lsn_before, before));
    }
    questions.push_back(ask.lsn("a page's first byte", Lsn{anywhere() / kPage * kPage}, before));
    questions.push_back(ask.lsn("a segment's first byte", Lsn{anywhere() / kSegment * kSegment}, before));
    questions.push_back(ask.lsn("the last record", oracle.records().back(), before));
  }
  return questions;
}

std::vector<Question> draw_names_and_xids(const Asker& ask, const WorkedLab& worked, Draw& draw) {
  const OtherWork& other = *worked.other;
  std::vector<Question> questions;
  for (const bool before : {false, true}) {
    for (int i = 0; i < 3; ++i) {
      questions.push_back(ask.xid("a transaction", draw.one_of(worked.ledger).xid, before));
      questions.push_back(ask.xid("a subtransaction", draw.one_of(other.committed_subxids()), before));
      questions.push_back(ask.xid("a prepared one", draw.one_of(other.prepared_xids()), before));
      questions.push_back(ask.name(draw.one_of(other.restore_points()), before));
    }
  }
  return questions;
}

/// Those of both kinds are said to be aborted, and never planned.
void check_aborted(const WorkedLab& worked, const WaldumpOracle& oracle, Draw& draw) {
  for (const auto* xids : {&worked.other->aborted_xids(), &worked.other->aborted_subxids()}) {
    const std::uint32_t xid = draw.one_of(*xids);
    CAPTURE(xid);
    CHECK(oracle.aborted(xid));
    const WalbackRun run = worked.lab.walback({"--json", "plan", "--to-xid", std::to_string(xid)});
    CHECK(run.exit_code == 4);
    CHECK(run.out.find(" was aborted at ") != std::string::npos);
  }
}

/// A time with a commit of it behind the stop: two commits that are stamped in the other order.
std::optional<Question> backwards_by_chance(const Asker& ask, const WaldumpOracle& oracle) {
  const auto commits = reachable_commits(oracle);
  for (std::size_t i = 1; i < commits.size(); ++i) {
    if (commits[i].time >= commits[i - 1].time) continue;
    Question question = ask.time("between two commits stamped backwards", commits[i].time, false);
    if (question.stragglers > 0 && ask.reachable(question)) return question;
  }
  return std::nullopt;
}

}  // namespace

TEST_CASE("exactness: plans agree with pg_waldump, and restores hold exactly the rows that it shows") {
  const std::uint64_t seed = seed_of_this_run();
  WorkedLab worked(seed);
  LabFixture& lab = worked.lab;
  const WaldumpOracle oracle = oracle_of(lab);
  REQUIRE(oracle.backup_ends().size() == 2);
  const Asker ask(lab, oracle);
  const WrittenRows rows = worked.rows();
  MESSAGE(oracle.records().size() << " records, " << oracle.commits().size() << " commits, " << rows.size()
                                  << " rows");

  Draw draw(seed);
  std::vector<Question> questions;
  for (auto&& some : {draw_times(ask, oracle, worked, draw), draw_lsns(ask, oracle, worked, draw),
                      draw_names_and_xids(ask, worked, draw)}) {
    std::ranges::copy_if(some, std::back_inserter(questions),
                         [&](const auto& one) { return ask.reachable(one); });
  }
  const Question latest{"everything", {"--to-latest"}, oracle.at_end()};
  const Question consistent{"the newest base backup", {"--to-consistent"}, oracle.backup_ends().back()};
  questions.push_back(latest);
  questions.push_back(consistent);
  MESSAGE(questions.size() << " targets");
  CHECK(questions.size() >= 30);
  for (const Question& question : questions) ask.check(question);
  check_aborted(worked, oracle, draw);

  // The silence behind the last commit, once a watermark shows that it is one.
  const std::string clock = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
  const Timestamp now{static_cast<std::int64_t>(parse_decimal(lab.value(clock)).value())};
  const Question idle{"the idle stretch", {"--to-time", to_rfc3339(now)}, oracle.at_end()};
  REQUIRE(wait_until([&] { return lab.walback({"plan", "--to-time", to_rfc3339(now)}).ok(); }, 60s));
  ask.check(idle);

  const auto first_of = [&](std::string_view what) {
    const auto found = std::ranges::find_if(questions, [&](const auto& one) { return one.what == what; });
    REQUIRE(found != questions.end());
    return *found;
  };
  check_restore(lab, oracle, rows, first_of("a commit's own time"));
  check_restore(lab, oracle, rows, first_of("anywhere, before"));
  check_restore(lab, oracle, rows, first_of("a transaction, before"));
  check_restore(lab, oracle, rows, first_of("a prepared one"));
  check_restore(lab, oracle, rows, idle);
  // The last commit lies in the segment that is still being written.
  const auto last = oracle.commits().back().lsn.value >> 24;
  CHECK(exists(real_file_system(), lab.archive() / "wal" / "0001" /
                                       fmt::format("00000001{:08X}{:08X}.partial", last >> 8, last & 255)));
  const Json proof = check_restore(lab, oracle, rows, latest);
  CHECK(proof.at("prepared_transactions").size() == 1);
  if (const auto backwards = backwards_by_chance(ask, oracle)) {
    ask.check(*backwards);
    check_restore(lab, oracle, rows, *backwards);
  }
  // Nothing of all this wrote to the archive's WAL.
  CHECK(oracle_of(lab).records().front() == oracle.records().front());
}
