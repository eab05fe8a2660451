#include <algorithm>

#include "catalog_fixture.h"

namespace walback {
namespace {

using namespace catalog_test;

SegmentName name(std::uint64_t number, std::uint32_t timeline = 1) {
  return {{timeline}, {number}};
}

std::vector<std::uint64_t> numbers(const std::vector<SegmentRow>& rows) {
  std::vector<std::uint64_t> found;
  for (const SegmentRow& row : rows) found.push_back(row.name.number.value);
  return found;
}
using Numbers = std::vector<std::uint64_t>;

TEST_CASE("segments: every column comes back; what concerns the ends is taken from them") {
  auto catalog = value(Catalog::open(":memory:"));
  auto late = end_at(lsn_in(7, 500), 5, 900, TransactionEndKind::abort);
  late.subxids = {100, 2000};
  SegmentRow row = segment_with(7, {end_at(lsn_in(6, kSegmentBytes - 16), 10, 733), late});
  row.state = SegmentState::ended;
  row.first_record_lsn = lsn_in(6, kSegmentBytes - 16);
  row.last_record_lsn = lsn_in(7, 500);
  row.mtime_ns = 1'795'176'000'123'456'789;
  row.file_crc32c = UINT32_MAX;
  row.records = 17;
  row.problem = "damaged at 0/7000148: bad CRC";
  value(catalog.put_segment(row));
  const SegmentRow read = *value(catalog.segment_with_ends(name(7), 1));
  CHECK(read.name == row.name);
  CHECK(read.state == SegmentState::ended);
  CHECK(read.start_lsn == row.start_lsn);
  CHECK(read.valid_end_lsn == row.valid_end_lsn);
  CHECK(read.first_record_lsn == row.first_record_lsn);
  CHECK(read.last_record_lsn == row.last_record_lsn);
  CHECK(read.size_bytes == row.size_bytes);
  CHECK(read.mtime_ns == row.mtime_ns);
  CHECK(read.file_crc32c == row.file_crc32c);
  CHECK(read.records == 17);
  CHECK(read.commits == 1);
  CHECK(read.aborts == 1);
  CHECK(read.first_time == at(10));
  CHECK(read.last_time == at(5));
  CHECK(read.min_time == at(5));
  CHECK(read.max_time == at(10));
  CHECK(read.min_xid == 100);
  CHECK(read.max_xid == 2000);
  CHECK(read.problem == row.problem);
  CHECK(read.ends == row.ends);
  CHECK(value(catalog.segment(name(7)))->ends.empty());
  CHECK_FALSE(value(catalog.segment(name(8))));
}

TEST_CASE("segments: a row read without its ends cannot be written back") {
  auto catalog = value(Catalog::open(":memory:"));
  value(catalog.put_segment(segment_with(7, {end_at(lsn_in(7, 8), 1, 733)})));
  SegmentRow row = *value(catalog.segment(name(7)));
  CHECK(
      catalog.put_segment(row).error() ==
      Error{
          ErrorKind::internal,
          "segment 000000010000000000000007 counts 1 transaction ends and brings 0: it was read without them",
          ""});
  CHECK(catalog.extend_segment(row));
  CHECK(value(catalog.segment_with_ends(name(7), 1))->ends.size() == 1);
}

TEST_CASE("segments: impossible rows are refused") {
  auto catalog = value(Catalog::open(":memory:"));
  CHECK(
      catalog.put_segment(segment_with(7, {end_at(lsn_in(7, 80), 1, 1), end_at(lsn_in(7, 80), 1, 2)}))
          .error() ==
      Error{
          ErrorKind::internal,
          "the transaction ends of segment 000000010000000000000007 do not ascend: 0/7000050 after 0/7000050",
          ""});
  SegmentRow row = segment_with(7, {});
  row.start_lsn = {12345};
  CHECK(catalog.put_segment(row).error() ==
        Error{ErrorKind::internal, "segment 7 of timeline 1 cannot start at 0/3039", ""});
  CHECK(catalog.set_segment_problem(name(7), 1, "x").error() ==
        Error{ErrorKind::not_found, "segment 7 of timeline 1 in epoch 1 is not in the catalog", ""});
  CHECK_FALSE(value(catalog.segment(name(7))));
}

TEST_CASE("segments: the open one is extended, in small and large steps") {
  auto catalog = value(Catalog::open(":memory:"));
  SegmentRow row = segment_with(7, {});
  row.state = SegmentState::open;
  std::vector<TransactionEnd> all;
  for (const std::size_t step : {1U, 0U, 3U, 5000U, 1U, 1U, 9000U, 2U}) {
    row.ends.clear();
    for (std::size_t i = 0; i < step; ++i) {
      const auto n = static_cast<std::uint32_t>(all.size());
      all.push_back(end_at(lsn_in(7, 64 + 64 * std::uint64_t{n}), n, 1000 + n));
      row.ends.push_back(all.back());
    }
    row.valid_end_lsn = all.back().end_lsn;
    value(catalog.extend_segment(row));
    REQUIRE(value(catalog.segment_with_ends(name(7), 1))->ends == all);
  }
  CHECK(value(catalog.segment(name(7)))->commits == all.size());
  CHECK(value(catalog.segment(name(7)))->max_time == all.back().time);
  CHECK_FALSE(catalog.extend_segment(row));  // the last two again
  row.state = SegmentState::finished;
  row.ends = {all[0]};
  value(catalog.put_segment(row));
  CHECK(value(catalog.segment_with_ends(name(7), 1))->ends.size() == 1);
  CHECK_FALSE(value(catalog.first_end_stamped_after(range_of({}), at(1))));
}

TEST_CASE("segments: neighbours, borders and order of a timeline") {
  auto catalog = value(Catalog::open(":memory:"));
  for (const std::uint64_t number : {9, 3, 300, 4}) value(catalog.put_segment(segment_with(number, {})));
  value(catalog.put_segment(segment_with(5, {}, 2)));
  CHECK(value(catalog.oldest_segment({1}))->name == name(3));
  CHECK(value(catalog.newest_segment({1}))->name == name(300));
  CHECK(value(catalog.newest_segment_before(name(9)))->name == name(4));
  CHECK_FALSE(value(catalog.newest_segment_before(name(3))));
  CHECK_FALSE(value(catalog.newest_segment({7})));
  std::vector<SegmentRow> rows;
  const auto collect = [&](const SegmentRow& row) {
    rows.push_back(row);
    return rows.size() < 4;
  };
  value(catalog.each_segment(collect));
  CHECK(numbers(rows) == Numbers{3, 4, 9, 300});
  rows.clear();
  value(catalog.each_segment({1}, {4}, {9}, collect));
  CHECK(numbers(rows) == Numbers{4, 9});
}

TEST_CASE("segments: of two epochs one counts") {
  auto catalog = value(Catalog::open(":memory:"));
  SegmentRow first = segment_with(7, {end_at(lsn_in(7, 80), 1, 733), end_at(lsn_in(7, 800), 50, 734)});
  SegmentRow second = segment_with(7, {end_at(lsn_in(7, 80), 1, 733)}, 1, 2);
  second.valid_end_lsn = lsn_in(7, 400);
  value(catalog.put_segment(first));
  value(catalog.put_segment(second));
  CHECK(value(catalog.segment(name(7)))->epoch == 1);  // it reaches further
  CHECK(value(catalog.segment(name(7), 2))->superseded);
  value(catalog.set_segment_problem(name(7), 1, "damaged at 0/7000190"));
  CHECK(value(catalog.segment(name(7)))->epoch == 2);  // sound before damaged
  CHECK(value(catalog.segment(name(7), 1))->superseded);
  CHECK_FALSE(value(catalog.first_end_stamped_after(range_of({}), at(1))));
  value(catalog.put_segment(first));
  CHECK(value(catalog.segment(name(7)))->epoch == 1);
  second.valid_end_lsn = first.valid_end_lsn;
  second.ends = first.ends;
  value(catalog.put_segment(second));
  CHECK(value(catalog.segment(name(7)))->epoch == 2);  // as far, and newer
  int counted = 0;
  value(catalog.each_end(range_of({}), [&](const TransactionEnd&) { return ++counted > 0; }));
  CHECK(counted == 2);
  std::vector<std::uint32_t> of_first;
  value(catalog.each_segment_of_epoch(1, [&](const SegmentRow& row) {
    of_first.push_back(row.epoch);
    return true;
  }));
  CHECK(of_first == std::vector<std::uint32_t>{1});
}

TEST_CASE("segments: what changed since, in pages, each change once more") {
  auto catalog = value(Catalog::open(":memory:"));
  for (const std::uint64_t number : {1, 2, 3}) value(catalog.put_segment(segment_with(number, {})));
  std::int64_t version = 0;
  CHECK(numbers(value(catalog.segments_changed_since(0, 2, version))) == Numbers{1, 2});
  CHECK(numbers(value(catalog.segments_changed_since(version, 2, version))) == Numbers{3});
  CHECK(value(catalog.segments_changed_since(version, 2, version)).empty());
  value(catalog.set_segment_problem(name(2), 1, "gone"));
  value(catalog.put_segment(segment_with(1, {})));
  CHECK(numbers(value(catalog.segments_changed_since(version, 9, version))) == Numbers{2, 1});
  value(catalog.put_segment(segment_with(3, {}, 1, 2)));  // supersedes: both rows are news
  CHECK(numbers(value(catalog.segments_changed_since(version, 9, version))) == Numbers{3, 3});
}

}  // namespace
}  // namespace walback
