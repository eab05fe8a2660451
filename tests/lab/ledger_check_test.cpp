#include "lab/ledger_check.h"

#include <doctest/doctest.h>

using namespace walback;

namespace {

const SegmentSize kSize = *SegmentSize::from_bytes(16U << 20);

LedgerEntry committed(std::int64_t id, int writer, std::uint64_t before, std::uint64_t after) {
  LedgerEntry entry;
  entry.id = id;
  entry.writer = writer;
  entry.xid = static_cast<std::uint32_t>(1000 + id);
  entry.insert_lsn_before = Lsn{before};
  entry.insert_lsn_after = Lsn{after};
  return entry;
}
LedgerEntry doubtful(std::int64_t id, int writer, std::uint64_t before) {
  LedgerEntry entry = committed(id, writer, before, 0);
  entry.insert_lsn_after.reset();
  entry.state = LedgerState::in_doubt;
  return entry;
}
SeenLoadRow seen(std::int64_t id, int writer = 0) {
  return {id, writer, static_cast<std::uint32_t>(1000 + id)};
}
/// Writer 0 commits 1, 2, 3, 4 at 100, 200, 300, 400 of segment 3.
constexpr std::uint64_t kBegin = 0x3000000;
std::vector<LedgerEntry> four() {
  std::vector<LedgerEntry> entries;
  for (int i = 1; i <= 4; ++i)
    entries.push_back(committed(i, 0, kBegin + static_cast<std::uint64_t>(i) * 0x100,
                                kBegin + static_cast<std::uint64_t>(i) * 0x100 + 0x80));
  return entries;
}
LedgerCheck check(const std::vector<LedgerEntry>& entries, std::vector<SeenLoadRow> rows,
                  std::uint64_t stop) {
  return check_ledger(entries, std::move(rows), Lsn{kBegin + stop}, kSize);
}

}  // namespace

TEST_CASE("ledger check: what was committed before the stop is there, and nothing behind it") {
  const LedgerCheck found = check(four(), {seen(2), seen(1)}, 0x300);
  CHECK(found.differences() == 0);
  CHECK(found.rows == 2);
  CHECK(found.confirmed == 2);
  CHECK(found.later == 2);
  CHECK(found.first.empty());
}

TEST_CASE("ledger check: each kind of difference, in words") {
  CHECK(check(four(), {seen(1)}, 0x300).first ==
        std::vector<std::string>{
            "row 2 of writer 0, transaction 1002, committed before 0/3000280: was committed, and is "
            "not there"});
  CHECK(check(four(), {seen(1), seen(2), seen(2)}, 0x300).first ==
        std::vector<std::string>{
            "row 2 of writer 0, transaction 1002, committed before 0/3000280: is there 2 times"});
  CHECK(check(four(), {seen(1), seen(2), seen(3)}, 0x300).first ==
        std::vector<std::string>{
            "row 3 of writer 0, transaction 1003, committed before 0/3000380: is there, and was "
            "committed later"});
  CHECK(check(four(), {seen(1), seen(2), seen(9, 7)}, 0x300).first ==
        std::vector<std::string>{
            "row 9 of writer 7, transaction 1009: is there, and the ledger does not know it"});
  CHECK(check(four(), {seen(1), {2, 0, 77}}, 0x300).first ==
        std::vector<std::string>{
            "row 2 of writer 0, transaction 1002, committed before 0/3000280: was written by "
            "transaction 77, the ledger says 1002"});
  const LedgerCheck lost = check(four(), {}, 0x500);
  CHECK(lost.lost == 4);
  CHECK(lost.reordered == 0);
}

TEST_CASE("ledger check: a hole in what one writer committed, where the stop does not tell") {
  std::vector<LedgerEntry> entries{committed(1, 0, kBegin + 0x100, kBegin + 0x900),
                                   committed(2, 0, kBegin + 0x110, kBegin + 0x900)};
  const LedgerCheck found = check(entries, {seen(2)}, 0x300);
  CHECK(found.lost == 0);
  CHECK(found.reordered == 1);
  CHECK(found.at_the_stop == 1);
  CHECK(found.first ==
        std::vector<std::string>{"row 1 of writer 0, transaction 1001, committed before 0/3000900: is not "
                                 "there, and row 2, which writer 0 committed later, is"});
  // Of another writer nothing follows.
  entries[1].writer = 1;
  CHECK(check(entries, {seen(2)}, 0x300).differences() == 0);
}

TEST_CASE("ledger check: a commit in doubt may be there or not; one that was never sent may not") {
  std::vector<LedgerEntry> entries{doubtful(1, 0, kBegin + 0x100), doubtful(2, 1, kBegin + 0x100)};
  const LedgerCheck found = check(entries, {seen(1)}, 0x300);
  CHECK(found.differences() == 0);
  CHECK(found.in_doubt_there == 1);
  CHECK(found.in_doubt_absent == 1);
  entries[0].state = LedgerState::failed;
  CHECK(check(entries, {seen(1)}, 0x300).unknown == 1);
  entries[0].state = LedgerState::in_doubt;
  entries[0].settled = Settlement::aborted;
  CHECK(check(entries, {seen(1)}, 0x300).unknown == 1);
}

TEST_CASE("ledger check: a page header at the stop is no difference") {
  const std::vector<LedgerEntry> entries{committed(1, 0, 0x3001F80, 0x3002018)};
  // Replay ended at the page's first byte, behind which only its header lies.
  CHECK(check_ledger(entries, {}, Lsn{0x3002000}, kSize).lost == 1);
}
