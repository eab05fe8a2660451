// What a primary's life and its host leave in a base backup, and how PostgreSQL would answer it.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "base/text.h"
#include "integration/support/lab_fixture.h"
#include "os/process.h"

using namespace walback;
using namespace walback::test;
using namespace std::chrono_literals;

namespace {

FileSystem& files() {
  return real_file_system();
}

std::string text_of(Connection& connection, const std::string& sql) {
  const auto rows = connection.query(sql);
  REQUIRE_MESSAGE(rows, sql << ": " << rows.error().message);
  return rows->count() == 0 ? "" : rows->text(0, 0);
}

void pg_ctl(const LabFixture& lab, const std::vector<std::string>& more) {
  const Path& data = lab.state().primary.data;
  Command command{.program = lab.state().binaries / "pg_ctl",
                  .arguments = {"-w", "-s", "-D", data.string(), "-l", data.string() + ".log2"}};
  command.arguments.insert(command.arguments.begin(), more.begin(), more.end());
  const Output output = *run(command, 60s);
  REQUIRE_MESSAGE(output.status.success(), output.err);
}

/// As Debian has it: nothing but postgresql.auto.conf in the data directory, and a directory of settings
/// beside the rest.
void move_configuration_out(const LabFixture& lab) {
  const Path data = lab.state().primary.data;
  const Path outside = lab.directory() / "etc";
  pg_ctl(lab, {"stop", "-m", "fast"});
  REQUIRE(files().create_directories(outside / "conf.d"));
  std::string conf = *files().read(data / "postgresql.conf");
  for (const char* name : {"pg_hba.conf", "pg_ident.conf", "lab.conf"})
    REQUIRE(files().rename(data / name, outside / name));
  conf += fmt::format("hba_file = '{0}/pg_hba.conf'\nident_file = '{0}/pg_ident.conf'\n", outside.string());
  conf += fmt::format("data_directory = '{}'\ninclude_dir = 'conf.d'\n", data.string());
  REQUIRE(files().remove(data / "postgresql.conf"));
  REQUIRE(files().write(outside / "postgresql.conf", conf));
  REQUIRE(files().write(outside / "conf.d" / "more.conf", "max_connections = 41\n"));
  pg_ctl(lab, {"start", "-o", fmt::format("-c config_file={}", (outside / "postgresql.conf").string())});
}

std::string dropped_of(const Json& proof) {
  std::string text;
  for (const auto& setting : proof["dropped_settings"]) text += setting.get<std::string>() + "\n";
  return text;
}

}  // namespace

