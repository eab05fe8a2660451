#include "capture/receivewal.h"

#include <doctest/doctest.h>

#include "capture/receiver.h"
#include "support/faulty_file_system.h"
#include "support/memory_file_system.h"

using namespace walback;

namespace {

const SegmentSize kSize = *SegmentSize::from_bytes(1U << 20);
const Path kEpoch = "/archive/wal/0001";

}  // namespace

TEST_CASE("pg_receivewal's lines, as PostgreSQL 15 writes them, are understood") {
  using Line = ReceivewalLine;
  const std::pair<const char*, Line> lines[] = {
      {"pg_receivewal: starting log streaming at 0/1000000 (timeline 1)", Line::information},
      {"pg_receivewal: finished segment at 0/2000000 (timeline 1)", Line::information},
      {"pg_receivewal: switched to timeline 2 at 0/9000000", Line::information},
      {"pg_receivewal: not renaming \"000000010000000000000012.partial\", segment is not complete",
       Line::information},
      {"pg_receivewal: received interrupt signal, exiting", Line::information},
      {"\tThis probably means the server terminated abnormally", Line::information},
      {"", Line::information},
      {"pg_receivewal: error: disconnected", Line::disconnected},
      {"pg_receivewal: error: could not receive data from WAL stream: server closed the connection "
       "unexpectedly",
       Line::unreachable},
      {"pg_receivewal: error: connection to server on socket \"/tmp/.s.PGSQL.5432\" failed: No such file or "
       "directory",
       Line::unreachable},
      {"pg_receivewal: error: connection to server at \"127.0.0.1\", port 5432 failed: FATAL:  the database "
       "system "
       "is starting up",
       Line::unreachable},
      {"pg_receivewal: error: connection to server at \"127.0.0.1\", port 5432 failed: FATAL:  no "
       "pg_hba.conf entry "
       "for replication connection from host \"127.0.0.1\", user \"w\", no encryption",
       Line::not_permitted},
      {"pg_receivewal: error: connection to server at \"127.0.0.1\", port 5432 failed: fe_sendauth: no "
       "password "
       "supplied",
       Line::not_permitted},
      {"pg_receivewal: error: could not send replication command \"START_REPLICATION\": ERROR:  replication "
       "slot "
       "\"w\" is active for PID 7559",
       Line::slot_active},
      {"pg_receivewal: error: could not send replication command \"START_REPLICATION\": ERROR:  replication "
       "slot "
       "\"nope\" does not exist",
       Line::slot_missing},
      {"pg_receivewal: error: unexpected termination of replication stream: ERROR:  requested WAL segment "
       "000000010000000000000006 has already been removed",
       Line::wal_removed},
      {"pg_receivewal: error: could not send replication command \"START_REPLICATION\": ERROR:  requested "
       "starting "
       "point 0/9000000 on timeline 1 is not in this server's history",
       Line::not_in_history},
      {"pg_receivewal: error: could not write 8192 bytes to WAL file \"000000010000000000000006.partial\": "
       "No space "
       "left on device",
       Line::disk_full},
      {"pg_receivewal: error: write-ahead log file \"000000010000000000000012.partial\" has 81920 bytes, "
       "should be 0 "
       "or 16777216",
       Line::wrong_partial_size},
      {"pg_receivewal: error: could not fsync file \"x\": Input/output error", Line::other_error},
  };
  for (const auto& [line, meaning] : lines) {
    CAPTURE(line);
    CHECK(static_cast<int>(classify_receivewal_line(line)) == static_cast<int>(meaning));
  }
}

