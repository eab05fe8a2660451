#include "restore/marker.h"

#include <doctest/doctest.h>

#include "support/temporary_directory.h"

using namespace walback;

namespace {

RestoreMarker marker() {
  return {.phase = RestorePhase::finishing,
          .name = "r1",
          .pid = 123,
          .pid_start_ticks = 456,
          .started_at = Timestamp{1'795'168'800'000'000},
          .port = 5433,
          .socket_directory = "/r/walback/socket",
          .target = "--to-latest",
          .plan = {{"backup", "B1"}},
          .expected = {{"timeline", 1}},
          .tablespaces = {{16385, "/srv/fast", "/r.tablespaces/16385", 8, Lsn{0x4000200}, true}}};
}

}  // namespace

TEST_CASE("restore marker: what is written comes back, in every phase") {
  const TemporaryDirectory directory;
  const RestoredLayout layout{directory.path()};
  for (const RestorePhase phase : {RestorePhase::laying_base, RestorePhase::recovering, RestorePhase::paused,
                                   RestorePhase::finishing, RestorePhase::complete}) {
    RestoreMarker written = marker();
    written.phase = phase;
    REQUIRE(write_marker(real_file_system(), layout, written));
    const auto read = read_marker(real_file_system(), layout);
    REQUIRE(read);
    REQUIRE(*read);
    CHECK(to_json(**read) == to_json(written));
    CHECK((*read)->tablespaces == written.tablespaces);
  }
}

TEST_CASE("restore marker: none is no error, a senseless one is") {
  const TemporaryDirectory directory;
  const RestoredLayout layout{directory.path()};
  const auto none = read_marker(real_file_system(), layout);
  REQUIRE(none);
  CHECK_FALSE(*none);
  Json unknown = to_json(marker());
  unknown["phase"] = "elsewhere";
  Json portless = to_json(marker());
  portless["port"] = 70000;
  Json planless = to_json(marker());
  planless.erase("plan");
  for (const std::string& text : {to_text(unknown), to_text(portless), to_text(planless), std::string("[]"),
                                  std::string("{}"), std::string("null")}) {
    const auto read = parse_marker(text, "'m'");
    REQUIRE_FALSE(read);
    CHECK(read.error() == Error{ErrorKind::corrupt, "'m' is not the mark of a restore", ""});
  }
  for (const char* text : {"", "{\"phase\":", "\xff\xfe"}) {
    const auto read = parse_marker(text, "'m'");
    REQUIRE_FALSE(read);
    CHECK(read.error().kind == ErrorKind::corrupt);
  }
}

TEST_CASE("restored layout: a socket's name must fit, else it goes to /tmp, always under the same name") {
  CHECK(RestoredLayout{"/srv/r1"}.socket_directory() == "/srv/r1/walback/socket");
  const auto of_length = [](std::size_t length) {
    const Path data = "/" + std::string(length - 1, 'x');
    return RestoredLayout{data}.socket_directory().string();
  };
  // "/.s.PGSQL.65535.lock" and the final zero are to come.
  CHECK(of_length(87 - 15).size() == 87);
  const std::string first = of_length(87 - 14);
  CHECK(first.starts_with("/tmp/walback-"));
  CHECK(first.size() == std::string("/tmp/walback-").size() + 16);
  CHECK(of_length(87 - 14) == first);
  CHECK(of_length(87 - 13) != first);
}
