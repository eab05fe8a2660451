#include "base/json.h"

#include <doctest/doctest.h>

using namespace walback;

TEST_CASE("json: garbage is corrupt and names the document, never an exception") {
  for (const char* text : {"", "{", "{\"a\":}", "nul", "{\"a\":1} x", "\xff"}) {
    CAPTURE(text);
    const auto parsed = parse_json(text, "capture.status of '/archive'");
    REQUIRE_FALSE(parsed.has_value());
    CHECK(parsed.error() == Error{ErrorKind::corrupt, "capture.status of '/archive' is not valid JSON", ""});
  }
  CHECK_FALSE(parse_json(std::string(100'000, '['), "x").has_value());
}

TEST_CASE("json: keys keep their order, and bytes that are not UTF-8 are replaced") {
  Json json;
  json["zebra"] = 1;
  json["apple"] = "\xff!";
  CHECK(to_line(json) == "{\"zebra\":1,\"apple\":\"\xEF\xBF\xBD!\"}");
  CHECK(to_text(Json{{"a", 1}}) == "{\n  \"a\": 1\n}");
}

TEST_CASE("json: a member of another type is as good as none") {
  const Json json = parse_json(R"({"text":"x","count":7,"signed":-7,"real":1.5,"yes":true})", "x").value();
  CHECK(member<std::string>(json, "text") == "x");
  CHECK(member<std::uint64_t>(json, "count") == 7U);
  CHECK(member<std::int64_t>(json, "signed") == -7);
  CHECK(member<double>(json, "real") == 1.5);
  CHECK(member<bool>(json, "yes") == true);
  CHECK_FALSE(member<std::string>(json, "count").has_value());
  CHECK_FALSE(member<std::uint64_t>(json, "signed").has_value());
  CHECK_FALSE(member<std::int64_t>(json, "real").has_value());
  CHECK_FALSE(member<std::int64_t>(json, "absent").has_value());
  CHECK_FALSE(member<std::int64_t>(Json(7), "count").has_value());
}