TEST_CASE("surprises: Debian's configuration, libraries and locales that this host lacks, no postgres") {
  LabFixture lab;
  move_configuration_out(lab);
  CHECK(lab.value("SHOW max_connections") == "41");
  // Not read again by this server: what another host's primary may well have.
  const Path auto_conf = lab.state().primary.data / "postgresql.auto.conf";
  REQUIRE(files().write(auto_conf, *files().read(auto_conf) +
                                       "shared_preload_libraries = 'gone, auto_explain'\n"
                                       "session_preload_libraries = 'gone_too'\n"
                                       "local_preload_libraries = 'never_was'\n"
                                       "archive_library = 'gone_archiver'\n"
                                       "jit_provider = 'gone_jit'\n"
                                       "lc_messages = 'xx_YY.UTF-8'\n"
                                       "lc_time = 'xx_YY.UTF-8'\n"
                                       "timezone = 'Mars/Olympus_Mons'\n"
                                       "work_mem = '5MB'\n"));
  const std::string backup = lab.ask({"backup"})["id"].get<std::string>();
  const Path base = lab.archive() / "backups" / backup;
  for (const char* name : {"postgresql.conf", "pg_hba.conf", "pg_ident.conf"})
    CHECK_FALSE(exists(files(), base / name));
  lab.execute("CREATE TABLE t AS SELECT 1 AS id");
  std::string role_has_library;
  {
    Connection primary = lab.primary();
    REQUIRE(primary.execute("ALTER ROLE postgres SET session_preload_libraries = 'gone_as_well'"));
    role_has_library = text_of(primary, "SELECT pg_current_wal_lsn()");
    REQUIRE(primary.execute("CREATE TABLE u AS SELECT 1 AS id"));
    REQUIRE(primary.execute("ALTER ROLE postgres RESET session_preload_libraries"));
  }
  lab.wait_captured();

  const LabFixture::Restored cluster = lab.restore({"--to-latest"});
  const std::string dropped = dropped_of(cluster.proof);
  for (const char* expected :
       {"archive_library = 'gone_archiver' (archiving)\n",
        "shared_preload_libraries: gone (not installed here)\n",
        "session_preload_libraries: gone_too (not installed here)\n",
        "local_preload_libraries: never_was (not installed here)\n",
        "jit_provider: gone_jit (not installed here)\n",
        "lc_messages = 'xx_YY.UTF-8' (this host's server: invalid value for parameter \"lc_messages\": "
        "\"xx_YY.UTF-8\")\n",
        "lc_time = 'xx_YY.UTF-8' (this host's server: invalid value for parameter \"lc_time\": "
        "\"xx_YY.UTF-8\")\n",
        "timezone = 'Mars/Olympus_Mons' (this host's server: invalid value for parameter \"TimeZone\": "
        "\"Mars/Olympus_Mons\")\n",
        "postgresql.conf as a whole (it lay outside of the primary's data directory: no base backup has "
        "it)\n"})
    CHECK_MESSAGE(dropped.find(expected) != std::string::npos, expected << " in\n" << dropped);
  {
    Connection copy = lab.connect(cluster);
    CHECK(text_of(copy, "SELECT count(*) FROM t") == "1");
    CHECK(text_of(copy, "SHOW max_connections") == "41");  // pg_control knows
    CHECK(text_of(copy, "SHOW work_mem") == "5MB");
    CHECK(text_of(copy, "SHOW shared_preload_libraries") == "\"auto_explain\"");
  }
  // It starts again by itself, without what recovery had set.
  lab.ask({"clusters", "stop", "r1"});
  lab.ask({"clusters", "start", "r1"});
  lab.ask({"clusters", "remove", "r1"});

  // At this moment nobody can connect as postgres without saying that the library is not wanted.
  const LabFixture::Restored shut = lab.restore({"--to-lsn", role_has_library});
  CHECK(shut.proof["verdict"] == "proven");
  const std::string socket = (shut.directory / "walback" / "socket").string();
  const std::string conninfo =
      fmt::format("host='{}' port={} user=postgres dbname=postgres", socket, shut.port);
  const auto refused = Connection::open(conninfo);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("gone_as_well") != std::string::npos);
  lab.ask({"clusters", "remove", "r2"});

  // walback.yaml's own words are another matter: a refusal before anything is touched.
  const std::string yaml = *files().read(lab.state().config());
  const auto section = yaml.find("\nrestore:\n");
  REQUIRE(section != std::string::npos);
  REQUIRE(files().write(
      lab.state().config(),
      std::string(yaml).insert(section + 10, "  settings: {shared_preload_libraries: gone}\n")));
  const Path into = lab.lab() / "r3";
  const WalbackRun run =
      lab.walback({"restore", "--to-latest", "--into", into.string(), "--port", std::to_string(free_port())});
  CHECK_MESSAGE(run.exit_code == 4, run.all());
  CHECK_MESSAGE(
      run.err.starts_with("walback: restore.settings.shared_preload_libraries of walback.yaml names "
                          "'gone', which is not installed here: '"),
      run.all());
  CHECK_FALSE(exists(files(), into));
  REQUIRE(files().write(lab.state().config(), yaml));

  // A copy without a database `postgres` is asked through template1.
  auto other = Connection::open(fmt::format("{} dbname=template1", lab.state().primary_conninfo()));
  REQUIRE(other);
  const std::string before = text_of(*other, "SELECT pg_current_wal_insert_lsn()");
  REQUIRE(other->execute("DROP DATABASE postgres WITH (FORCE)"));
  const std::string flushed = text_of(*other, "SELECT pg_current_wal_flush_lsn()");
  REQUIRE(wait_until(
      [&] {
        return text_of(*other, fmt::format("SELECT count(*) FROM pg_stat_replication WHERE flush_lsn >= '{}'",
                                           flushed)) == "1";
      },
      60s));
  const LabFixture::Restored without = lab.restore({"--to-latest"});
  CHECK(without.proof["verdict"] == "proven");
}

