#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <map>

#include "base/text.h"
#include "integration/support/throwaway_server.h"
#include "os/segment_source.h"
#include "pg/control_data.h"
#include "wal/scan_segment.h"

/// The reader against pg_waldump, on WAL of a real server: the same records, the same transaction ends.
using namespace walback;
using namespace std::chrono_literals;

namespace {

Output run_program(const Binaries& binaries, const std::string& name, std::vector<std::string> arguments) {
  const Command command{binaries.program(name), std::move(arguments), {{"TZ", "UTC"}}, "/"};
  auto output = run(command, 5min);
  REQUIRE_MESSAGE(output, output.error().message);
  return *std::move(output);
}

void psql(const test::ThrowawayServer& server, const std::string& sql) {
  const Path file = server.directory() / "script.sql";
  REQUIRE(real_file_system().write(file, sql));
  const auto output =
      run_program(server.binaries(), "psql",
                  {"-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", file.string(), server.conninfo()});
  REQUIRE_MESSAGE(output.status.success(), output.err);
}

void pgbench(const test::ThrowawayServer& server, std::vector<std::string> arguments) {
  arguments.push_back(server.conninfo());
  const auto output = run_program(server.binaries(), "pgbench", std::move(arguments));
  REQUIRE_MESSAGE(output.status.success(), output.err);
}

constexpr const char* kTransactions = R"(
CREATE TABLE drop_me (id int PRIMARY KEY, payload text);
CREATE TABLE truncate_me AS SELECT g AS id FROM generate_series(1, 1000) g;
CREATE TABLE rewrite_me AS SELECT g AS id FROM generate_series(1, 1000) g;
BEGIN; INSERT INTO drop_me VALUES (1, 'a'); SAVEPOINT a; INSERT INTO drop_me VALUES (2, 'b'); SAVEPOINT b;
INSERT INTO drop_me VALUES (3, 'c'); ROLLBACK TO a; INSERT INTO drop_me VALUES (4, 'd'); COMMIT;
BEGIN; INSERT INTO drop_me VALUES (5, 'e'); ROLLBACK;
BEGIN; SAVEPOINT a; INSERT INTO drop_me VALUES (6, 'f'); RELEASE a; SAVEPOINT b; INSERT INTO drop_me VALUES (7, 'g'); ROLLBACK;
DO $$ BEGIN FOR i IN 100..300 LOOP
  BEGIN INSERT INTO drop_me VALUES (i, 'x'); EXCEPTION WHEN unique_violation THEN NULL; END; END LOOP; END $$;
BEGIN; INSERT INTO drop_me VALUES (1000, 'p'); SAVEPOINT a; INSERT INTO drop_me VALUES (1001, 'q');
PREPARE TRANSACTION 'kept';
BEGIN; INSERT INTO drop_me VALUES (1002, 'r'); PREPARE TRANSACTION 'undone';
BEGIN; CREATE TABLE prepared_table (id int); DROP TABLE rewrite_me; PREPARE TRANSACTION 'with a drop';
COMMIT PREPARED 'kept'; ROLLBACK PREPARED 'undone'; COMMIT PREPARED 'with a drop';
BEGIN; CREATE TABLE never (id serial PRIMARY KEY, payload text); INSERT INTO never (payload) VALUES ('x'); ROLLBACK;
SELECT pg_create_restore_point('before the drop');
DROP TABLE drop_me; TRUNCATE truncate_me; VACUUM FULL truncate_me;
CREATE TEMP TABLE temporary (id int); INSERT INTO temporary VALUES (1); DROP TABLE temporary;
SELECT pg_logical_emit_message(false, 'wide', repeat('w', 3500000));
SELECT pg_logical_emit_message(true, 'wide', repeat('w', 100000));
SELECT pg_switch_wal();
CREATE DATABASE to_drop; DROP DATABASE to_drop;
CHECKPOINT;
)";

