#include "restore/refused_settings.h"

#include <doctest/doctest.h>

#include "restore/preloads.h"

using namespace walback;

TEST_CASE("refused settings: the ones that PostgreSQL names, in its own words") {
  const auto refused = parse_refusals(
      "2026-11-20 13:00:44.772 UTC [4324] LOG:  invalid value for parameter \"lc_messages\": \"xx_YY\"\n"
      "2026-11-20 13:00:44.772 UTC [4324] LOG:  invalid value for parameter \"TimeZone\": \"Mars\"\n"
      "2026-11-20 13:00:44.371 UTC [4294] HINT:  Available values: pglz, lz4, zstd, on, off.\n"
      "2026-11-20 13:00:44.664 UTC [4316] LOG:  -5 8kB is outside the valid range for parameter "
      "\"wal_buffers\" (-1 .. 262143)\n"
      "2026-11-20 13:00:44.590 UTC [4310] LOG:  parameter \"autovacuum\" requires a Boolean value\n"
      "2026-11-20 12:49:09.424 GMT [21604] LOG:  unrecognized configuration parameter \"foo_bar\" in file "
      "\"/x/postgresql.conf\" line 6\n"
      "2026-11-20 13:00:44.772 UTC [4324] FATAL:  configuration file \"/x/postgresql.conf\" contains "
      "errors\n");
  const std::vector<RefusedSetting> expected = {
      {"lc_messages", "invalid value for parameter \"lc_messages\": \"xx_YY\""},
      {"timezone", "invalid value for parameter \"TimeZone\": \"Mars\""},
      {"wal_buffers", "-5 8kB is outside the valid range for parameter \"wal_buffers\" (-1 .. 262143)"},
      {"autovacuum", "parameter \"autovacuum\" requires a Boolean value"},
      {"foo_bar", "unrecognized configuration parameter \"foo_bar\" in file \"/x/postgresql.conf\" line 6"}};
  CHECK(refused == expected);
  CHECK(parse_refusals("39871").empty());
}

TEST_CASE("preloads: by each setting that names libraries; the later one of a setting counts") {
  const auto found = preloads("shared_preload_libraries = 'old'\nsession_preload_libraries = 'a, \"b\"'\n",
                              "shared_preload_libraries = 'x,pg_cron'\njit_provider = 'own'\n",
                              {{"Local_Preload_Libraries", "c"}});
  const std::vector<Preload> expected = {{"shared_preload_libraries", "x", false},
                                         {"session_preload_libraries", "a", false},
                                         {"session_preload_libraries", "b", false},
                                         {"local_preload_libraries", "c", true},
                                         {"jit_provider", "own", false}};
  CHECK(found == expected);
  CHECK(library_file("/lib", {"shared_preload_libraries", "$libdir/x.so"}) == "/lib/x.so");
  CHECK(library_file("/lib", {"shared_preload_libraries", "/opt/x"}) == "/opt/x.so");
  CHECK(library_file("/lib", {"local_preload_libraries", "x"}) == "/lib/plugins/x.so");
  CHECK(library_file("/lib", {"local_preload_libraries", "$libdir/plugins/x"}) == "/lib/plugins/x.so");
}
