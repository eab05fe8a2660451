#include "restore/restored_settings.h"

#include <doctest/doctest.h>

#include "base/text.h"

using namespace walback;

namespace {

std::string parsed(std::string_view text) {
  std::string all;
  for (const ConfLine& line : parse_settings(text)) all += line.name + "=[" + line.value + "] ";
  return all;
}

RestoredSettingsInput input() {
  RestoredSettingsInput made;
  made.listen_addresses = "127.0.0.1";
  made.port = 5433;
  made.socket_directory = "/run/it's";
  return made;
}

/// The value of one setting in the file that was made; "-" where it has none.
std::string value_of(const RestoredSettings& settings, const std::string& name) {
  std::string found = "-";
  for (const ConfLine& line : parse_settings(settings.postgresql_conf)) {
    if (line.name == name) found = line.value;
  }
  return found;
}

std::string dropped(const std::string& base) {
  RestoredSettingsInput made = input();
  made.base_conf = base;
  return join(restored_settings(made).dropped, "; ");
}

}  // namespace

TEST_CASE("restored settings: the forms in which PostgreSQL reads a setting") {
  CHECK(parsed("work_mem = 64MB\n") == "work_mem=[64MB] ");
  CHECK(parsed("Work_Mem=64MB # much\n") == "work_mem=[64MB] ");
  CHECK(parsed("work_mem 64MB\n") == "work_mem=[64MB] ");
  CHECK(parsed("  work_mem\t=\t'64 MB'  # much\n") == "work_mem=[64 MB] ");
  CHECK(parsed("a = 'it''s'\nb = 'it\\'s'\nc = 'a\\\\b'\nd = 'x\\ny'\n") ==
        "a=[it's] b=[it's] c=[a\\b] d=[x\ny] ");
  CHECK(parsed("search_path = '\"$user\", public'") == "search_path=[\"$user\", public] ");
  CHECK(parsed("# only a comment\n\n   \n#work_mem = 1\n").empty());
  CHECK(parsed("include_dir 'conf.d'\ninclude = 'a # b'\n") == "include_dir=[conf.d] include=[a # b] ");
  CHECK(parsed("my.setting = on\r\n") == "my.setting=[on] ");
  CHECK(parsed("= 5\nalone\n'x' = 1\n") == "=[= 5] =[alone] =['x' = 1] ");
  CHECK(parsed("a = ''\nb = '\nc =\n") == "a=[] b=[] c=[] ");
}

TEST_CASE("restored settings: what is written is read again, whatever it holds") {
  for (const std::string value :
       {"plain", "it's", "back\\slash", "two\nlines", "", "'", "\\'", "a\rb", "%p # x"}) {
    const std::string line = render_setting("name", value);
    const auto read = parse_settings(line);
    REQUIRE_MESSAGE(read.size() == 1, line);
    CHECK(read[0].value == value);
  }
  CHECK(render_setting("restore_command", "'a' \\ 'b'") == "restore_command = '''a'' \\\\ ''b'''\n");
}

TEST_CASE("restored settings: the base's own stay where they shape what a query sees") {
  RestoredSettingsInput made = input();
  made.base_conf =
      "timezone = 'Europe/Berlin'\nwork_mem = 64MB\nwork_mem = 32MB\npg_stat_statements.max = 77\n";
  made.base_auto_conf = "datestyle = 'iso, dmy'\nwork_mem = '16MB'\n";
  const RestoredSettings settings = restored_settings(made);
  CHECK(settings.dropped.empty());
  CHECK(value_of(settings, "timezone") == "Europe/Berlin");
  CHECK(value_of(settings, "work_mem") == "16MB");
  CHECK(value_of(settings, "pg_stat_statements.max") == "77");
  CHECK(value_of(settings, "datestyle") == "iso, dmy");
  CHECK(value_of(settings, "shared_buffers") == "256MB");
}

TEST_CASE("restored settings: each family that could reach out of the copy is left out, and said to be") {
  CHECK(dropped("archive_command = 'cp %p /x'") == "archive_command = 'cp %p /x' (archiving)");
  CHECK(dropped("recovery_target_time = '2026-01-01'") ==
        "recovery_target_time = '2026-01-01' (recovery is walback's)");
  CHECK(dropped("recovery_min_apply_delay = 1h") ==
        "recovery_min_apply_delay = '1h' (recovery is walback's)");
  CHECK(dropped("restore_command = 'false'") == "restore_command = 'false' (recovery is walback's)");
  CHECK(dropped("primary_conninfo = 'host=p'") == "primary_conninfo = 'host=p' (replication)");
  CHECK(dropped("synchronous_standby_names = '*'") == "synchronous_standby_names = '*' (replication)");
  CHECK(dropped("walback.synchronous = '{}'") == "walback.synchronous = '{}' (replication)");
  CHECK(dropped("wal_keep_size = 64GB") == "wal_keep_size = '64GB' (replication)");
  CHECK(dropped("listen_addresses = '*'") == "listen_addresses = '*' (listening)");
  CHECK(dropped("port = 5432") == "port = '5432' (listening)");
  CHECK(dropped("ssl = on") == "ssl = 'on' (keys of the primary's host)");
  CHECK(dropped("log_directory = 'log'") == "log_directory = 'log' (the copy logs to its own file)");
  CHECK(dropped("stats_temp_directory = '/run/x'") ==
        "stats_temp_directory = '/run/x' (a path of the primary's host)");
  CHECK(dropped("dynamic_library_path = '$libdir:/opt/x'") ==
        "dynamic_library_path = '$libdir:/opt/x' (a path of the primary's host)");
  CHECK(dropped("include_if_exists = 'more.conf'") == "include_if_exists = 'more.conf' (another file)");
  CHECK(dropped("cron.database_name = 'x'") == "cron.database_name = 'x' (jobs)");
  CHECK(dropped("shared_buffers = 64GB\nhuge_pages = on") ==
        "shared_buffers = '64GB' (sized for the primary's host); huge_pages = 'on' (sized for the primary's "
        "host)");
  CHECK(dropped("fsync = off") == "fsync = 'off' (durability is walback's)");
  CHECK(dropped("zero_damaged_pages = on") == "zero_damaged_pages = 'on' (it would hide damage)");
  CHECK(dropped("what is this?") == "");
  CHECK(dropped("?what is this") == "?what is this (not a setting)");
}

