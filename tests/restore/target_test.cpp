#include <doctest/doctest.h>

#include <string>

#include "restore/recovery_target.h"

using namespace walback;

namespace {

constexpr Timestamp kNow{1'795'171'327'123'456};

std::string read(const TargetOptions& options) {
  const auto target = parse_recovery_target(options, "UTC", kNow);
  return target ? to_options(*target) + " = " + to_string(*target) : render(target.error());
}

}  // namespace

TEST_CASE("recovery target: each kind, as options and in words") {
  CHECK(read({.to_time = "2026-11-20T10:42:07Z"}) ==
        "--to-time 2026-11-20T10:42:07.000000Z = 2026-11-20T10:42:07.000000Z");
  CHECK(read({.to_lsn = "16/B374D848", .before = true}) ==
        "--to-lsn 16/B374D848 --before = before 16/B374D848");
  CHECK(read({.to_xid = "7341", .before = true}) == "--to-xid 7341 --before = before transaction 7341");
  CHECK(read({.to_name = "before it's gone"}) ==
        "--to-name 'before it'\\''s gone' = restore point 'before it's gone'");
  CHECK(read({.timeline = "2", .to_latest = true}) ==
        "--to-latest --timeline 2 = the end of the captured WAL on timeline 2");
  CHECK(read({.to_consistent = true}) == "--to-consistent = the latest base backup's consistency");
}

TEST_CASE("recovery target: exactly one is needed") {
  CHECK(read({}) ==
        "walback: no recovery target is given\n"
        "hint: Name one with --to-time, --to-lsn, --to-xid, --to-name, --to-latest or --to-consistent.");
  CHECK(read({.to_lsn = "0/1", .to_latest = true}) ==
        "walback: 2 recovery targets are given, expected one: --to-lsn, --to-latest\n"
        "hint: Leave out all but one.");
}

TEST_CASE("recovery target: before makes no sense with latest and consistent") {
  CHECK(read({.to_latest = true, .before = true}) ==
        "walback: --before makes no sense with --to-latest\n"
        "hint: It leaves out what stands exactly at a time, LSN, transaction or restore point.");
  CHECK(read({.to_consistent = true, .before = true}) ==
        "walback: --before makes no sense with --to-consistent\n"
        "hint: It leaves out what stands exactly at a time, LSN, transaction or restore point.");
}

TEST_CASE("recovery target: values that make no sense are refused as they were typed") {
  CHECK(read({.to_lsn = "3000148"}) ==
        "walback: '3000148' is no LSN, expected two hexadecimal numbers and a slash\n"
        "hint: An LSN looks like 0/3000148; pg_current_wal_lsn() returns one, and `walback commits` lists "
        "them.");
  CHECK(read({.to_lsn = "0/0"}).starts_with("walback: '0/0' is no LSN"));
  CHECK(read({.to_xid = "-1"}) ==
        "walback: '-1' is no transaction id, expected a number\n"
        "hint: txid_current() returns one, and `walback commits` lists them.");
  CHECK(read({.to_xid = "4294974637"}) ==
        "walback: transaction id 4294974637 has an epoch in its upper half, expected 32 bits\n"
        "hint: The WAL carries the lower half alone: --to-xid 7341.");
  CHECK(read({.to_xid = "2"}) ==
        "walback: transaction id 2 is one of PostgreSQL's own, expected 3 or more\n"
        "hint: txid_current() returns one, and `walback commits` lists them.");
  CHECK(read({.to_name = ""}) ==
        "walback: the name of a restore point is empty\nhint: pg_create_restore_point('name') makes one.");
  CHECK(read({.to_name = std::string(64, 'x')}) ==
        "walback: the name of a restore point has 64 bytes, at most 63 are possible\n"
        "hint: pg_create_restore_point('name') makes one.");
  CHECK(read({.timeline = "0", .to_latest = true}) ==
        "walback: '0' is no timeline, expected a number from 1 on\n"
        "hint: `walback list timelines` shows them, in decimal.");
}
