#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <thread>

#include "archive/watermark.h"
#include "integration/support/exactness.h"
#include "os/system.h"
#include "pg/server.h"
#include "pg/watermark_queries.h"

/// "Every commit stamped at or before W lies below L" is the rule that idle restores hang on. Here a server
/// that commits as fast as it can is asked for thousands of watermarks; pg_waldump says of each what was
/// stamped at or before W and lies at or beyond L.
using namespace walback;
using namespace walback::test;
using namespace std::chrono_literals;

namespace {

/// More than cores, so that a backend is often taken off its core between its stamp and its record.
constexpr int kCommitters = 12, kSamplers = 3;
/// Two idle cores reach 230,000. Below, too few commits are under way at any moment.
constexpr double kLeastCommitsPerSecond = 16'000;
constexpr auto kSampling = 3s, kHastySampling = 1s;
constexpr int kRounds = 5;  ///< without the wait, until it fails
/// On a loaded machine it takes longer to get them, up to this.
constexpr std::size_t kLeastSamples = 100;
constexpr auto kSamplingPatience = 20s;

struct Sample {
  Timestamp w;
  Lsn l;
};

/// Each of its transactions has an xid, and some a subtransaction that has one too; nothing else costs time.
constexpr const char* kCommit = R"(
DO $$ BEGIN
  LOOP
    PERFORM pg_current_xact_id();
    COMMIT;
    BEGIN PERFORM pg_current_xact_id(); EXCEPTION WHEN unique_violation THEN NULL; END;
    COMMIT;
  END LOOP;
END $$)";

/// Prepares, and commits what was prepared two rounds ago: always some are open.
Status prepare_and_commit(Connection& connection, const std::stop_token& stop) {
  for (int i = 0; !stop.stop_requested(); ++i) {
    TRY(connection.execute("BEGIN"));
    TRY(connection.execute("SELECT pg_current_xact_id()"));
    TRY(connection.execute(fmt::format("PREPARE TRANSACTION 'p{}'", i)));
    if (i >= 2) TRY(connection.execute(fmt::format("COMMIT PREPARED 'p{}'", i - 2)));
  }
  return {};
}

/// The committers, until the end of the scope.
class Committers {
 public:
  explicit Committers(const LabFixture& lab) : lab_(lab) {
    for (int i = 0; i < kCommitters; ++i) {
      connections_.push_back(lab.primary());
      REQUIRE(connections_.back().execute("SET synchronous_commit = off"));
    }
    for (Connection& connection : connections_)
      threads_.emplace_back([&connection] { static_cast<void>(connection.execute(kCommit)); });
    prepared_ = lab.primary();
    REQUIRE(prepared_->execute("SET synchronous_commit = off"));
    preparing_ = std::jthread(
        [this](const std::stop_token& stop) { static_cast<void>(prepare_and_commit(*prepared_, stop)); });
    const std::string committing = fmt::format("SELECT count(*) {}", kCommitting);
    REQUIRE(wait_until([&] { return lab.value(committing) == std::to_string(kCommitters); }, 30s));
  }
  ~Committers() {
    preparing_.request_stop();
    lab_.execute(fmt::format("SELECT pg_terminate_backend(pid) {}", kCommitting));
  }
  Committers(const Committers&) = delete;
  Committers& operator=(const Committers&) = delete;

 private:
  static constexpr std::string_view kCommitting =
      "FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%LOOP%' AND pid <> pg_backend_pid()";
  const LabFixture& lab_;
  std::vector<Connection> connections_;
  std::optional<Connection> prepared_;
  std::vector<std::jthread> threads_;
  std::jthread preparing_;
};

/// By the rule.
std::optional<Sample> take(Connection& connection) {
  const auto round = take_watermark(connection, {1}, real_clock(), {});
  REQUIRE_MESSAGE(round, round.error().message);
  if (!round->taken) return std::nullopt;
  return Sample{round->taken->time, round->taken->lsn};
}

/// The same questions in the same order, and nobody waited for.
std::optional<Sample> take_without_waiting(Connection& connection) {
  const auto w = server_clock(connection);
  REQUIRE(w);
  REQUIRE(write_transactions(connection));
  const auto l = insert_lsn(connection);
  REQUIRE(l);
  return Sample{*w, *l};
}