TEST_CASE("restored settings: libraries that start jobs are left out, whoever names them") {
  RestoredSettingsInput made = input();
  made.base_conf = "shared_preload_libraries = 'pg_stat_statements, pg_cron,\"auto_explain\"'";
  RestoredSettings settings = restored_settings(made);
  CHECK(value_of(settings, "shared_preload_libraries") == "\"pg_stat_statements\", \"auto_explain\"");
  CHECK(join(settings.dropped, "; ") == "shared_preload_libraries: pg_cron (jobs)");
  made.overrides = {{"shared_preload_libraries", "$libdir/pg_cron.so"}};
  settings = restored_settings(made);
  CHECK(value_of(settings, "shared_preload_libraries").empty());
  CHECK(join(settings.dropped, "; ") == "shared_preload_libraries: $libdir/pg_cron.so (jobs)");
  CHECK(libraries_of(" a , \"b c\",, pgagent") == std::vector<std::string>{"a", "b c"});
}

TEST_CASE("restored settings: a setting that this build does not know would keep it from starting") {
  RestoredSettingsInput made = input();
  made.base_conf = "work_mem = 1MB\noutput_plugin_libraries = 'x'\nmy.thing = 1\n";
  made.known = {"work_mem"};
  const RestoredSettings settings = restored_settings(made);
  CHECK(join(settings.dropped, "; ") == "output_plugin_libraries = 'x' (this server does not know it)");
  CHECK(value_of(settings, "work_mem") == "1MB");
  CHECK(value_of(settings, "my.thing") == "1");
}

TEST_CASE("restored settings: a library that is not installed here is left out of its list, and said to be") {
  RestoredSettingsInput made = input();
  made.base_conf =
      "shared_preload_libraries = 'pg_stat_statements, gone'\nsession_preload_libraries = 'gone'\n"
      "jit_provider = 'gone'\nlocal_preload_libraries = 'here'\n";
  made.missing_libraries = {
      {"shared_preload_libraries", "gone"}, {"session_preload_libraries", "gone"}, {"jit_provider", "gone"}};
  const RestoredSettings settings = restored_settings(made);
  CHECK(value_of(settings, "shared_preload_libraries") == "\"pg_stat_statements\"");
  CHECK(value_of(settings, "session_preload_libraries").empty());
  CHECK(value_of(settings, "local_preload_libraries") == "\"here\"");
  CHECK(value_of(settings, "jit_provider") == "-");
  CHECK(join(settings.dropped, "; ") ==
        "jit_provider: gone (not installed here); session_preload_libraries: gone (not installed here); "
        "shared_preload_libraries: gone (not installed here)");
}

TEST_CASE("restored settings: what this host's server refuses is left out, with the server's own words") {
  RestoredSettingsInput made = input();
  made.base_conf = "lc_time = 'de_DE.UTF-8'\nwork_mem = 1MB\nTimeZone = 'Mars'\n";
  made.refused = {{"lc_time", "invalid value for parameter \"lc_time\": \"de_DE.UTF-8\""},
                  {"timezone", "no such zone"}};
  const RestoredSettings settings = restored_settings(made);
  CHECK(value_of(settings, "lc_time") == "-");
  CHECK(value_of(settings, "work_mem") == "1MB");
  CHECK(join(settings.dropped, "; ") ==
        "lc_time = 'de_DE.UTF-8' (this host's server: invalid value for parameter \"lc_time\": "
        "\"de_DE.UTF-8\"); timezone = 'Mars' (this host's server: no such zone)");
}

