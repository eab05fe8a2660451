#include "catalog_fixture.h"

namespace walback {
namespace {

using namespace catalog_test;

constexpr Lsn kEverything{INT64_MAX};

SegmentName name(std::uint64_t number, std::uint32_t timeline = 1) {
  return {{timeline}, {number}};
}

MomentRow restore_point(Lsn lsn, const std::string& called, std::uint32_t timeline = 1) {
  return {{timeline}, lsn, lsn + 100, MomentKind::restore_point, 0, at(0), called, "{}"};
}

std::string named(const std::vector<MomentRow>& moments) {
  std::string text;
  for (const MomentRow& moment : moments) text += moment.name + " ";
  return text;
}

std::string spans(const Catalog& catalog) {
  std::string text;
  for (const auto& span : value(catalog.segment_spans()))
    text += std::to_string(span.timeline.value) + " " + span.first + " " + span.last + "\n";
  return text;
}

BackupRow backup(const std::string& id, Lsn start) {
  BackupRow row;
  row.id = id;
  row.timeline = {1};
  row.start_lsn = start;
  row.checkpoint_lsn = start;
  row.stop_lsn = start + 100;
  return row;
}

TEST_CASE("removal: a segment goes with its ends, its moments and its part of the summary") {
  auto catalog = value(Catalog::open(":memory:"));
  value(catalog.put_segment(segment_with(3, {end_at(lsn_in(3, 100), 1, 700)})));
  value(catalog.put_segment(segment_with(4, {end_at(lsn_in(4, 200), 2, 900)})));
  value(catalog.put_moment(restore_point(lsn_in(3, 50), "kept")));
  value(catalog.put_moment(restore_point(lsn_in(4, 0), "at the border")));
  value(catalog.put_moment(restore_point(Lsn{lsn_in(4, 0).value - 40}, "reaches in")));
  value(catalog.put_moment(restore_point(Lsn{lsn_in(5, 0).value - 40}, "reaches out")));
  value(catalog.remove_segment(name(4), 1));
  CHECK_FALSE(value(catalog.segment(name(4))));
  CHECK(value(catalog.find_xid(900)).empty());
  CHECK(value(catalog.find_xid(700)).size() == 1);
  CHECK_FALSE(value(catalog.first_end_stamped_after(range_of({}), at(1))));
  CHECK(named(value(catalog.moments(range_of({}, kEverything), std::nullopt))) == "kept reaches out ");
  CHECK(value(catalog.segment_removals()) == 1);
  value(catalog.remove_segment(name(4), 1));
  CHECK(value(catalog.segment_removals()) == 1);
}

TEST_CASE("removal: where another epoch has the segment, that one counts from then on") {
  auto catalog = value(Catalog::open(":memory:"));
  auto shorter = segment_with(4, {end_at(lsn_in(4, 100), 1, 700)}, 1, 1);
  shorter.valid_end_lsn = lsn_in(4, 5000);
  value(catalog.put_segment(shorter));
  value(catalog.put_segment(segment_with(4, {end_at(lsn_in(4, 100), 1, 800)}, 1, 2)));
  value(catalog.put_moment(restore_point(lsn_in(4, 50), "in both")));
  CHECK(value(catalog.segment(name(4)))->epoch == 2);
  CHECK_FALSE(value(catalog.held_once(name(4))));
  std::int64_t version = 0;
  (void)value(catalog.segments_changed_since(0, 10, version));
  value(catalog.remove_segment(name(4), 2));
  CHECK(value(catalog.segment(name(4)))->epoch == 1);
  CHECK(value(catalog.held_once(name(4))));
  CHECK(value(catalog.find_xid(800)).empty());
  CHECK(value(catalog.find_xid(700)).size() == 1);
  CHECK(named(value(catalog.moments(range_of({}, kEverything), std::nullopt))) == "in both ");
  // The mirror hears that another row counts now.
  const auto changed = value(catalog.segments_changed_since(version, 10, version));
  REQUIRE(changed.size() == 1);
  CHECK(changed[0].epoch == 1);
  CHECK_FALSE(changed[0].superseded);
}

TEST_CASE("removal: what expires goes to the border on its timeline, and cannot come back") {
  auto catalog = value(Catalog::open(":memory:"));
  for (std::uint64_t number = 1; number <= 600; ++number)
    value(catalog.put_segment(
        segment_with(number, {end_at(lsn_in(number, 100), static_cast<std::int64_t>(number), 1000)})));
  value(catalog.put_segment(segment_with(2, {end_at(lsn_in(2, 100), 1, 77)}, 2)));
  value(catalog.put_moment(restore_point(lsn_in(399, 50), "gone")));
  value(catalog.put_moment(restore_point(Lsn{lsn_in(400, 0).value - 40}, "ends in what stays")));
  value(catalog.put_watermark({{1}, lsn_in(399, 100), at(1)}));
  value(catalog.put_watermark({{1}, lsn_in(400, 0), at(2)}));
  value(catalog.put_gap({{1}, lsn_in(300, 0), lsn_in(301, 0), "missing", at(0), true}));
  value(catalog.put_gap({{1}, lsn_in(500, 0), lsn_in(501, 0), "missing", at(0), false}));
  value(catalog.put_verified(VerifiedRun{{1}, 1, {300}, {363}, 1, at(0)}));
  value(catalog.put_verified(VerifiedRun{{1}, 1, {364}, {427}, 1, at(0)}));

  value(catalog.expire_wal({{1}, {400}, lsn_in(400, 0)}));
  CHECK(spans(catalog) ==
        "1 000000010000000100000090 000000010000000200000058\n"
        "2 000000020000000000000002 000000020000000000000002\n");
  CHECK(value(catalog.first_end_at_or_after(range_of({}), true))->lsn == lsn_in(400, 100));
  CHECK(value(catalog.first_end_stamped_after(range_of({}), at(0)))->time == at(400));
  CHECK(named(value(catalog.moments(range_of({}, kEverything), std::nullopt))) == "ends in what stays ");
  CHECK_FALSE(value(catalog.newest_watermark({1}, lsn_in(399, 200))));
  CHECK(value(catalog.newest_watermark({1}))->lsn == lsn_in(400, 0));
  REQUIRE(value(catalog.gaps()).size() == 1);
  CHECK(value(catalog.gaps())[0].from == lsn_in(500, 0));
  REQUIRE(value(catalog.verified_runs()).size() == 1);
  CHECK(value(catalog.segment_removals()) == 1);

  const auto back = catalog.put_segment(segment_with(399, {}));
  REQUIRE_FALSE(back);
  CHECK(render(back.error()) ==
        "walback: segment 00000001000000010000008F expired while it was read\n"
        "hint: Try again: what retention has let go is no longer looked at.");
  // Again, and not as far: nothing goes, nothing comes back.
  value(catalog.expire_wal({{1}, {400}, lsn_in(400, 0)}));
  value(catalog.expire_wal({{1}, {100}, lsn_in(100, 0)}));
  CHECK(value(catalog.expired_wal()) == std::vector<ExpiredWal>{{{1}, {400}, lsn_in(400, 0)}});
  CHECK(value(catalog.segment_removals()) == 1);
}

TEST_CASE("removal: a base backup expires by id and start LSN") {
  auto catalog = value(Catalog::open(":memory:"));
  value(catalog.put_backup(backup("20261120T104207Z", lsn_in(3, 40))));
  value(catalog.put_verified(VerifiedBackup{"20261120T104207Z", 7, at(0)}));
  // The clock was set back: another backup bears the id now.
  value(catalog.expire_backup({"20261120T104207Z", lsn_in(2, 40)}));
  CHECK(value(catalog.backups()).size() == 1);
  value(catalog.expire_backup({"20261120T104207Z", lsn_in(3, 40)}));
  CHECK(value(catalog.backups()).empty());
  CHECK_FALSE(value(catalog.verified_backup("20261120T104207Z")));
  CHECK(value(catalog.expired_backups()) == std::vector<ExpiredBackup>{{"20261120T104207Z", lsn_in(3, 40)}});
  value(catalog.forget_expired_backup("20261120T104207Z"));
  CHECK(value(catalog.expired_backups()).empty());
}

}  // namespace
}  // namespace walback
