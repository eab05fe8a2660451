#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <random>

#include "base/text.h"
#include "integration/support/exactness.h"
#include "integration/support/lab_fixture.h"
#include "integration/support/other_work.h"
#include "integration/support/waldump_oracle.h"
#include "os/system.h"

/// Whatever a person may ask for: the plan's last commit in and first commit out are those that PostgreSQL's
/// own pg_waldump shows around the stop, and what a restore opens holds exactly the rows of the commits
/// before it.
using namespace walback;
using namespace walback::test;
using namespace std::chrono_literals;

namespace {

/// By the primary's clock.
Timestamp now_on(const LabFixture& lab) {
  const auto now = lab.value("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint");
  return {static_cast<std::int64_t>(parse_decimal(now).value())};
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
    setup.rate = 3'000;  // busy enough for stamps that run backwards, and no more WAL than that takes
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
    WrittenRows rows = ledger_rows(lab);
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
  const Question latest = ask.latest();
  const Question consistent{"the newest base backup", {"--to-consistent"}, oracle.backup_ends().back()};
  questions.push_back(latest);
  questions.push_back(consistent);
  MESSAGE(questions.size() << " targets");
  CHECK(questions.size() >= 30);
  for (const Question& question : questions) ask.check(question);
  check_aborted(worked, oracle, draw);

  // The silence behind the last commit, once a watermark shows that it is one.
  const Timestamp now = now_on(lab);
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

TEST_CASE("exactness: restores while the primary goes on committing") {
  LabFixture lab(LabOptions{.settings = {{"autovacuum", "off"}}});
  LoadSetup setup = lab.load_setup(8, 0);
  setup.rate = 1'000;
  BackgroundLoad load(setup);
  REQUIRE(wait_until([&] { return load.acknowledged() > 0; }, 60s));
  lab.ask({"backup"});
  const std::uint64_t then = load.acknowledged() + 2'000;
  REQUIRE(wait_until([&] { return load.acknowledged() >= then; }, 60s));

  const Timestamp a_second_ago{now_on(lab).unix_us - 1'000'000};
  const auto latest = lab.restore({"--to-latest"});
  const auto timed = lab.restore({"--to-time", to_rfc3339(a_second_ago)});
  const auto in_latest = ids_in(lab.connect(latest)), in_timed = ids_in(lab.connect(timed));
  load.request_stop();
  load.finish();
  lab.wait_captured();

  const WaldumpOracle oracle = oracle_of(lab);
  const WrittenRows rows = ledger_rows(lab);
  const Json& expected = latest.proof.at("expected");
  const Lsn stop = parse_lsn(expected.at("stop_lsn").get<std::string>()).value();
  const auto cut = oracle.at_lsn(stop, !expected.at("inclusive").get<bool>());
  REQUIRE(cut);
  CHECK(in_latest.size() > 2'000);
  CHECK(in_latest.size() < rows.size());
  CHECK(in_latest == oracle.visible(rows, *cut));
  const auto cut_at_time = oracle.at_time(a_second_ago, false);
  REQUIRE(cut_at_time);
  CHECK(in_timed == oracle.visible(rows, *cut_at_time));
  CHECK(latest.proof.at("verdict") == "proven");
  CHECK(timed.proof.at("verdict") == "proven");
}