void work(test::ThrowawayServer& server) {
  pgbench(server, {"-i", "-q", "-s", "3"});
  psql(server, kTransactions);
  pgbench(server, {"-n", "-c", "4", "-t", "400"});
  const Path space = server.directory() / "space";
  REQUIRE(real_file_system().create_directories(space));
  psql(server, "CREATE TABLESPACE elsewhere LOCATION '" + space.string() +
                   "'; CREATE TABLE moved (id int) TABLESPACE elsewhere; INSERT INTO moved VALUES (1); DROP "
                   "TABLE moved;");
  psql(server, "DROP TABLESPACE elsewhere; SELECT pg_switch_wal();");
  psql(server,
       "BEGIN; DROP TABLE pgbench_accounts; DROP TABLE pgbench_history; COMMIT; SELECT txid_current();");
}

std::uint32_t number(std::string_view text) {
  return static_cast<std::uint32_t>(parse_decimal(text).value());
}

/// "2026-11-20 10:42:07.123456 UTC"
Timestamp parse_time(std::string_view text) {
  using namespace std::chrono;
  REQUIRE(text.ends_with(" UTC"));
  const auto part = [&](std::size_t at, std::size_t size) { return number(text.substr(at, size)); };
  const auto day = sys_days(year(static_cast<int>(part(0, 4))) / part(5, 2) / part(8, 2));
  const auto time = day.time_since_epoch() + hours(part(11, 2)) + minutes(part(14, 2)) +
                    seconds(part(17, 2)) + microseconds(part(20, 6));
  return {duration_cast<microseconds>(time).count()};
}

/// "base/5/16384", "global/1262", "pg_tblspc/16400/PG_15_202209061/5/16401"
RelationFiles parse_files(std::string_view text) {
  const auto parts = split(text, '/');
  if (parts[0] == "base") return {1663, number(parts[1]), number(parts[2])};
  if (parts[0] == "global") return {1664, 0, number(parts[1])};
  return {number(parts[1]), number(parts[3]), number(parts[4])};
}

std::string_view between(std::string_view text, std::string_view before, char after) {
  const auto begin = text.find(before);
  REQUIRE(begin != std::string_view::npos);
  text.remove_prefix(begin + before.size());
  return trim(text.substr(0, text.find(after)));
}

/// "rmgr: Transaction len (rec/tot): 34/ 34, tx: 731, lsn: 0/014E1F40, prev 0/014E1F08, desc: COMMIT 2026-…
/// UTC; …". `end_lsn` is not in it.
std::optional<TransactionEnd> parse_line(std::string_view line) {
  static const std::map<std::string_view, TransactionEndKind> kKinds{
      {"COMMIT", TransactionEndKind::commit},
      {"ABORT", TransactionEndKind::abort},
      {"COMMIT_PREPARED", TransactionEndKind::commit_prepared},
      {"ABORT_PREPARED", TransactionEndKind::abort_prepared}};
  const auto at = line.find("desc: ");
  if (at == std::string_view::npos) return std::nullopt;
  auto desc = line.substr(at + 6);
  const auto kind = kKinds.find(desc.substr(0, desc.find(' ')));
  if (kind == kKinds.end()) return std::nullopt;
  TransactionEnd end;
  end.kind = kind->second;
  end.lsn = parse_lsn(between(line, "lsn: ", ',')).value();
  end.xid = number(between(line, "tx: ", ','));
  desc.remove_prefix(kind->first.size() + 1);
  if (end.kind == TransactionEndKind::commit_prepared || end.kind == TransactionEndKind::abort_prepared) {
    end.xid = number(desc.substr(0, desc.find(':')));
    desc.remove_prefix(desc.find(':') + 2);
  }
  const auto parts = split(desc, ';');
  end.time = parse_time(parts[0]);
  for (auto part : std::span(parts).subspan(1)) {
    part = trim(part);
    const auto words = split(part.substr(std::min(part.find(": "), part.size() - 2) + 2), ' ');
    for (const auto word : words) {
      if (part.starts_with("rels: ")) end.removed_files.push_back(parse_files(word));
      if (part.starts_with("subxacts: ")) end.subxids.push_back(number(word));
      if (part.starts_with("dropped stats: ")) {
        const auto ids = split(word, '/');
        if (ids[0] == "2") end.dropped_relations.push_back({number(ids[1]), number(ids[2])});
      }
    }
  }
  return end;
}

