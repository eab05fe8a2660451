#include "command/row_json.h"

#include <doctest/doctest.h>

using namespace walback;

namespace {

constexpr Timestamp kTime{1'795'171'327'000'001};
constexpr const char* kTimeText = "2026-11-20T10:42:07.000001Z";
const SegmentSize kSize = *SegmentSize::from_bytes(16U << 20);

}  // namespace

TEST_CASE("row JSON: a segment") {
  SegmentRow row;
  row.name = {TimelineId{1}, SegmentNumber{3}};
  row.start_lsn = Lsn{0x3000000};
  row.valid_end_lsn = Lsn{0x3000148};
  row.last_record_lsn = Lsn{0x3000110};
  row.last_time = kTime;
  row.size_bytes = 16U << 20;
  row.records = 4;
  row.commits = 2;
  CHECK(
      to_line(to_json(row, kSize)) ==
      R"({"segment":"000000010000000000000003","timeline":1,"epoch":1,"state":"open","start_lsn":"0/3000000",)"
      R"("valid_end_lsn":"0/3000148","first_record_lsn":null,"last_record_lsn":"0/3000110",)"
      R"("size_bytes":16777216,"records":4,"commits":2,"aborts":0,"first_time":null,)"
      R"("last_time":"2026-11-20T10:42:07.000001Z","problem":null})");
  row.problem = "damaged at 0/3000148";
  CHECK(to_json(row, kSize)["problem"] == "damaged at 0/3000148");
}

TEST_CASE("row JSON: a commit names where its record starts and ends, and what it dropped") {
  TransactionEnd end;
  end.lsn = Lsn{0x3000110};
  end.end_lsn = Lsn{0x3000148};
  end.time = kTime;
  end.xid = 4'294'967'295;
  end.subxids = {741};
  end.dropped_relations = {{5, 16384}};
  end.removed_files = {{1663, 5, 16390}};
  CHECK(to_line(to_json(end)) ==
        R"({"lsn":"0/3000110","end_lsn":"0/3000148","time":"2026-11-20T10:42:07.000001Z","xid":4294967295,)"
        R"("kind":"commit","subxids":[741],"relations_dropped":[{"database":5,"oid":16384}],)"
        R"("files_removed":[{"tablespace":1663,"database":5,"relfilenode":16390}]})");
}

TEST_CASE("row JSON: a restore's stored documents are shown as JSON, damaged ones as nothing") {
  RestoreRow row;
  row.name = "r1";
  row.started_at = kTime;
  row.plan = R"({"target":"latest"})";
  row.proof = "{torn";
  const Json json = to_json(row);
  CHECK(json["plan"] == Json{{"target", "latest"}});
  CHECK(json["proof"].is_null());
  CHECK(json["error"].is_null());
  CHECK(json["finished_at"].is_null());
  CHECK(json["started_at"] == kTimeText);
}
