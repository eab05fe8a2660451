#include "lab/pace.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <thread>
#include <vector>

using namespace walback;

TEST_CASE("pace: a rate of 2000 a second is one commit every 500 us, without drift") {
  Pace pace(1'000'000, Pace::interval_of_rate(2'000));
  CHECK(pace.next_due_us(1'000'000) == 1'000'000);
  CHECK(pace.next_due_us(1'000'000) == 1'000'500);
  std::int64_t last = 0;
  for (int i = 2; i <= 20'000; ++i) last = pace.next_due_us(1'000'000);
  CHECK(last == 11'000'000);
}

TEST_CASE("pace: an interval that is no whole number of microseconds does not drift") {
  Pace pace(0, Pace::interval_of_rate(3));
  std::int64_t last = 0;
  for (int i = 0; i <= 3'000; ++i) last = pace.next_due_us(0);
  CHECK(last == 1'000'000'000);
}

TEST_CASE("pace: a backlog of up to a second is made up for, a longer one is forgotten") {
  Pace pace(0, 100'000);
  CHECK(pace.next_due_us(1'000'000) == 0);
  CHECK(pace.next_due_us(1'000'000) == 100'000);
  CHECK(pace.next_due_us(60'000'000) == 60'000'000);
  CHECK(pace.next_due_us(60'000'000) == 60'100'000);
}

TEST_CASE("pace: without a rate every commit is due at once") {
  Pace pace(0, Pace::interval_of_rate(0));
  CHECK(pace.next_due_us(17) == 17);
  CHECK(pace.next_due_us(18) == 18);
}

TEST_CASE("row ids: unique and ascending in one run, from many threads") {
  RowIds ids(7);
  std::vector<std::vector<std::int64_t>> drawn(4);
  {
    std::vector<std::jthread> threads;
    for (auto& mine : drawn) {
      threads.emplace_back([&mine, &ids] {
        for (int i = 0; i < 5'000; ++i) mine.push_back(ids.next(1'800'000'000'000'000 + i / 100));
      });
    }
  }
  std::set<std::int64_t> all;
  for (const auto& mine : drawn) {
    CHECK(std::is_sorted(mine.begin(), mine.end()));
    all.insert(mine.begin(), mine.end());
  }
  CHECK(all.size() == 20'000);
}

TEST_CASE("row ids: two runs with other salts never meet, not even in the same microsecond") {
  RowIds one(3), two(4);
  std::set<std::int64_t> all;
  for (int i = 0; i < 1'000; ++i) {
    all.insert(one.next(1'800'000'000'000'000));
    all.insert(two.next(1'800'000'000'000'000));
  }
  CHECK(all.size() == 2'000);
}

TEST_CASE("row ids: a clock that jumps back repeats nothing, and every id is exact in a double") {
  RowIds ids(31);
  const std::int64_t first = ids.next(1'800'000'000'000'000);
  const std::int64_t second = ids.next(1'700'000'000'000'000);
  CHECK(second > first);
  CHECK(ids.next(8'900'000'000'000'000) < std::int64_t{1} << 53);
  ids.change_salt(0);
  CHECK(ids.next(0) % 32 == 0);
}

TEST_CASE("latencies: quantiles are at most a sixteenth above the truth and never above the largest") {
  Latencies latencies;
  CHECK(latencies.quantile_us(0.99) == 0);
  for (int i = 1; i <= 10'000; ++i) latencies.add(i);
  CHECK(latencies.count() == 10'000);
  CHECK(latencies.quantile_us(0.5) >= 5'000);
  CHECK(latencies.quantile_us(0.5) <= 5'000 * 17 / 16);
  CHECK(latencies.quantile_us(0.99) >= 9'900);
  CHECK(latencies.quantile_us(0.99) <= 10'000);
  CHECK(latencies.quantile_us(1.0) == 10'000);
  Latencies other;
  other.add(INT64_MAX);
  other.add(-5);
  other.add(latencies);
  CHECK(other.count() == 10'002);
  CHECK(other.quantile_us(1.0) == INT64_MAX);
}
