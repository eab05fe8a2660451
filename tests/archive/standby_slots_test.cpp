#include "archive/standby_slots.h"

#include <doctest/doctest.h>

using namespace walback;

TEST_CASE("standby slots: each standby of walback.yaml, and the other hosts of primary.conninfo") {
  Config config;
  config.primary.conninfo = "host=db1 user=w";
  CHECK(standby_slots_of(config).value().empty());
  config.standbys = {{"b", "host=db2 user=w", "walback"}};
  const StandbySlot named{"b", "user=w host=db2", "walback", true};
  CHECK(standby_slots_of(config).value() == std::vector{named});
  config.primary.conninfo = "host=db1,db2,db3 user=w target_session_attrs=read-write";
  config.primary.slot = "wal";
  CHECK(standby_slots_of(config).value() ==
        std::vector{named, StandbySlot{"db1:5432", "user=w host=db1", "wal", false},
                    StandbySlot{"db3:5432", "user=w host=db3", "wal", false}});
  config.standbys[0].conninfo = "no conninfo";
  CHECK(standby_slots_of(config).error().kind == ErrorKind::config);
}
