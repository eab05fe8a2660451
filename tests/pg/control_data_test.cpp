#include "pg/control_data.h"

#include <doctest/doctest.h>

#include "base/text.h"

using namespace walback;

namespace {

/// What pg_controldata 15.20 prints.
const std::string kSample = R"(pg_control version number:            1300
Catalog version number:               202209061
Database system identifier:           7710194458385504873
Database cluster state:               in archive recovery
pg_control last modified:             Fri Nov 20 10:12:20 2026
Latest checkpoint location:           1/1511A88
Latest checkpoint's REDO location:    1/1511A50
Latest checkpoint's REDO WAL file:    000000030000000100000001
Latest checkpoint's TimeLineID:       3
Latest checkpoint's PrevTimeLineID:   2
Latest checkpoint's full_page_writes: on
Latest checkpoint's NextXID:          2:724
Latest checkpoint's NextOID:          13573
Latest checkpoint's oldestCommitTsXid:0
Time of latest checkpoint:            Fri Nov 20 10:12:20 2026
Minimum recovery ending location:     1/2000000
Min recovery ending loc's timeline:   3
Backup start location:                1/1511A50
Backup end location:                  0/0
End-of-backup record required:        yes
wal_level setting:                    logical
max_connections setting:              200
max_worker_processes setting:         8
max_wal_senders setting:              10
max_prepared_xacts setting:           16
max_locks_per_xact setting:           64
track_commit_timestamp setting:       on
Bytes per WAL segment:                1048576
Data page checksum version:           1
)";

std::string with(const std::string& line, const std::string& replacement) {
  std::string text = kSample;
  const auto at = text.find(line);
  REQUIRE(at != std::string::npos);
  return text.replace(at, line.size(), replacement);
}

std::string fault_of(const std::string& text) {
  const auto data = parse_control_data(text, "'/data'");
  REQUIRE_FALSE(data);
  CHECK(data.error().kind == ErrorKind::corrupt);
  return data.error().message;
}

}  // namespace

TEST_CASE("control data: every field that walback needs is read") {
  const auto data = parse_control_data(kSample, "'/data'");
  REQUIRE_MESSAGE(data, data.error().message);
  CHECK(data->pg_control_version == 1300);
  CHECK(data->catalog_version == 202209061);
  CHECK(data->system_identifier == 7710194458385504873U);
  CHECK(data->state == "in archive recovery");
  CHECK(to_string(data->checkpoint_lsn) == "1/1511A88");
  CHECK(to_string(data->redo_lsn) == "1/1511A50");
  CHECK(data->timeline == TimelineId{3});
  CHECK(data->previous_timeline == TimelineId{2});
  CHECK(data->full_page_writes);
  CHECK(data->next_xid == (std::uint64_t{2} << 32) + 724);
  CHECK(to_string(data->minimum_recovery_end_lsn) == "1/2000000");
  CHECK(data->minimum_recovery_end_timeline == TimelineId{3});
  CHECK(to_string(data->backup_start_lsn) == "1/1511A50");
  CHECK_FALSE(data->backup_end_lsn.valid());
  CHECK(data->backup_end_required);
  CHECK(data->wal_level == "logical");
  CHECK(data->max_connections == 200);
  CHECK(data->max_worker_processes == 8);
  CHECK(data->max_wal_senders == 10);
  CHECK(data->max_prepared_transactions == 16);
  CHECK(data->max_locks_per_transaction == 64);
  CHECK(data->track_commit_timestamp);
  CHECK(data->segment_size.bytes() == 1U << 20);
  CHECK(data->data_checksums);
}

TEST_CASE("control data: a line that is missing or makes no sense is named") {
  CHECK(fault_of("") == "pg_controldata of '/data' has no line 'Database system identifier'");
  CHECK(fault_of(with("max_connections setting:              200\n", "")) ==
        "pg_controldata of '/data' has no line 'max_connections setting'");
  CHECK(fault_of(with("1/1511A88", "1-1511A88")) ==
        "pg_controldata of '/data': 'Latest checkpoint location' is '1-1511A88', expected an LSN");
  CHECK(fault_of(with("required:        yes", "required:        maybe")) ==
        "pg_controldata of '/data': 'End-of-backup record required' is 'maybe', expected 'yes' or 'no'");
  CHECK(fault_of(with("2:724", "724")) ==
        "pg_controldata of '/data': 'Latest checkpoint's NextXID' is '724', expected an epoch and an xid, as "
        "in "
        "0:731");
  CHECK(fault_of(with("1048576", "1048577")) ==
        "pg_controldata of '/data': 'Bytes per WAL segment' is '1048577', expected a power of two from 1 MB "
        "to 1 GB");
  CHECK(fault_of(with("TimeLineID:       3", "TimeLineID:       4294967299")) ==
        "pg_controldata of '/data': 'Latest checkpoint's TimeLineID' is '4294967299', expected a number");
}
