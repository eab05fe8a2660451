#include "os/mounts.h"

#include <doctest/doctest.h>

#include "support/temporary_directory.h"

using namespace walback;

TEST_CASE("mounts: one file system or two; what is not there counts as the same") {
  const TemporaryDirectory one, other;
  CHECK(same_file_system(one.path(), other.path()));
  CHECK_FALSE(same_file_system(one.path(), "/proc"));
  CHECK(same_file_system(one.path() / "absent", "/proc"));
}
