#include "lab/load.h"

#include <doctest/doctest.h>

using namespace walback;

namespace {

LoadSetup good_setup() {
  LoadSetup setup;
  setup.conninfo = "host=/nonexistent";
  setup.ledger = "/nonexistent/ledger";
  return setup;
}

std::string refusal(const LoadSetup& setup) {
  const Status checked = check_load_setup(setup);
  if (checked) return "";
  CHECK(checked.error().kind == ErrorKind::usage);
  return checked.error().message;
}

}  // namespace

TEST_CASE("load: what makes no sense is refused before anything is touched") {
  LoadSetup setup = good_setup();
  CHECK(refusal(setup) == "");
  setup.writers = 0;
  CHECK(refusal(setup) == "0 writers are asked for, expected 1 to 1000");
  setup = good_setup();
  setup.seconds = -1;
  CHECK(refusal(setup) == "-1 seconds are asked for, expected 0 (until stopped) to 31622400");
  setup = good_setup();
  setup.rate = 10;
  setup.every = 1;
  CHECK(refusal(setup) == "a rate and an interval are both asked for, expected one of them");
  setup.every.reset();
  setup.rate = 0;
  CHECK(refusal(setup) == "a rate of 0 commits a second is asked for, expected more than 0");
  setup = good_setup();
  setup.every = 100'000;
  CHECK(refusal(setup) == "an interval of 100000 s is asked for, expected more than 0, at most 86400");
  setup = good_setup();
  setup.payload_least = 300;
  CHECK(refusal(setup) == "a payload of 300 to 256 bytes is asked for, expected a range up to 1048576");
  setup = good_setup();
  setup.ledger.clear();
  CHECK(refusal(setup) == "no ledger is named");
}

TEST_CASE("load: a ledger that cannot be written ends it before the server is asked") {
  const auto figures = run_load(good_setup(), {}, {});
  REQUIRE(!figures);
  CHECK(figures.error().message == "cannot open the ledger '/nonexistent/ledger': no such file or directory");
}