struct Dump {
  std::vector<TransactionEnd> ends;
  std::uint64_t records = 0;
};

Dump waldump(const test::ThrowawayServer& server, Lsn begin, Lsn end) {
  const std::vector<std::string> range{
      "-p", (server.data_directory() / "pg_wal").string(), "-s", to_string(begin), "-e", to_string(end)};
  auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), range.begin(), range.end());
    const auto output = run_program(server.binaries(), "pg_waldump", more);
    REQUIRE_MESSAGE(output.status.success(), output.err);
    return output.out;
  };
  Dump dump;
  const auto text = with({"--rmgr=Transaction"});
  for (const auto line : split(text, '\n')) {
    if (auto parsed = parse_line(line)) dump.ends.push_back(std::move(*parsed));
  }
  const auto stats = with({"--stats"});
  const auto total = between(stats, "\nTotal ", '[');  // the count, then the bytes
  dump.records = parse_decimal(total.substr(0, total.find(' '))).value();
  return dump;
}

std::vector<SegmentNumber> segments_on_disk(const test::ThrowawayServer& server, SegmentSize size) {
  std::vector<SegmentNumber> numbers;
  const auto entries = real_file_system().list(server.data_directory() / "pg_wal");
  REQUIRE(entries);
  for (const auto& entry : *entries) {
    if (const auto name = parse_wal_file_name(entry.name, size)) numbers.push_back(name->number);
  }
  return numbers;
}

struct Whole {
  std::vector<TransactionEnd> ends;
  std::vector<Event> events;
  std::uint64_t records = 0;
  Lsn end;
};

