#include "catalog/moment_codec.h"

#include "catalog_fixture.h"

namespace walback {
namespace {

using namespace catalog_test;

Event event_with(decltype(Event::what) what) {
  return {{0x3000028}, {0x3000060}, 17, std::move(what)};
}

TEST_CASE("moment codec: every kind of event makes the round trip") {
  const std::vector<std::pair<MomentKind, Event>> events{
      {MomentKind::restore_point, event_with(RestorePointSet{at(1), "before 'the' upgrade \xE2\x9C\x93"})},
      {MomentKind::checkpoint, event_with(CheckpointDone{{0x2000028}, {3}, {2}, true})},
      {MomentKind::parameters_changed, event_with(ParametersChanged{100, 8, 10, -1, 64, 1, true, true})},
      {MomentKind::tablespace_created, event_with(TablespaceCreated{16390, "/mnt/fast disk/pg"})},
      {MomentKind::tablespace_dropped, event_with(TablespaceDropped{UINT32_MAX})},
      {MomentKind::database_dropped, event_with(DatabaseDropped{16391})},
      {MomentKind::timeline_switched, event_with(TimelineSwitched{{2}, {1}, at(-7)})},
      {MomentKind::backup_ended, event_with(BackupEnded{{0x1ABCDEF028}})}};
  for (const auto& [kind, event] : events) {
    const MomentRow row = moment_of(TimelineId{2}, event);
    CAPTURE(name_of(kind));
    CHECK(row.kind == kind);
    CHECK(row.timeline == TimelineId{2});
    CHECK(value(event_of(row)) == event);
    CHECK(moment_kind_named(name_of(kind)) == kind);
  }
  CHECK(moment_of(TimelineId{1}, event_with(DatabaseDropped{5})).detail == R"({"oid":5})");
}

TEST_CASE("moment codec: a removal keeps its files and relations; an end without any is no moment") {
  auto end = end_at({0x3000028}, 5, 733);
  CHECK_FALSE(moment_of(TimelineId{1}, end));
  end.removed_files = {{1663, 5, 16384}, {1664, 0, 7}};
  end.dropped_relations = {{5, 16384}};
  const auto row = moment_of(TimelineId{1}, end);
  REQUIRE(row);
  CHECK(row->kind == MomentKind::removal);
  CHECK(row->xid == 733);
  CHECK(row->time == at(5));
  CHECK(row->detail == R"({"removed_files":["1663/5/16384","1664/0/7"],"dropped_relations":["5/16384"]})");
  CHECK(value(removal_of(*row)) == Removal{end.removed_files, end.dropped_relations});
  CHECK(event_of(*row).error().message == "the removal at 0/3000028 is no event");
}

TEST_CASE("moment codec: an unreadable detail is corrupt and says what is missing") {
  MomentRow row = moment_of(TimelineId{1}, event_with(TablespaceCreated{16390, "/x"}));
  CHECK(removal_of(row).error().message == "the tablespace_created at 0/3000028 is no removal");
  const std::string hint = "Delete the catalog and start `walback manage`, which builds it again.";
  row.detail = "[";
  CHECK(
      event_of(row).error() ==
      Error{
          ErrorKind::corrupt,
          "the tablespace_created at 0/3000028 on timeline 1 has an unreadable detail: it is no JSON object",
          hint});
  row.detail = R"({"oid":4294967296})";
  CHECK(event_of(row).error() == Error{ErrorKind::corrupt,
                                       "the tablespace_created at 0/3000028 on timeline 1 has an unreadable "
                                       "detail: \"oid\" is missing or no fit",
                                       hint});
  row.kind = MomentKind::removal;
  for (const char* detail : {R"({"removed_files":["1/2"]})", R"({"removed_files":[7]})",
                             R"({"removed_files":"1/2/3x"})", R"({"dropped_relations":{"a":"-1/2"}})", "7"}) {
    row.detail = detail;
    CHECK(removal_of(row).error().kind == ErrorKind::corrupt);
  }
}

}  // namespace
}  // namespace walback
