#include "config/config.h"

#include <doctest/doctest.h>

#include <cstdlib>

#include "config/conninfo_password.h"
#include "os/system.h"
#include "support/memory_file_system.h"

using namespace walback;
using namespace std::chrono_literals;

namespace {

std::optional<std::string> environment(const std::string& name) {
  if (name == "HOST") return "db1.example";
  if (name == "EMPTY") return "";
  if (name == "TRICK") return "${HOST}\": [x";
  return std::nullopt;
}

Result<Config> parse(const std::string& text) {
  return parse_config(text, "/etc/walback/walback.yaml", environment, "Europe/Berlin");
}

Config good(const std::string& text) {
  const auto config = parse(text);
  REQUIRE_MESSAGE(config, config.error().message);
  return *config;
}

/// The lines after the first, which counts them.
std::string faults(const std::string& text) {
  const auto config = parse(text);
  REQUIRE_FALSE(config);
  CHECK(config.error().kind == ErrorKind::config);
  const auto first = config.error().message.find('\n');
  REQUIRE(first != std::string::npos);
  return config.error().message.substr(first + 1);
}

std::string fault(const std::string& lines) {
  return faults("archive: /a\n" + lines);
}

}  // namespace

TEST_CASE("config: one key is enough, the rest has defaults") {
  const Config config = good("archive: /srv/walback\n");
  Config expected;
  expected.file = "/etc/walback/walback.yaml";
  expected.archive = "/srv/walback";
  expected.time_zone = "Europe/Berlin";
  CHECK(config == expected);
  CHECK(config.catalog_file() == "/srv/walback/catalog.sqlite");
  CHECK(config.primary.slot == "walback");
  CHECK(config.capture.synchronous);
  CHECK(config.manage.interval == 1s);
}

