#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "catalog/catalog.h"

using namespace walback;

namespace {

constexpr std::uint64_t kSegment = 16ULL << 20;

void put(Catalog& catalog, std::uint64_t number, std::uint32_t epoch = 1,
         SegmentState state = SegmentState::finished, const std::string& problem = {}) {
  SegmentRow row;
  row.name = {{1}, {number}};
  row.epoch = epoch;
  row.state = state;
  row.start_lsn = Lsn{number * kSegment};
  row.valid_end_lsn = row.start_lsn + kSegment;
  row.problem = problem;
  REQUIRE(catalog.put_segment(row));
}

std::string runs(const Catalog& catalog, std::uint64_t from = 0, std::uint64_t to = UINT64_MAX / 2) {
  std::string text;
  REQUIRE(catalog.each_segment_run({1}, {from}, {to}, [&](const Catalog::Run& run) {
    text += std::to_string(run.first.value) + '-' + std::to_string(run.last.value) + " epoch " +
            std::to_string(run.epoch) + (run.sound ? "; " : " unsound; ");
    return true;
  }));
  return text;
}

}  // namespace

TEST_CASE("catalog: runs end at gaps, epochs, and segments that are not sound") {
  auto catalog = Catalog::open(":memory:");
  REQUIRE(catalog);
  CHECK(runs(*catalog).empty());
  for (const auto number : {2, 3, 4, 6, 7}) put(*catalog, static_cast<std::uint64_t>(number));
  CHECK(runs(*catalog) == "2-4 epoch 1; 6-7 epoch 1; ");
  put(*catalog, 8, 2);
  put(*catalog, 9, 2, SegmentState::finished, "damaged at 0/9000100: a test");
  put(*catalog, 10, 2, SegmentState::open);
  CHECK(runs(*catalog) ==
        "2-4 epoch 1; 6-7 epoch 1; 8-8 epoch 2; 9-9 epoch 2 unsound; 10-10 epoch 2 unsound; ");
  CHECK(runs(*catalog, 3, 6) == "3-4 epoch 1; 6-6 epoch 1; ");
  CHECK(runs(*catalog, 11, 20).empty());
  std::size_t visited = 0;
  REQUIRE(catalog->each_segment_run({1}, {0}, {100}, [&](const Catalog::Run&) { return ++visited < 2; }));
  CHECK(visited == 2);
}

TEST_CASE("catalog: runs of many thousand segments are one") {
  auto catalog = Catalog::open(":memory:");
  REQUIRE(catalog);
  REQUIRE(catalog->transaction([&]() -> Status {
    for (std::uint64_t number = 10; number < 9'500; ++number)
      if (number != 9'000) put(*catalog, number);
    return {};
  }));
  CHECK(runs(*catalog) == "10-8999 epoch 1; 9001-9499 epoch 1; ");
}
