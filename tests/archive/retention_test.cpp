#include "archive/retention.h"

#include <doctest/doctest.h>

using namespace walback;

namespace {

constexpr std::uint64_t kSegmentBytes = 16U << 20;

Lsn in_segment(std::uint64_t number, std::uint64_t offset = 40) {
  return {number * kSegmentBytes + offset};
}

RetentionBackup backup(const std::string& id, std::uint64_t segment, std::uint32_t timeline = 1,
                       const std::string& unusable = "") {
  RetentionBackup one;
  one.row.id = id;
  one.row.timeline = {timeline};
  one.row.start_lsn = in_segment(segment);
  one.row.stop_lsn = in_segment(segment, 4'000);
  one.unusable_because = unusable;
  return one;
}

RetentionWal wal(std::uint64_t first, std::uint64_t last, std::uint32_t timeline = 1) {
  return {{timeline}, {first}, {last}};
}

TimelineHistory history(std::uint32_t timeline, std::uint32_t parent, Lsn switch_lsn) {
  return {{timeline}, {{{parent}, switch_lsn, "failover"}}};
}

RetentionInput input(std::uint64_t keep) {
  return {.keep = keep, .size = *SegmentSize::from_bytes(kSegmentBytes)};
}

std::string told(const RetentionInput& asked) {
  const Retention retention = decide_retention(asked);
  std::string text;
  for (const BackupVerdict& verdict : retention.backups)
    text += verdict.row.id + (verdict.stays ? " stays: " : " goes: ") + verdict.why + "\n";
  for (const WalVerdict& verdict : retention.wal)
    text += std::to_string(verdict.timeline.value) + "/" + std::to_string(verdict.first.value) + "-" +
            std::to_string(verdict.last.value) + (verdict.stays ? " stays: " : " goes: ") + verdict.why +
            "\n";
  return text;
}

}  // namespace

TEST_CASE("retention: the newest usable ones stay, with all WAL from the oldest of them on") {
  RetentionInput asked = input(2);
  asked.backups = {backup("c", 30), backup("a", 10), backup("b", 20)};
  asked.wal = {wal(5, 40)};
  asked.newest_captured = SegmentName{{1}, {40}};
  CHECK(told(asked) ==
        "a goes: older than the 2 newest usable ones\n"
        "b stays: usable, 2 of the 2 newest\n"
        "c stays: usable, 1 of the 2 newest\n"
        "1/5-19 goes: before all base backups that stay\n"
        "1/20-40 stays: needed from base backup b on, which starts at 0/14000028\n");
  const Expiry expiry = expiry_of(decide_retention(asked), asked.size);
  CHECK(expiry == Expiry{{{"a", in_segment(10)}}, {{{1}, {20}, in_segment(20, 0)}}});
}

TEST_CASE("retention: what is not usable is not counted, and goes only behind all that stay") {
  RetentionInput asked = input(1);
  asked.backups = {backup("a", 10, 1, "damaged"), backup("b", 20),
                   backup("c", 30, 1, "its WAL is not there")};
  asked.wal = {wal(5, 40)};
  CHECK(told(asked) ==
        "a goes: not usable (damaged), and older than all that stay\n"
        "b stays: the newest usable one\n"
        "c stays: not usable (its WAL is not there), but newer than the oldest that stays: not counted\n"
        "1/5-19 goes: before all base backups that stay\n"
        "1/20-40 stays: needed from base backup b on, which starts at 0/14000028\n");
}

TEST_CASE("retention: one whose place in the WAL cannot be read may be the newest, and stays") {
  RetentionInput asked = input(1);
  asked.backups = {backup("a", 10), backup("b", 20), backup("c", 0, 0, "permission denied")};
  asked.backups[2].row.start_lsn = asked.backups[2].row.stop_lsn = {};
  asked.wal = {wal(5, 40)};
  CHECK(told(asked) ==
        "c stays: not usable (permission denied), and its place in the WAL cannot be read: not counted\n"
        "a goes: older than the newest usable one\n"
        "b stays: the newest usable one\n"
        "1/5-19 goes: before all base backups that stay\n"
        "1/20-40 stays: needed from base backup b on, which starts at 0/14000028\n");
}

TEST_CASE("retention: without a usable base backup nothing goes") {
  RetentionInput asked = input(1);
  asked.backups = {backup("a", 10, 1, "damaged"), backup("b", 20, 1, "damaged")};
  asked.wal = {wal(5, 40)};
  CHECK(told(asked) ==
        "a stays: no base backup is usable: nothing goes until there is one\n"
        "b stays: no base backup is usable: nothing goes until there is one\n"
        "1/5-40 stays: no base backup is usable\n");
  asked.backups.clear();
  CHECK(told(asked) == "1/5-40 stays: there is no base backup yet\n");
}

TEST_CASE("retention: a clock that was set back makes no base backup older") {
  RetentionInput asked = input(1);
  asked.backups = {backup("20261120T100000Z", 10), backup("20251120T100000Z", 20)};
  asked.backups[0].row.started_at = {2'000};
  asked.backups[1].row.started_at = {1'000};
  CHECK(told(asked) ==
        "20261120T100000Z goes: older than the newest usable one\n"
        "20251120T100000Z stays: the newest usable one\n");
}

TEST_CASE("retention: days keep the one that reaches back, and all taken after it") {
  RetentionInput asked = input(1);
  asked.backups = {backup("a", 10), backup("b", 20), backup("c", 30), backup("d", 35)};
  asked.wal = {wal(5, 40)};
  asked.since = Timestamp{1'795'176'000'000'000};
  asked.since_lsn = {{{1}, in_segment(25)}};
  CHECK(told(asked) ==
        "a goes: older than the newest usable one, and not needed for 2026-11-20T12:00:00.000000Z and later\n"
        "b stays: reaches back to 2026-11-20T12:00:00.000000Z\n"
        "c stays: taken after 2026-11-20T12:00:00.000000Z\n"
        "d stays: the newest usable one\n"
        "1/5-19 goes: before all base backups that stay\n"
        "1/20-40 stays: needed from base backup b on, which starts at 0/14000028\n");
  // It ends behind that moment: only the one before it reaches back.
  asked.since_lsn = {{{1}, in_segment(20, 100)}};
  CHECK(told(asked).starts_with("a stays: reaches back to 2026-11-20T12:00:00.000000Z\n"));
  // Older than everything: everything stays.
  asked.since_lsn = {{{1}, in_segment(6)}};
  CHECK(told(asked).starts_with("a stays: taken after 2026-11-20T12:00:00.000000Z\n"));
}

TEST_CASE("retention: every timeline that leads on from a base backup that stays is kept whole") {
  RetentionInput asked = input(2);
  asked.backups = {backup("a", 10), backup("b", 20), backup("c", 32, 2)};
  asked.wal = {wal(5, 35), wal(30, 50, 2), wal(15, 18, 3), wal(44, 60, 4)};
  asked.histories = {history(2, 1, in_segment(30)),
                     history(3, 1, in_segment(15)),
                     {{4}, {{{1}, in_segment(30), ""}, {{2}, in_segment(44), ""}}}};
  asked.newest_captured = SegmentName{{4}, {60}};
  CHECK(told(asked) ==
        "a goes: older than the 2 newest usable ones\n"
        "b stays: usable, 2 of the 2 newest\n"
        "c stays: usable, 1 of the 2 newest\n"
        "1/5-19 goes: before all base backups that stay\n"
        "1/20-35 stays: needed from base backup b on, which starts at 0/14000028\n"
        "2/30-50 stays: needed from base backup b on, which starts at 0/14000028\n"
        "3/15-18 goes: no base backup that stays leads to this timeline\n"
        "4/44-60 stays: needed from base backup b on, which starts at 0/14000028\n");
  asked.keep = 1;
  CHECK(told(asked) ==
        "a goes: older than the newest usable one\n"
        "b goes: older than the newest usable one\n"
        "c stays: the newest usable one\n"
        "1/5-35 goes: no base backup that stays leads to this timeline\n"
        "2/30-31 goes: before all base backups that stay\n"
        "2/32-50 stays: needed from base backup c on, which starts at 0/20000028\n"
        "3/15-18 goes: no base backup that stays leads to this timeline\n"
        "4/44-60 stays: needed from base backup c on, which starts at 0/20000028\n");
}

TEST_CASE("retention: what is captured now, what a restore works with and what is not understood stays") {
  RetentionInput asked = input(1);
  asked.backups = {backup("a", 10), backup("b", 20)};
  asked.backups[0].restore = "yesterday";
  // Timeline 2 left timeline 1 before both; no base backup stands on it yet. Nobody has the history of 3.
  asked.wal = {wal(5, 35), wal(8, 12, 2), wal(9, 9, 3)};
  asked.histories = {history(2, 1, in_segment(8))};
  asked.newest_captured = SegmentName{{2}, {12}};
  CHECK(told(asked) ==
        "a stays: restore 'yesterday' works with it\n"
        "b stays: the newest usable one\n"
        "1/5-9 goes: before all base backups that stay\n"
        "1/10-35 stays: needed from base backup a on, which starts at 0/A000028\n"
        "2/8-12 stays: it is being captured, and no base backup that stays stands on it\n"
        "3/9-9 stays: the history of timeline 3 is not known\n");
}

TEST_CASE("retention: the newest segment of the current epoch stays, whatever else is true") {
  RetentionInput asked = input(1);
  asked.backups = {backup("a", 50)};
  asked.wal = {wal(5, 40)};
  asked.newest_captured = SegmentName{{1}, {40}};
  CHECK(told(asked) ==
        "a stays: the newest usable one\n"
        "1/5-39 goes: before all base backups that stay\n"
        "1/40-40 stays: pg_receivewal goes on behind it\n");
}

TEST_CASE("retention: a branch that was left does not count for the timeline that is captured now") {
  RetentionInput asked = input(1);
  // b stands on timeline 2, which left timeline 1 at 20; the cluster went back to 15 and lives on as 3.
  asked.backups = {backup("0", 8), backup("a", 10), backup("b", 25, 2)};
  asked.wal = {wal(5, 20), wal(20, 30, 2), wal(15, 18, 3)};
  asked.histories = {history(2, 1, in_segment(20)), history(3, 1, in_segment(15))};
  asked.newest_captured = SegmentName{{3}, {18}};
  const std::string both_stay =
      "0 goes: older than the newest usable one\n"
      "a stays: the newest usable one of those that lead to timeline 3\n"
      "b stays: the newest usable one\n"
      "1/5-9 goes: before all base backups that stay\n"
      "1/10-20 stays: needed from base backup a on, which starts at 0/A000028\n"
      "2/20-30 stays: needed from base backup a on, which starts at 0/A000028\n"
      "3/15-18 stays: needed from base backup a on, which starts at 0/A000028\n";
  CHECK(told(asked) == both_stay);
  // The new epoch holds nothing yet.
  asked.newest_captured.reset();
  CHECK(told(asked) == both_stay);
  // Which of them lead there cannot be told.
  asked.histories.pop_back();
  asked.newest_captured = SegmentName{{3}, {18}};
  CHECK(
      told(asked).starts_with("0 stays: the history of timeline 3, which is captured, is not known\n"
                              "a stays: the history of timeline 3, which is captured, is not known\n"
                              "b stays: the newest usable one\n"));
  // One on the timeline itself: the branch's own goes with the next one there.
  asked.histories = {history(2, 1, in_segment(20)), history(3, 1, in_segment(15))};
  asked.backups.push_back(backup("c", 17, 3));
  CHECK(
      told(asked).starts_with("0 goes: older than the newest usable one\n"
                              "a goes: older than the newest usable one\n"
                              "b goes: older than the newest usable one\n"
                              "c stays: the newest usable one\n"));
}

TEST_CASE(
    "retention: days keep the one before a base backup that was taken in a silence around that moment") {
  RetentionInput asked = input(1);
  asked.backups = {backup("a", 10), backup("b", 20), backup("c", 30)};
  asked.backups[0].row.finished_at = {1'000};
  asked.backups[1].row.finished_at = {3'000};
  asked.backups[2].row.finished_at = {5'000};
  asked.since = Timestamp{2'000};
  asked.since_lsn = {{{1}, in_segment(25)}};  // the first that was committed after that moment: after b
  CHECK(
      told(asked).starts_with("a stays: reaches back to 1970-01-01T00:00:00.002000Z\n"
                              "b stays: taken after 1970-01-01T00:00:00.002000Z\n"));
  asked.since = Timestamp{3'000};
  CHECK(told(asked).starts_with("a goes: "));
}
