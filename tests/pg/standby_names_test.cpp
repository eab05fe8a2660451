#include "pg/standby_names.h"

#include <doctest/doctest.h>

using namespace walback;

namespace {

using Method = StandbyNames::Method;
const std::string kUs(kReceiverName);

std::string normal(const std::string& text) {
  const auto parsed = parse_standby_names(text);
  return parsed ? render(*parsed) : "refused";
}

StandbyNames names(const std::string& text) {
  const auto parsed = parse_standby_names(text);
  REQUIRE(parsed);
  return *parsed;
}

}  // namespace

TEST_CASE("standby names: every form that PostgreSQL takes, in its shortest writing") {
  CHECK(normal("") == "");
  CHECK(normal("  ") == "");
  CHECK(normal("s1") == "s1");
  CHECK(normal("s1,s2") == "s1, s2");
  CHECK(normal("1 (s1)") == "s1");
  CHECK(normal("2(s1, s2 ,s3)") == "FIRST 2 (s1, s2, s3)");
  CHECK(normal("first 1 (s1, s2)") == "s1, s2");
  CHECK(normal("Any 2 (s1, s2)") == "ANY 2 (s1, s2)");
  CHECK(normal("*") == "*");
  CHECK(normal("FIRST 2 (s1, *)") == "FIRST 2 (s1, *)");
  CHECK(normal("\"two words\", \"a\"\"b\"") == "\"two words\", \"a\"\"b\"");
  CHECK(normal("\"any\"") == "\"any\"");
  CHECK(normal("s1, \"plain\"") == "s1, plain");
  CHECK(normal("1, 2") == "\"1\", \"2\"");
  CHECK(names("ANY 2 (s1, s2)") == StandbyNames{Method::any, 2, {"s1", "s2"}});
}

TEST_CASE("standby names: what PostgreSQL refuses is nothing") {
  for (const char* text : {"s1,", ",", "s1 s2", "2 (s1", "2 s1)", "(s1)", "ANY (s1)", "ANY 0 (s1)", "FIRST",
                           "s-1", "\"open", "2 ()", "s1;", "2 (s1) x", "99999999999 (s1)", "1a"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_standby_names(text));
  }
}

TEST_CASE("standby names: the receiver is found by its name, without regard to case, never by '*'") {
  CHECK(lists(names("s1, WALBACK_Capture"), kUs));
  CHECK_FALSE(lists(names("*"), kUs));
  CHECK_FALSE(lists(names("walback_capture_2"), kUs));
}

TEST_CASE("standby names: a receiver is always waited for only where all are") {
  CHECK(always_waits_for(names("walback_capture"), kUs));
  CHECK(always_waits_for(names("FIRST 2 (walback_capture, s1)"), kUs));
  CHECK(always_waits_for(names("ANY 2 (s1, walback_capture)"), kUs));
  CHECK_FALSE(always_waits_for(names("walback_capture, s1"), kUs));
  CHECK_FALSE(always_waits_for(names("FIRST 2 (walback_capture, s1, s2)"), kUs));
  CHECK_FALSE(always_waits_for(names("ANY 1 (walback_capture, s1)"), kUs));
  CHECK_FALSE(always_waits_for(names("FIRST 2 (walback_capture, *)"), kUs));
  CHECK_FALSE(always_waits_for(names("s1"), kUs));
}

TEST_CASE("standby names: the receiver joins others, who keep what they were promised, and leaves them") {
  const auto joined = [](const std::string& others) { return render(with_receiver(names(others), kUs)); };
  CHECK(joined("") == "walback_capture");
  CHECK(joined("s1") == "FIRST 2 (walback_capture, s1)");
  CHECK(joined("s1, s2") == "FIRST 2 (walback_capture, s1, s2)");
  CHECK(joined("FIRST 2 (s1, s2)") == "FIRST 3 (walback_capture, s1, s2)");
  CHECK(joined("ANY 1 (s1, s2)") == "FIRST 2 (walback_capture, s1, s2)");
  CHECK(joined("walback_capture") == "walback_capture");

  const auto left = [](const std::string& all) { return render(without_receiver(names(all), kUs)); };
  CHECK(left("walback_capture") == "");
  CHECK(left("FIRST 2 (walback_capture, s1)") == "s1");
  CHECK(left("FIRST 3 (walback_capture, s1, s2)") == "FIRST 2 (s1, s2)");
  CHECK(left("ANY 2 (s1, walback_capture)") == "ANY 1 (s1)");
  CHECK(left("s1, walback_capture") == "s1");
  CHECK(left("ANY 1 (s1, s2, walback_capture)") == "ANY 1 (s1, s2)");
  CHECK(left("s1, s2") == "s1, s2");
}