TEST_CASE("surprises: a spread checkpoint whose record lies segments behind where replay begins") {
  LabOptions options;
  options.settings = {{"checkpoint_timeout", "30s"}, {"checkpoint_completion_target", "0.2"}};
  LabFixture lab(options);
  lab.execute("CREATE TABLE t AS SELECT generate_series(1, 20000) AS id");
  auto backup = real_processes().spawn(lab.command({"backup", "--spread"}), [](auto) {});
  REQUIRE(backup);
  // WAL goes on while the checkpoint writes, a segment a moment.
  std::optional<ExitStatus> how;
  while (!(how = (*backup)->wait(150ms))) {
    lab.execute("INSERT INTO t VALUES (0)");
    lab.execute("SELECT pg_switch_wal()");
  }
  REQUIRE(how->success());
  lab.execute("INSERT INTO t VALUES (0)");
  lab.wait_captured();
  const std::string rows = lab.value("SELECT count(*) FROM t");
  const Json listed = lab.ask({"list", "backups"})[0];
  const auto start = parse_lsn(listed["start_lsn"].get<std::string>());
  const auto checkpoint = parse_lsn(listed["checkpoint_lsn"].get<std::string>());
  REQUIRE(start);
  REQUIRE(checkpoint);
  const SegmentSize size = *SegmentSize::from_bytes(16U << 20);
  // Its segment is read first for the checkpoint's record, and again when replay comes to it.
  REQUIRE(segment_of(*start, size) < segment_of(*checkpoint, size));
  const LabFixture::Restored cluster = lab.restore({"--to-latest"});
  CHECK(cluster.proof["verdict"] == "proven");
  CHECK_FALSE(cluster.proof["reached"]["promoted_without_pause"].get<bool>());
  Connection copy = lab.connect(cluster);
  CHECK(text_of(copy, "SELECT count(*) FROM t") == rows);
}

TEST_CASE("surprises: a stop just before a timeline switch, with a prepared transaction open there") {
  LabOptions options;
  options.settings = {{"max_prepared_transactions", "5"}};
  LabFixture lab(options);
  lab.execute("CREATE TABLE t (id int)");
  lab.ask({"backup"});
  lab.execute("INSERT INTO t VALUES (1)");
  {
    Connection primary = lab.primary();
    REQUIRE(primary.execute("BEGIN"));
    REQUIRE(primary.execute("INSERT INTO t VALUES (2)"));
    REQUIRE(primary.execute("LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE"));
    REQUIRE(primary.execute("PREPARE TRANSACTION 'across'"));
  }
  lab.execute("INSERT INTO t VALUES (3)");
  lab.wait_captured();
  const std::string last = lab.value("SELECT pg_current_wal_lsn()");
  // The primary becomes another timeline.
  pg_ctl(lab, {"stop", "-m", "fast"});
  REQUIRE(files().write(lab.state().primary.data / "standby.signal", ""));
  pg_ctl(lab, {"start"});
  REQUIRE(lab.value("SELECT pg_promote()") == "t");
  lab.execute("INSERT INTO t VALUES (4)");
  lab.execute("COMMIT PREPARED 'across'");
  lab.wait_captured();

  for (const std::vector<std::string>& target :
       {std::vector<std::string>{"--to-lsn", last}, {"--to-latest", "--timeline", "1"}}) {
    const LabFixture::Restored cluster = lab.restore(target);
    CHECK(cluster.proof["verdict"] == "proven");
    CHECK(cluster.proof["expected"]["timeline"] == 1);
    REQUIRE(cluster.proof["prepared_transactions"].size() == 1);
    CHECK(cluster.proof["prepared_transactions"][0].get<std::string>().starts_with("across in postgres"));
    Connection copy = lab.connect(cluster);
    CHECK(text_of(copy, "SELECT string_agg(id::text, ',' ORDER BY id) FROM t") == "1,3");
    // It is whole: it can be brought to its end.
    REQUIRE(copy.execute("COMMIT PREPARED 'across'"));
    CHECK(text_of(copy, "SELECT string_agg(id::text, ',' ORDER BY id) FROM t") == "1,2,3");
  }
  const LabFixture::Restored newest = lab.restore({"--to-latest"});
  CHECK(newest.proof["expected"]["timeline"] == 2);
  CHECK(newest.proof["prepared_transactions"].empty());
  Connection copy = lab.connect(newest);
  CHECK(text_of(copy, "SELECT string_agg(id::text, ',' ORDER BY id) FROM t") == "1,2,3,4");
}