struct Sampling {
  std::vector<Sample> samples;
  std::size_t unsettled = 0;  ///< rounds without a watermark
};

/// For `duration`, and on until there are kLeastSamples.
template <class Take>
Sampling sample(const LabFixture& lab, std::chrono::milliseconds duration, const Take& take_one) {
  std::vector<Sampling> of(kSamplers);
  {
    std::vector<std::jthread> threads;
    for (Sampling& mine : of)
      threads.emplace_back([&, connection = lab.primary()]() mutable {
        const auto begun = std::chrono::steady_clock::now();
        while (true) {
          const auto passed = std::chrono::steady_clock::now() - begun;
          const bool enough = mine.samples.size() > kLeastSamples / kSamplers;
          if (passed >= (enough ? duration : kSamplingPatience)) break;
          if (const auto taken = take_one(connection))
            mine.samples.push_back(*taken);
          else
            ++mine.unsettled;
        }
      });
  }
  Sampling all;
  for (const Sampling& one : of) {
    std::ranges::copy(one.samples, std::back_inserter(all.samples));
    all.unsettled += one.unsettled;
  }
  return all;
}

/// Of the samples, those that a commit contradicts: stamped at or before W, and at or beyond L.
std::size_t contradicted(const WaldumpOracle& oracle, const std::vector<Sample>& samples) {
  const auto commits = oracle.commits();
  std::vector<Timestamp> earliest_behind(commits.size());
  Timestamp earliest{std::numeric_limits<std::int64_t>::max()};
  for (std::size_t i = commits.size(); i-- > 0;) {
    earliest = std::min(earliest, commits[i].time);
    earliest_behind[i] = earliest;
  }
  return static_cast<std::size_t>(std::ranges::count_if(samples, [&](const Sample& each) {
    const auto behind = std::ranges::lower_bound(commits, each.l, {}, &DumpedEnd::lsn);
    return behind != commits.end() &&
           earliest_behind[static_cast<std::size_t>(behind - commits.begin())] <= each.w;
  }));
}

/// Between the first and the last sample.
double commits_per_second(const WaldumpOracle& oracle, const std::vector<Sample>& samples) {
  const auto [first, last] = std::ranges::minmax(samples, {}, &Sample::w);
  const auto commits = std::ranges::count_if(
      oracle.commits(), [&](const DumpedEnd& each) { return each.time > first.w && each.time <= last.w; });
  return static_cast<double>(commits) * 1e6 / static_cast<double>(last.w.unix_us - first.w.unix_us);
}

}  // namespace

TEST_CASE("watermark: under thousands of commits a second none is contradicted; without the wait some are") {
  LabFixture lab(LabOptions{.settings = {{"autovacuum", "off"}, {"max_prepared_transactions", "10"}}});
  Sampling by_the_rule;
  std::vector<Sampling> hasty;
  {
    const Committers committers(lab);
    by_the_rule = sample(lab, kSampling, take);
    hasty.push_back(sample(lab, kHastySampling, take_without_waiting));
  }
  lab.wait_captured();
  WaldumpOracle oracle = oracle_of(lab);
  const double rate = commits_per_second(oracle, by_the_rule.samples);
  MESSAGE(static_cast<std::int64_t>(rate)
          << " commits a second, " << by_the_rule.samples.size() << " watermarks by the rule ("
          << by_the_rule.unsettled << " rounds without one), " << hasty.front().samples.size()
          << " without the wait");
  CHECK(rate >= kLeastCommitsPerSecond);
  CHECK(by_the_rule.samples.size() >= kLeastSamples);
  CHECK(contradicted(oracle, by_the_rule.samples) == 0);

  std::size_t wrong = contradicted(oracle, hasty.front().samples);
  while (wrong == 0 && hasty.size() < kRounds) {
    {
      const Committers committers(lab);
      hasty.push_back(sample(lab, kHastySampling, take_without_waiting));
    }
    lab.wait_captured();
    oracle = oracle_of(lab);
    wrong = contradicted(oracle, hasty.back().samples);
  }
  MESSAGE(wrong << " of " << hasty.back().samples.size() << " without the wait are contradicted, round "
                << hasty.size());
  CHECK(wrong > 0);
}