void compare_with_waldump(unsigned segment_mb) {
  test::ThrowawayOptions options;
  options.wal_segment_size_mb = segment_mb;
  options.settings = {{"max_prepared_transactions", "10"},
                      {"wal_keep_size", "8GB"},
                      {"max_wal_size", "8GB"},
                      {"wal_level", "logical"},
                      {"autovacuum", "off"}};
  auto made = test::ThrowawayServer::create(options);
  REQUIRE_MESSAGE(made, made.error().message);
  auto& server = **made;
  work(server);
  REQUIRE(server.stop());
  const auto control = read_control_data(server.binaries(), server.data_directory());
  REQUIRE_MESSAGE(control, control.error().message);

  const auto size = *SegmentSize::from_bytes(std::uint64_t{segment_mb} << 20);
  const auto numbers = segments_on_disk(server, size);
  REQUIRE(numbers.size() >= (segment_mb == 1 ? 30 : 3));
  SegmentSource files(real_file_system(), size, [&](SegmentNumber segment) -> Result<std::optional<Path>> {
    const Path path = server.data_directory() / "pg_wal" / file_name({{1}, segment}, size);
    return exists(real_file_system(), path) ? std::optional(path) : std::nullopt;
  });

  Whole whole;
  RecordReader reader(files, {control->system_identifier, size, {{1}}},
                      ReadFrom::first_at_or_after(start_of(numbers.front(), size)));
  Lsn begin;
  while (const Record* record = reader.next()) {
    if (!begin.valid()) begin = record->lsn;
    ++whole.records;
    if (auto* end = reader.transaction_end()) whole.ends.push_back(*end);
    std::ranges::copy(reader.events(), std::back_inserter(whole.events));
  }
  whole.end = reader.position();
  CHECK(reader.server_major() == static_cast<unsigned>(server.binaries().major));
  INFO(reader.stop().reason);

  SUBCASE("the same transaction ends to the byte and the microsecond, and as many records") {
    auto dump = waldump(server, begin, whole.end);
    REQUIRE(dump.ends.size() == whole.ends.size());
    for (std::size_t i = 0; i < dump.ends.size(); ++i) {
      dump.ends[i].end_lsn = whole.ends[i].end_lsn;
      CAPTURE(to_string(whole.ends[i].lsn));
      REQUIRE(dump.ends[i] == whole.ends[i]);
    }
    CHECK(dump.records == whole.records);
    const auto having = [&](auto member) {
      return std::ranges::count_if(whole.ends, [&](const auto& end) { return !(end.*member).empty(); });
    };
    CHECK(whole.ends.size() > 1'600);
    CHECK(having(&TransactionEnd::subxids) >= 4);
    CHECK(having(&TransactionEnd::removed_files) >= 5);
    CHECK(having(&TransactionEnd::dropped_relations) >= 4);
    // The last record is the shutdown's checkpoint: nothing lies behind it.
    const auto* last = std::get_if<CheckpointDone>(&whole.events.back().what);
    REQUIRE(last != nullptr);
    CHECK(last->shutdown);
    CHECK(last->redo == whole.events.back().lsn);
    CHECK(whole.events.back().end_lsn == whole.end);
  }

  SUBCASE("every kind of event is found") {
    std::map<std::size_t, int> kinds;
    for (const auto& event : whole.events) ++kinds[event.what.index()];
    const auto count = [&](auto what) { return kinds[decltype(Event::what)(what).index()]; };
    CHECK(count(RestorePointSet{}) == 1);
    CHECK(count(CheckpointDone{}) >= 2);
    CHECK(count(ParametersChanged{}) >= 1);
    CHECK(count(TablespaceCreated{}) == 1);
    CHECK(count(TablespaceDropped{}) == 1);
    CHECK(count(DatabaseDropped{}) == 1);
    for (const auto& event : whole.events) {
      if (const auto* created = std::get_if<TablespaceCreated>(&event.what)) {
        CHECK(created->path == (server.directory() / "space").string());
      }
      if (const auto* changed = std::get_if<ParametersChanged>(&event.what)) {
        CHECK(changed->max_prepared_transactions == 10);
      }
      if (const auto* point = std::get_if<RestorePointSet>(&event.what))
        CHECK(point->name == "before the drop");
    }
  }

  SUBCASE("each segment by itself, and each behind the one before, find the same") {
    for (const bool chained : {false, true}) {
      CAPTURE(chained);
      Whole parts;
      std::optional<Lsn> resume;
      for (const auto segment : numbers) {
        if (start_of(segment, size) >= whole.end) break;
        const auto scan = scan_segment(
            files, {control->system_identifier, size, {{1}}, segment, chained ? resume : std::nullopt, {}});
        REQUIRE_MESSAGE(scan, scan.error().message);
        // What initdb wrote before the oldest segment is gone.
        CHECK((!scan->headless_end || segment == numbers.front()));
        parts.records += scan->records;
        std::ranges::copy(scan->ends, std::back_inserter(parts.ends));
        std::ranges::copy(scan->events, std::back_inserter(parts.events));
        resume = parts.end = scan->valid_end_lsn;
      }
      CHECK(parts.records == whole.records);
      CHECK(parts.ends == whole.ends);
      CHECK(parts.events == whole.events);
      CHECK(skip_page_header(parts.end, size) == skip_page_header(whole.end, size));
    }
  }
}

}  // namespace

TEST_CASE("the reader and pg_waldump agree: 16 MB segments") {
  compare_with_waldump(16);
}
TEST_CASE("the reader and pg_waldump agree: 1 MB segments") {
  compare_with_waldump(1);
}
