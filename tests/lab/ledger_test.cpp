#include "lab/ledger.h"

#include <doctest/doctest.h>

#include "os/system.h"

using namespace walback;

namespace {

struct TemporaryDirectory {
  Path path = *make_temporary_directory("walback-ledger");
  ~TemporaryDirectory() { static_cast<void>(real_file_system().remove_tree(path)); }
};

LedgerEntry acknowledged_entry(std::int64_t id) {
  LedgerEntry entry;
  entry.id = id;
  entry.writer = 3;
  entry.xid = 4'294'967'295;
  entry.created_at = Timestamp{1'795'171'327'123'456};
  entry.insert_lsn_before = Lsn{0x3F2B000028};
  entry.insert_lsn_after = Lsn{0x3F2B000158};
  entry.commit_time = Timestamp{1'795'171'327'124'001};
  entry.sent_us = 111;
  entry.acknowledged_us = 999;
  entry.durable = true;
  return entry;
}

LedgerEntry doubtful_entry(std::int64_t id) {
  LedgerEntry entry = acknowledged_entry(id);
  entry.state = LedgerState::in_doubt;
  entry.durable = false;
  entry.insert_lsn_after.reset();
  entry.commit_time.reset();
  entry.acknowledged_us.reset();
  entry.gave_up_us = 1'000;
  entry.problem = "the \"server\" went away\n";
  return entry;
}

std::string read_text(const Path& path) {
  return *real_file_system().read(path);
}

}  // namespace

TEST_CASE("ledger line: the whole text, and back") {
  const LedgerEntry entry = acknowledged_entry(1'795'171'327'123'456);
  const std::string line = to_ledger_line(entry);
  CHECK(line ==
        R"({"id":1795171327123456,"writer":3,"xid":4294967295,"created_at":"2026-11-20T10:42:07.123456Z",)"
        R"("insert_lsn_before":"3F/2B000028","insert_lsn_after":"3F/2B000158",)"
        R"("commit_time":"2026-11-20T10:42:07.124001Z","sent_us":111,"acknowledged_us":999,)"
        R"("state":"acknowledged","durable":true})");
  CHECK(parse_ledger_line(line) == entry);
}

TEST_CASE("ledger line: a commit in doubt, settled, and back") {
  LedgerEntry entry = doubtful_entry(17);
  CHECK(parse_ledger_line(to_ledger_line(entry)) == entry);
  entry.settled = Settlement::aborted;
  CHECK(parse_ledger_line(to_ledger_line(entry)) == entry);
  CHECK(to_ledger_line(entry).find(R"("settled":"aborted")") != std::string::npos);
}

TEST_CASE("ledger line: every torn prefix is nothing, never a smaller entry") {
  const std::string line = to_ledger_line(doubtful_entry(17));
  for (std::size_t length = 0; length < line.size(); ++length) {
    CAPTURE(length);
    CHECK(!parse_ledger_line(std::string_view(line).substr(0, length)));
  }
}

TEST_CASE("ledger line: a member of the wrong type, a senseless time, LSN, word or id is nothing") {
  const std::string line = to_ledger_line(acknowledged_entry(17));
  const auto with = [&](std::string_view old, std::string_view fresh) {
    std::string changed = line;
    const auto at = changed.find(old);
    REQUIRE(at != std::string::npos);
    return changed.replace(at, old.size(), fresh);
  };
  CHECK(parse_ledger_line(with("17", "18")));
  CHECK(!parse_ledger_line(with(R"("id":17)", R"("id":-17)")));
  CHECK(!parse_ledger_line(with(R"("id":17)", R"("id":"17")")));
  CHECK(!parse_ledger_line(with("4294967295", "4294967296")));
  CHECK(!parse_ledger_line(with("2026-11-20", "2026-02-30")));
  CHECK(!parse_ledger_line(with("2026-11-20T10", "2026-11-20T24")));
  CHECK(!parse_ledger_line(with(":07.123456Z", ":07.12345+Z")));
  CHECK(!parse_ledger_line(with("3F/2B000028", "3F2B000028")));
  CHECK(!parse_ledger_line(with("\"acknowledged\"", "\"acknowledge\"")));
  CHECK(!parse_ledger_line(with("true", "1")));
  CHECK(!parse_ledger_line("[]"));
  CHECK(!parse_ledger_line("{}"));
}

TEST_CASE("ledger: what was appended is read, a later line of the same id wins, damage is counted") {
  const TemporaryDirectory directory;
  const Path path = directory.path / "verification_log.json";
  auto writer = LedgerWriter::open(path);
  REQUIRE(writer);
  REQUIRE(writer->append(acknowledged_entry(1)));
  REQUIRE(writer->append(doubtful_entry(2)));
  REQUIRE(writer->append(acknowledged_entry(3)));
  LedgerEntry settled = doubtful_entry(2);
  settled.settled = Settlement::committed;
  REQUIRE(writer->append(settled));
  REQUIRE(writer->close());
  const auto ledger = read_ledger(path);
  REQUIRE(ledger);
  CHECK(ledger->entries == std::vector{acknowledged_entry(1), settled, acknowledged_entry(3)});
  CHECK(ledger->damaged_lines == 0);
  CHECK(!exists(real_file_system(), directory.path / "verification_log.json.inflight"));
}

TEST_CASE("ledger: an absent one is not_found, and names the path") {
  const auto ledger = read_ledger("/nonexistent/verification_log.json");
  REQUIRE(!ledger);
  CHECK(ledger.error().kind == ErrorKind::not_found);
  CHECK(ledger.error().message.find("/nonexistent/verification_log.json") != std::string::npos);
}

TEST_CASE("ledger: a torn last line costs that line alone, and the next run starts a new one") {
  const TemporaryDirectory directory;
  const Path path = directory.path / "ledger";
  const std::string torn = to_ledger_line(acknowledged_entry(2)).substr(0, 100);
  REQUIRE(real_file_system().write(path, to_ledger_line(acknowledged_entry(1)) + "\n" + torn));
  auto ledger = read_ledger(path);
  REQUIRE(ledger);
  CHECK(ledger->entries.size() == 1);
  CHECK(ledger->damaged_lines == 1);

  auto writer = LedgerWriter::open(path);
  REQUIRE(writer);
  REQUIRE(writer->append(acknowledged_entry(3)));
  REQUIRE(writer->close());
  ledger = read_ledger(path);
  REQUIRE(ledger);
  CHECK(ledger->entries == std::vector{acknowledged_entry(1), acknowledged_entry(3)});
  CHECK(ledger->damaged_lines == 1);
}

TEST_CASE("ledger: a whole entry that lost only its newline is not trusted") {
  const TemporaryDirectory directory;
  const Path path = directory.path / "ledger";
  REQUIRE(real_file_system().write(path, to_ledger_line(acknowledged_entry(1))));
  const auto ledger = read_ledger(path);
  REQUIRE(ledger);
  CHECK(ledger->entries.empty());
  CHECK(ledger->damaged_lines == 1);
}

TEST_CASE("ledger: a line longer than the reader's chunk is one damaged line, and what follows is read") {
  const TemporaryDirectory directory;
  const Path path = directory.path / "ledger";
  REQUIRE(real_file_system().write(
      path, std::string(3U << 20, 'x') + "\n" + to_ledger_line(acknowledged_entry(1)) + "\n"));
  const auto ledger = read_ledger(path);
  REQUIRE(ledger);
  CHECK(ledger->entries == std::vector{acknowledged_entry(1)});
  CHECK(ledger->damaged_lines == 1);
}

TEST_CASE("ledger: what was in flight when the generator was killed is in doubt, once, and is taken over") {
  const TemporaryDirectory directory;
  const Path path = directory.path / "ledger";
  {
    auto writer = LedgerWriter::open(path);
    REQUIRE(writer);
    LedgerEntry lost = acknowledged_entry(2);
    lost.writer = 5;
    REQUIRE(writer->in_flight(acknowledged_entry(1)));
    REQUIRE(writer->in_flight(lost));
    REQUIRE(writer->append(acknowledged_entry(1)));
    // no close(): killed
  }
  const auto check = [&] {
    const auto ledger = read_ledger(path);
    REQUIRE(ledger);
    REQUIRE(ledger->entries.size() == 2);
    CHECK(ledger->entries[0] == acknowledged_entry(1));
    CHECK(ledger->entries[1].id == 2);
    CHECK(ledger->entries[1].writer == 5);
    CHECK(ledger->entries[1].state == LedgerState::in_doubt);
    CHECK(ledger->entries[1].problem == "the load generator ended before the answer came");
    CHECK(ledger->damaged_lines == 0);
  };
  check();
  for (int run = 0; run < 2; ++run) {
    auto writer = LedgerWriter::open(path);
    REQUIRE(writer);
    REQUIRE(writer->close());
    check();
  }
  CHECK(read_text(path).find("ended before the answer came") != std::string::npos);
}

TEST_CASE("ledger: a second writer is refused") {
  const TemporaryDirectory directory;
  const Path path = directory.path / "ledger";
  const auto writer = LedgerWriter::open(path);
  REQUIRE(writer);
  const auto second = LedgerWriter::open(path);
  REQUIRE(!second);
  CHECK(second.error() == Error{ErrorKind::conflict,
                                "ledger '" + path.string() + "' is being written by another process",
                                "Two load generators need two ledgers: name another one with --ledger."});
}

TEST_CASE("settlement: the decision table") {
  using enum TransactionStatus;
  const auto decide = [](TransactionStatus status, std::optional<bool> row, std::optional<bool> in_time) {
    return settle({status, row, in_time});
  };
  const std::optional<bool> unknown;
  for (const auto status : {committed, aborted, in_progress, in_future, forgotten}) {
    CHECK(decide(status, true, unknown) == Settlement::committed);
  }
  for (const auto row : {std::optional<bool>(false), unknown}) {
    CHECK(decide(aborted, row, unknown) == Settlement::aborted);
    CHECK(decide(in_future, row, unknown) == Settlement::aborted);
    CHECK(decide(in_progress, row, unknown) == std::nullopt);
    CHECK(decide(forgotten, row, unknown) == std::nullopt);
    CHECK(decide(committed, row, true) == Settlement::committed);
    CHECK(decide(committed, row, false) == Settlement::aborted);
    CHECK(decide(committed, row, unknown) == std::nullopt);
  }
}
