#include "base/log.h"

#include <doctest/doctest.h>

using namespace walback;

TEST_CASE("log line: level, area, event, fields") {
  CHECK(render_log_line(LogLevel::info, "archive", "segment_indexed",
                        {{key::timeline, "1"}, {key::segment, "000000010000003F0000002A"}}) ==
        "INFO archive segment_indexed timeline=1 segment=000000010000003F0000002A");
  CHECK(render_log_line(LogLevel::debug, "os", "x", {}) == "DEBUG os x");
  CHECK(render_log_line(LogLevel::warn, "os", "x", {}) == "WARN os x");
  CHECK(render_log_line(LogLevel::error, "os", "x", {}) == "ERROR os x");
}

TEST_CASE("log line: a value that could be taken for something else is quoted, and stays on its line") {
  const auto value = [](std::string text) {
    return render_log_line(LogLevel::info, "a", "b", {{"k", std::move(text)}})
        .substr(std::string_view("INFO a b k=").size());
  };
  CHECK(value("") == "\"\"");
  CHECK(value("two words") == "\"two words\"");
  CHECK(value("a=b") == "\"a=b\"");
  CHECK(value("say \"x\"") == R"("say \"x\"")");
  CHECK(value("back\\slash") == R"("back\\slash")");
  CHECK(value("line\nERROR forged") == R"("line\nERROR forged")");
  CHECK(value("bell\x07\x7f") == R"("bell\x07\x7f")");
  CHECK(value("größe") == "größe");
  CHECK(value("3F/2A000028") == "3F/2A000028");
}
