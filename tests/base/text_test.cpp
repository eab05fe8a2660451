#include "base/text.h"

#include <doctest/doctest.h>

using namespace walback;

TEST_CASE("parse_decimal: digits only, to the last value and not beyond") {
  CHECK(parse_decimal("0") == 0U);
  CHECK(parse_decimal("007") == 7U);
  CHECK(parse_decimal("18446744073709551615") == UINT64_MAX);
  for (const char* text : {"", "18446744073709551616", "-1", "+1", " 1", "1 ", "0x1", "1.0", "1e3", "١"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_decimal(text).has_value());
  }
}

TEST_CASE("parse_hex: 1 to 16 digits of either case") {
  CHECK(parse_hex("3F") == 0x3FU);
  CHECK(parse_hex("3f") == 0x3FU);
  CHECK(parse_hex("ffffffffffffffff") == UINT64_MAX);
  for (const char* text : {"", "0000000000000000f", "0x1", "g", "-1", " 1"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_hex(text).has_value());
  }
}

TEST_CASE("trim, split, join") {
  CHECK(trim(" \t a b\r\n") == "a b");
  CHECK(trim(" \n").empty());
  CHECK(trim("").empty());
  CHECK(split("a,,b", ',') == std::vector<std::string_view>{"a", "", "b"});
  CHECK(split("", ',') == std::vector<std::string_view>{""});
  CHECK(split("a,", ',') == std::vector<std::string_view>{"a", ""});
  CHECK(join({"a", "b", "c"}, ", ") == "a, b, c");
  CHECK(join({}, ", ").empty());
  CHECK(join({"", "b"}, ",") == ",b");
}

TEST_CASE("render_bytes: powers of 1024, PostgreSQL's names, one decimal only where it says something") {
  CHECK(render_bytes(0) == "0 B");
  CHECK(render_bytes(812) == "812 B");
  CHECK(render_bytes(1023) == "1023 B");
  CHECK(render_bytes(1024) == "1 kB");
  CHECK(render_bytes(1536) == "1.5 kB");
  CHECK(render_bytes(16U << 20) == "16 MB");
  CHECK(render_bytes(1'610'612'736) == "1.5 GB");
  CHECK(render_bytes(UINT64_MAX) == "16384 PB");
}

TEST_CASE("nearest: a typing error is guessed, another word is not") {
  const std::vector<std::string> words{"restore", "plan", "status"};
  CHECK(nearest("resotre", words) == "restore");
  CHECK(nearest("plam", words) == "plan");
  CHECK(nearest("plan", words) == "plan");
  CHECK_FALSE(nearest("backup", words).has_value());
  CHECK_FALSE(nearest("", words).has_value());
  CHECK_FALSE(nearest("plan", {}).has_value());
}