TEST_CASE("restored settings: never below what the WAL's own server had") {
  RestoredSettingsInput made = input();
  made.base_conf = "max_connections = 50\nmax_wal_senders = 30\nmax_worker_processes = 0x10\n";
  made.overrides = {{"max_locks_per_transaction", "10"}};
  made.floor = {.max_connections = 200,
                .max_worker_processes = 16,
                .max_wal_senders = 10,
                .max_prepared_transactions = 7,
                .max_locks_per_transaction = 64};
  const RestoredSettings settings = restored_settings(made);
  CHECK(value_of(settings, "max_connections") == "200");
  CHECK(value_of(settings, "max_wal_senders") == "30");
  CHECK(value_of(settings, "max_worker_processes") == "16");
  CHECK(value_of(settings, "max_prepared_transactions") == "7");
  CHECK(value_of(settings, "max_locks_per_transaction") == "64");
}

TEST_CASE("restored settings: walback.yaml wins over the base, and cannot undo what keeps the copy safe") {
  RestoredSettingsInput made = input();
  made.base_conf = "work_mem = 1MB\n";
  made.overrides = {{"work_mem", "2MB"},
                    {"shared_buffers", "1GB"},
                    {"ssl", "off"},
                    {"Archive_Mode", "on"},
                    {"fsync", "off"},
                    {"hot_standby", "off"},
                    {"primary_conninfo", "x"},
                    {"recovery_target", "immediate"},
                    {"listen_addresses", "*"},
                    {"logging_collector", "on"}};
  const RestoredSettings settings = restored_settings(made);
  CHECK(value_of(settings, "work_mem") == "2MB");
  CHECK(value_of(settings, "shared_buffers") == "1GB");
  CHECK(value_of(settings, "ssl") == "off");
  CHECK(value_of(settings, "archive_mode") == "off");
  CHECK(value_of(settings, "fsync") == "-");
  CHECK(value_of(settings, "hot_standby") == "on");
  CHECK(value_of(settings, "primary_conninfo") == "-");
  CHECK(value_of(settings, "listen_addresses") == "127.0.0.1");
  CHECK(value_of(settings, "logging_collector") == "off");
  CHECK(value_of(settings, "unix_socket_directories") == "/run/it's");
  CHECK(settings.postgresql_conf.find("recovery_") == std::string::npos);
  CHECK(join(settings.dropped, "; ") ==
        "archive_mode = 'on' of walback.yaml (archiving); "
        "fsync = 'off' of walback.yaml (durability is walback's); "
        "hot_standby = 'off' of walback.yaml (replication); "
        "listen_addresses = '*' of walback.yaml (listening); "
        "logging_collector = 'on' of walback.yaml (the copy logs to its own file); "
        "primary_conninfo = 'x' of walback.yaml (replication); "
        "recovery_target = 'immediate' of walback.yaml (recovery is walback's)");
}

TEST_CASE("restored settings: min_wal_size and max_wal_size hold segments of any size") {
  for (const std::uint64_t mb : {1U, 16U, 64U, 1024U}) {
    RestoredSettingsInput made = input();
    made.segment_bytes = mb << 20;
    const RestoredSettings settings = restored_settings(made);
    CHECK(value_of(settings, "min_wal_size") == std::to_string(5 * mb) + "MB");
    CHECK(value_of(settings, "max_wal_size") == std::to_string(64 * mb) + "MB");
  }
}

TEST_CASE("restored settings: the recovery target is the only one there is") {
  const RecoverySettings recovery{.restore_command = "'f' 's' '%f' '%p'",
                                  .target = Lsn{0x3000148},
                                  .inclusive = false,
                                  .timeline = {3},
                                  .max_wal_size_mb = 2048};
  std::map<std::string, std::string> found;
  for (const ConfLine& line : parse_settings(recovery_auto_conf(recovery))) {
    CHECK_MESSAGE(found.emplace(line.name, line.value).second, line.name << " stands there twice");
  }
  CHECK(found["recovery_target_lsn"] == "0/3000148");
  CHECK(found["recovery_target_inclusive"] == "off");
  CHECK(found["recovery_target_timeline"] == "3");
  CHECK(found["recovery_target_action"] == "pause");
  CHECK(found["restore_command"] == "'f' 's' '%f' '%p'");
  CHECK(found["max_wal_size"] == "2048MB");
  CHECK(found["recovery_min_apply_delay"] == "0");
  CHECK(found["restart_after_crash"] == "off");
  CHECK_FALSE(found.contains("allow_in_place_tablespaces"));
  RecoverySettings in_place = recovery;
  in_place.in_place_tablespaces = true;
  CHECK(recovery_auto_conf(in_place) == recovery_auto_conf(recovery) + "allow_in_place_tablespaces = 'on'\n");
  for (const char* name :
       {"recovery_target", "recovery_target_name", "recovery_target_time", "recovery_target_xid"}) {
    REQUIRE(found.contains(name));
    CHECK(found[name].empty());
  }
}

TEST_CASE("restored settings: in quarantine nobody comes in over the network") {
  CHECK(quarantine_hba() ==
        "# Written by walback: until the proof is written, nobody but the owner of the private socket "
        "directory.\n"
        "local all all trust\n");
  CHECK(released_hba({"local all all peer", "host all all ::1/128 scram-sha-256"}) ==
        "# Written by walback (restore.hba in walback.yaml). The socket directory is private to its owner.\n"
        "local all all peer\nhost all all ::1/128 scram-sha-256\n");
}