TEST_CASE("config: every key is read") {
  const Config config = good(R"(
archive: data/../archive/
catalog: /fast/catalog.sqlite
primary: {conninfo: "host=${HOST} user=walback", slot: walback_1}
standbys:
  - {name: db2, conninfo: host=db2}
  - {name: db-3, conninfo: postgresql://walback@db3/postgres, slot: other}
postgres: {bin: /usr/lib/postgresql/15/bin}
capture: {synchronous: no, restart_min: 100ms, restart_max: 1min}
manage: {interval: 200 ms, scan_interval: 5min, watermark_interval: 1h, mirror: false}
restore:
  jobs: 4
  listen_addresses: ""
  hba: [local all all peer]
  settings: {shared_buffers: 2GB, pg_stat_statements.max: 100}
time_zone: America/New_York
)");
  CHECK(config.archive == "/etc/walback/archive");
  CHECK(config.catalog_file() == "/fast/catalog.sqlite");
  CHECK(config.primary == Config::Primary{"host=db1.example user=walback", "walback_1"});
  CHECK(config.standbys ==
        std::vector<Config::Standby>{{"db2", "host=db2", "walback"},
                                     {"db-3", "postgresql://walback@db3/postgres", "other"}});
  CHECK(config.postgres.bin == "/usr/lib/postgresql/15/bin");
  CHECK(config.capture == Config::Capture{false, 100ms, 1min});
  CHECK(config.manage == Config::Manage{200ms, 5min, 1h, false});
  CHECK(config.restore ==
        Config::Restore{
            4, "", {"local all all peer"}, {{"pg_stat_statements.max", "100"}, {"shared_buffers", "2GB"}}});
  CHECK(config.time_zone == "America/New_York");
}

TEST_CASE("config: every fault is told at once, with its line, what was found and what is allowed") {
  const auto config = parse(R"(archve: /srv/walback
primary:
  conninfo: host=db1 password=hunter2
  slot: My-Slot
manage:
  interval: 5 parsecs
  mirror: perhaps
restore:
  jobs: 1000
  settings:
    recovery_target_time: now
primary: {}
)");
  REQUIRE_FALSE(config);
  CHECK(config.error() ==
        Error{ErrorKind::config,
              "'/etc/walback/walback.yaml' has 9 faults\n"
              "line 1: archive is missing, expected the archive's directory\n"
              "line 3: primary.conninfo holds a password, expected none: it belongs into ~/.pgpass, a "
              "service file or "
              "PGPASSWORD\n"
              "line 4: primary.slot is 'My-Slot', expected 1 to 63 of a-z, 0-9 and _\n"
              "line 6: manage.interval is '5 parsecs', expected 100ms to 1h, with a unit (ms, s, min, h)\n"
              "line 7: manage.mirror is 'perhaps', expected true or false\n"
              "line 9: restore.jobs is '1000', expected a number from 0 to 256\n"
              "line 10: restore.settings has recovery_target_time, which walback sets itself in a restored "
              "cluster\n"
              "line 1: archve is no key of walback, did you mean archive?\n"
              "line 12: primary stands there twice",
              "Mend the file; \"walback init\" writes one in which every key is explained."});
}

TEST_CASE("config: unknown keys name the nearest, or all") {
  CHECK(fault("capture: {synchronus: true}") ==
        "line 2: capture.synchronus is no key of walback, did you mean synchronous?");
  CHECK(fault("postgres: {colour: blue}") ==
        "line 2: postgres.colour is no key of walback, expected one of bin");
  CHECK(fault("? [a, b]\n: 1") == "line 2: a list as a key, expected a name");
}

TEST_CASE("config: the wrong kind of value is said") {
  CHECK(fault("primary: yes") == "line 2: primary is a value, expected a mapping of keys");
  CHECK(fault("time_zone: [UTC]") == "line 2: time_zone is a list, expected a single value");
  CHECK(fault("standbys: {name: x}") == "line 2: standbys is a mapping, expected a list");
  CHECK(fault("standbys: [db2]") == "line 2: standbys[0] is a value, expected a mapping of keys");
  CHECK(fault("restore: {hba: all}") == "line 2: restore.hba is a value, expected a list");
  CHECK(faults("- a\n- b") ==
        "line 1: the file is a list, expected a mapping of keys\narchive is missing, expected the archive's "
        "directory");
  CHECK(faults("") == "archive is missing, expected the archive's directory");
}

TEST_CASE("config: null means as by default") {
  CHECK(good("archive: /a\ncatalog:\nprimary:\nstandbys:\nmanage: {interval: ~}\nrestore: {hba: , settings: "
             "}\n") == good("archive: /a\n"));
}

TEST_CASE("config: bounds hold at both ends") {
  CHECK(good("archive: /a\nmanage: {interval: 100ms}").manage.interval == 100ms);
  CHECK(good("archive: /a\nmanage: {interval: 60min}").manage.interval == 1h);
  for (const char* value :
       {"99ms", "3600001ms", "2h", "1000", "-1s", "1.5s", "s", "\"\"", "99999999999999999999h"}) {
    INFO(value);
    CHECK(
        fault(std::string("manage: {interval: ") + value + "}").starts_with("line 2: manage.interval is '"));
  }
  CHECK(fault("capture: {restart_min: 10s, restart_max: 5s}") ==
        "line 2: capture.restart_max is 5s, expected no less than restart_min (10s)");
  CHECK(good("archive: /a\nprimary: {slot: " + std::string(63, 'a') + "}").primary.slot.size() == 63);
  CHECK_FALSE(parse("archive: /a\nprimary: {slot: " + std::string(64, 'a') + "}"));
}

TEST_CASE("config: ${NAME} reads the environment, once, and never as YAML") {
  CHECK(good("archive: /srv/${HOST}/x").archive == "/srv/db1.example/x");
  CHECK(good("archive: /a$b/$${HOST}").archive == "/a$b/${HOST}");
  CHECK(good("archive: /a\nprimary: {conninfo: \"host=${TRICK}\"}").primary.conninfo == "host=${HOST}\": [x");
  CHECK(faults("archive: /srv/${NOWHERE}") ==
        "line 1: archive: ${NOWHERE} is not set in the environment\n"
        "line 1: archive is missing, expected the archive's directory");
  CHECK(fault("catalog: ${HOST") == "line 2: catalog: '${HOST' is no ${NAME}; write $${ for a plain ${");
  CHECK(fault("catalog: ${a-b}") == "line 2: catalog: '${a-b' is no ${NAME}; write $${ for a plain ${");
  CHECK(fault("catalog: ${EMPTY}") == "line 2: catalog is empty, expected a path");
}

TEST_CASE("config: standbys have names of their own and no passwords either") {
  CHECK(fault("standbys:\n- {name: a, conninfo: host=a}\n- {name: a, conninfo: postgres://u:p@b}") ==
        "line 4: standbys[1].name is 'a', which another standby has too\n"
        "line 4: standbys[1].conninfo holds a password, expected none: it belongs into ~/.pgpass, a service "
        "file or "
        "PGPASSWORD");
}

TEST_CASE("config: what ends up in a restored cluster's files is checked") {
  CHECK(fault("restore: {hba: [\"local all all peer\", \"locl all all trust\"]}") ==
        "line 2: restore.hba has 'locl all all trust' as item 2, expected a line of pg_hba.conf");
  CHECK(fault("restore: {hba: [\"local all all peer\\nhost all all all trust\"]}")
            .starts_with("line 2: restore.hba has '"));
  CHECK(fault("restore: {settings: {\"work mem\": 1}}") ==
        "line 2: restore.settings has 'work mem', which is no name of a PostgreSQL setting");
  CHECK(fault("restore: {settings: {work_mem: \"1\\nport=1\"}}") ==
        "line 2: restore.settings has a line break in work_mem");
  CHECK(fault("restore: {settings: {archive_command: x}}") ==
        "line 2: restore.settings has archive_command, which walback sets itself in a restored cluster");
}

TEST_CASE("config: a time zone is a name that the system knows") {
  for (const char* zone : {"Europe/Berln", "../../etc/passwd", "/etc/passwd", "+02:00", "\"\""}) {
    INFO(zone);
    CHECK(fault(std::string("time_zone: ") + zone).starts_with("line 2: time_zone is '"));
  }
  CHECK(good("archive: /a\ntime_zone: UTC").time_zone == "UTC");
}

TEST_CASE("config: what is no YAML says where") {
  const std::string text = faults("archive: \"/srv\nprimary: {");
  CHECK(text.starts_with("line "));
  CHECK(text.find(": no valid YAML: ") != std::string::npos);
  CHECK(faults("archive: /a\n---\narchive: /b\n") == "line 3: a second document begins, expected one");
  CHECK(faults(std::string("archive: /a\n\0b: 1", 17)).starts_with("a zero byte, expected text"));
  CHECK(faults("archive: \"/a\\0b\"").starts_with("line 1: archive holds a zero byte\n"));
  CHECK_FALSE(parse("archive: *nobody"));
  CHECK_FALSE(parse(std::string(100'000, '[')));
}

TEST_CASE("config: the annotated file is read back as the same value") {
  Config config;
  config.file = "/etc/walback/walback.yaml";
  config.archive = "/srv/walback";
  config.time_zone = "UTC";
  CHECK(good(annotated_config(config)) == config);
  config.archive = "/srv/it's \"here\" #1: ${HOST} $${x} \\ ü";
  config.catalog = "/fast/catalog.sqlite";
  config.primary = {"host=db1 user='a b' options='-c x=1'", "slot_1"};
  config.standbys = {{"db2", "host=db2", "walback"}, {"db3", "", "w"}};
  config.standbys[1].conninfo = "host=db3";
  config.postgres.bin = "/opt/pg/bin";
  config.capture = {false, 100ms, 90s};
  config.manage = {250ms, 1h, 7min, false};
  config.restore = {3, "", {}, {{"shared_buffers", "2GB"}, {"x.y", "a\tb"}}};
  config.time_zone = "Europe/Berlin";
  CHECK(good(annotated_config(config)) == config);
}

TEST_CASE("config: passwords are found in any form of a connection string") {
  for (const char* conninfo :
       {"password=x", "host=a password=x", "host=a password = x", "host='a b' password=''",
        R"(user='it\'s' password=x)", "host = a\tpassword=x", "sslpassword=x", "postgres://u:p@h/d",
        "postgresql://u:@h", "postgresql://u:p/w@h/d", "postgresql://h/d?sslmode=require&password=x",
        "postgresql://?password=x"}) {
    INFO(conninfo);
    CHECK(holds_password(conninfo));
  }
  for (const char* conninfo : {"", "host=a passfile=/x", "user='password=x'", R"(user=a\ password=x)",
                               "postgresql://u@h:5432/d", "postgresql://h:1,i:2/d?passfile=/x", "password",
                               "postgresql:///d?host=/run", "application_name=a:b@c"}) {
    INFO(conninfo);
    CHECK_FALSE(holds_password(conninfo));
  }
}

TEST_CASE("config: it is found by name, by environment, or in the usual places") {
  ::unsetenv("WALBACK_CONFIG");
  MemoryFileSystem files;
  const auto found = find_config(files, std::nullopt);
  REQUIRE_FALSE(found);
  CHECK(found.error() ==
        Error{ErrorKind::not_found,
              "no configuration: neither '" + (std::filesystem::current_path() / "walback.yaml").string() +
                  "' nor '/etc/walback/walback.yaml' exists",
              "Name one with -c or WALBACK_CONFIG, or let \"walback init\" write one."});
  REQUIRE(files.create_directories("/etc/walback"));
  REQUIRE(files.write("/etc/walback/walback.yaml", "archive: a\ntime_zone: UTC\n"));
  CHECK(*find_config(files, std::nullopt) == "/etc/walback/walback.yaml");
  CHECK(load_config(files, "/etc/walback/walback.yaml")->archive == "/etc/walback/a");
  ::setenv("WALBACK_CONFIG", "/there.yaml", 1);
  CHECK(*find_config(files, std::nullopt) == "/there.yaml");
  CHECK(*find_config(files, Path("x/../here.yaml")) == std::filesystem::current_path() / "here.yaml");
  ::unsetenv("WALBACK_CONFIG");
  const auto missing = load_config(files, "/there.yaml");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().kind == ErrorKind::not_found);
}

TEST_CASE("config: the system's zone comes from TZ if that is a name") {
  ::setenv("TZ", ":America/New_York", 1);
  CHECK(system_time_zone() == "America/New_York");
  ::setenv("TZ", "/usr/share/zoneinfo/Europe/Berlin", 1);
  CHECK(system_time_zone() == "Europe/Berlin");
  ::setenv("TZ", "nonsense", 1);
  CHECK(system_time_zone() != "nonsense");
  ::unsetenv("TZ");
}
