#include "archive/manage_status.h"

#include <doctest/doctest.h>

using namespace walback;

TEST_CASE("manage.status: what is written is what is read") {
  ManageStatus status;
  status.pid = 4711;
  status.state = ManageState::failing;
  status.started_at = {1'795'168'000'000'000};
  status.updated_at = {1'795'168'001'000'001};
  status.last_intake_at = Timestamp{1'795'168'000'500'000};
  status.indexed = {{{1}, {0x3000148}}, {{2}, {0x5000000}}};
  status.watermark = {{2}, {0x4FFFFF8}, {1'795'168'000'400'000}};
  status.last_error = "disk full";
  const auto read = parse_manage_status(to_text(status), "manage.status");
  REQUIRE(read);
  CHECK(*read == status);

  ManageStatus young;
  young.pid = 1;
  const auto read_young = parse_manage_status(to_text(young), "manage.status");
  REQUIRE(read_young);
  CHECK(*read_young == young);
}

TEST_CASE("manage.status: what is missing is named") {
  const auto read = parse_manage_status(R"({"pid": 5, "state": "resting"})", "manage.status of /archive");
  REQUIRE_FALSE(read);
  CHECK(render(read.error()) ==
        "walback: manage.status of /archive has no usable 'state'\n"
        "hint: It is written anew by the next `walback manage`; until then only the catalog speaks.");
}