TEST_CASE("pg_receivewal: the first telling line of a run is its reason, the echo behind it is not") {
  std::optional<ReceiverEnd> end;
  note_line(end, "pg_receivewal: starting log streaming at 0/6000000 (timeline 1)");
  CHECK_FALSE(end);
  note_line(end, "ERROR:  requested WAL segment 000000010000000000000006 has already been removed");
  note_line(end, "pg_receivewal: error: disconnected");
  REQUIRE(end);
  CHECK(end->line == "ERROR:  requested WAL segment 000000010000000000000006 has already been removed");
  std::optional<ReceiverEnd> bare;
  note_line(bare, "pg_receivewal: error: disconnected");
  note_line(bare, "pg_receivewal: error: could not fsync file \"x\": Input/output error");
  REQUIRE(bare);
  CHECK(static_cast<int>(bare->reason) == static_cast<int>(ReceivewalLine::other_error));
}

TEST_CASE("pg_receivewal's command line: no loop of its own, no compression, synchronous when asked") {
  ReceivewalOptions options{"/pg/bin/pg_receivewal", kEpoch, "host=a", "walback", true};
  CHECK(receivewal_command(options).arguments ==
        std::vector<std::string>{"--directory", "/archive/wal/0001", "--slot", "walback", "--synchronous",
                                 "--no-loop", "--status-interval=1", "--verbose", "--no-password", "--dbname",
                                 "host=a"});
  options.synchronous = false;
  CHECK(receivewal_command(options).arguments ==
        std::vector<std::string>{"--directory", "/archive/wal/0001", "--slot", "walback", "--no-loop",
                                 "--status-interval=1", "--verbose", "--no-password", "--dbname", "host=a"});
}

TEST_CASE("pg_receivewal's connection: ours by name, and it notices a dead network") {
  const auto conninfo = make_receiver_conninfo("host=a application_name=other");
  REQUIRE(conninfo);
  CHECK(conninfo->find("walback_capture") != std::string::npos);
  CHECK(conninfo->find("other") == std::string::npos);
  CHECK(conninfo->find("tcp_user_timeout=30000") != std::string::npos);
}

TEST_CASE("padding: a .partial that was cut short is completed with zeros, and nothing else is touched") {
  MemoryFileSystem files;
  REQUIRE(files.create_directories(kEpoch));
  const std::string wal = "WAL that must stay";
  REQUIRE(files.write(kEpoch / "000000010000000000000004.partial", wal));
  REQUIRE(
      files.write(kEpoch / "000000010000000000000005.partial", ""));  // pg_receivewal starts over this one
  REQUIRE(
      files.write(kEpoch / "000000010000000000000003", "short"));  // damage: for the WAL manager to report
  REQUIRE(files.write(kEpoch / "notes.partial", "x"));
  const auto completed = complete_padding(files, kEpoch, kSize, {});
  REQUIRE(completed);
  CHECK(*completed == std::vector<std::string>{"000000010000000000000004.partial"});
  const auto content = files.read(kEpoch / "000000010000000000000004.partial").value();
  CHECK(content.size() == kSize.bytes());
  CHECK(content.substr(0, wal.size()) == wal);
  CHECK(content.find_first_not_of('\0', wal.size()) == std::string::npos);
  CHECK(files.stat(kEpoch / "000000010000000000000005.partial").value().size_bytes == 0);
  CHECK(files.read(kEpoch / "000000010000000000000003").value() == "short");
  CHECK(files.read(kEpoch / "notes.partial").value() == "x");
  CHECK(complete_padding(files, kEpoch, kSize, {}).value().empty());
}

TEST_CASE("padding: out of room in the middle, then room again: complete all the same") {
  MemoryFileSystem memory;
  FaultyFileSystem files(memory);
  REQUIRE(files.create_directories(kEpoch));
  REQUIRE(files.write(kEpoch / "000000010000000000000004.partial", "abc"));
  files.fail_at("append_durably", ".partial", {ErrorKind::disk_full, "no room", ""});
  const auto failed = complete_padding(files, kEpoch, kSize, {});
  REQUIRE_FALSE(failed);
  CHECK(failed.error().kind == ErrorKind::disk_full);
  CHECK(complete_padding(files, kEpoch, kSize, {}).value().size() == 1);
  CHECK(memory.stat(kEpoch / "000000010000000000000004.partial").value().size_bytes == kSize.bytes());
}
