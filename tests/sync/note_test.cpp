#include "sync/note.h"

#include <doctest/doctest.h>

#include "support/memory_file_system.h"
#include "support/recording_log.h"

using namespace walback;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr Timestamp at(std::int64_t second) {
  return {second * 1'000'000};
}

SynchronousNote note() {
  SynchronousNote result;
  result.timeout = seconds(4);
  result.names = "FIRST 2 (walback_capture, \"it's\")";
  result.fallback = "\"it's\"";
  return result;
}

SynchronousState state(const std::optional<SynchronousNote>& known, const std::string& names) {
  return synchronous_state(known, names, "walback_capture");
}

}  // namespace

TEST_CASE("synchronous note: written and read it is the same, and nothing is no note") {
  SynchronousNote full = fallen_back(returned(note(), at(50)), at(90), "walback_capture is not connected");
  full.reset = true;
  for (const SynchronousNote& each : {note(), full}) {
    const auto read = parse_synchronous_note(to_text(each));
    REQUIRE(read);
    REQUIRE(*read);
    CHECK(**read == each);
  }
  CHECK(to_text(note()) ==
        "{\"timeout_ms\":4000,\"names\":\"FIRST 2 (walback_capture, \\\"it's\\\")\",\"fallback\":"
        "\"\\\"it's\\\"\",\"reset\":false,\"quiet_ms\":2000}");
  CHECK(parse_synchronous_note("").value() == std::nullopt);
}

TEST_CASE("synchronous note: what a hand has spoilt is corrupt, and no number of it is taken unbounded") {
  for (const char* text : {"on", "{", "{\"timeout_ms\":\"10\"}", "{\"timeout_ms\":1000,\"names\":\"x\"}"}) {
    const auto read = parse_synchronous_note(text);
    REQUIRE_FALSE(read);
    CHECK(read.error().kind == ErrorKind::corrupt);
  }
  const auto wild = parse_synchronous_note(
      "{\"timeout_ms\":-5,\"names\":\"a\",\"fallback\":\"\",\"quiet_ms\":99999999999}");
  REQUIRE(wild);
  CHECK((*wild)->timeout == kShortestSynchronousTimeout);
  CHECK((*wild)->quiet == kLongestQuiet);
}

TEST_CASE("synchronous note: a receiver that comes and goes must keep up for longer each time") {
  SynchronousNote each = fallen_back(note(), at(0), "gone");
  CHECK(each.quiet == kShortestQuiet);
  each = fallen_back(returned(each, at(10)), at(20), "gone");
  CHECK(each.quiet == 2 * kShortestQuiet);
  each = fallen_back(returned(each, at(30)), at(40), "gone");
  CHECK(each.quiet == 4 * kShortestQuiet);
  for (int i = 0; i < 20; ++i) each = fallen_back(returned(each, at(50)), at(60), "gone");
  CHECK(each.quiet == kLongestQuiet);
  // Ten good minutes forgive.
  each = fallen_back(returned(each, at(100)), at(700), "gone");
  CHECK(each.quiet == kShortestQuiet);
  CHECK_FALSE(returned(each, at(800)).fell_back_at);
}

TEST_CASE("synchronous note: what PostgreSQL waits for decides, the note only says whose doing it is") {
  CHECK(state(std::nullopt, "") == SynchronousState::off);
  CHECK(state(std::nullopt, "s1") == SynchronousState::off);
  CHECK(state(std::nullopt, "*") == SynchronousState::off);
  CHECK(state(std::nullopt, "FIRST 1 (walback_capture)") == SynchronousState::unwatched);
  CHECK(state(note(), "first 2 (walback_capture,\"it's\")") == SynchronousState::waiting);
  CHECK(state(note(), "\"it's\"") == SynchronousState::fallen_back);
  CHECK(state(note(), "") == SynchronousState::overridden);
  CHECK(state(note(), "walback_capture") == SynchronousState::overridden);
  // A watcher killed between its two settings left the note of before.
  CHECK(state(fallen_back(note(), at(1), "gone"), note().names) == SynchronousState::waiting);
}

TEST_CASE("synchronous note: the journal knows the last decision") {
  MemoryFileSystem files;
  RecordingLog log;
  const ArchiveLayout layout{"/archive"};
  REQUIRE(files.create_directories("/archive"));
  CHECK_FALSE(synchronous_mode_was_on(files, layout));
  const auto write = [&](std::int64_t second, SynchronousEvent event) {
    note_change(files, layout, log, journal_entry(at(second), event, note()));
  };
  write(1, SynchronousEvent::on);
  CHECK(synchronous_mode_was_on(files, layout));
  write(2, SynchronousEvent::fell_back);
  write(2, SynchronousEvent::fell_back);  // two watchers saw it
  CHECK(synchronous_mode_was_on(files, layout));
  write(3, SynchronousEvent::off);
  CHECK_FALSE(synchronous_mode_was_on(files, layout));
  CHECK(files.read(layout.journal()).value() ==
        "{\"at\":\"1970-01-01T00:00:01.000000Z\",\"kind\":\"synchronous\",\"event\":\"on\",\"timeout_ms\":"
        "4000}\n"
        "{\"at\":\"1970-01-01T00:00:02.000000Z\",\"kind\":\"synchronous\",\"event\":\"fell_back\",\"timeout_"
        "ms\":"
        "4000,\"reason\":\"\"}\n"
        "{\"at\":\"1970-01-01T00:00:03.000000Z\",\"kind\":\"synchronous\",\"event\":\"off\",\"timeout_ms\":"
        "4000}\n");
}
