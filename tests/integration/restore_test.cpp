// Restores of a real cluster, by the program itself, with everything that may be in the way of one.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <csignal>
#include <map>

#include "base/crc32c.h"
#include "base/text.h"
#include "integration/support/lab_fixture.h"
#include "os/process.h"
#include "os/system.h"
#include "restore/marker.h"
#include "restore/restored_settings.h"

using namespace walback;
using namespace walback::test;
using namespace std::chrono_literals;

namespace {

FileSystem& files() {
  return real_file_system();
}

/// Path and checksum of every file below a directory.
void add_checksums(const Path& directory, std::map<std::string, std::uint32_t>& sums) {
  const auto entries = files().list(directory);
  REQUIRE(entries);
  for (const DirectoryEntry& entry : *entries) {
    const Path path = directory / entry.name;
    if (entry.kind == FileKind::directory) {
      add_checksums(path, sums);
    } else if (!entry.name.ends_with(".partial") && !entry.name.ends_with(".tmp")) {
      const auto bytes = files().read(path, 1U << 30);
      REQUIRE(bytes);
      sums[path.string()] = crc32c(*bytes);
    }
  }
}

std::string text_of(Connection& connection, const std::string& sql) {
  const auto rows = connection.query(sql);
  REQUIRE_MESSAGE(rows, sql << ": " << rows.error().message);
  return rows->count() == 0 ? "" : rows->text(0, 0);
}

std::vector<std::string> places(const Path& directory, std::uint16_t port) {
  return {"--into", directory.string(), "--port", std::to_string(port)};
}

std::vector<std::string> words(std::vector<std::string> first, const std::vector<std::string>& more) {
  first.insert(first.end(), more.begin(), more.end());
  return first;
}

/// No process works in the directory.
bool deserted(const Path& directory) {
  const auto entries = files().list("/proc");
  REQUIRE(entries);
  for (const DirectoryEntry& entry : *entries) {
    const auto cwd = files().read_link(Path("/proc") / entry.name / "cwd");
    if (cwd && cwd->starts_with(directory.string())) return false;
  }
  return true;
}

std::string phase_of(const Path& directory) {
  const auto marker = read_marker(files(), {directory});
  return marker && *marker ? std::string(name_of((*marker)->phase)) : "none";
}

/// Asks the copy what must hold of every one that was promoted and proven.
void check_opened(LabFixture& lab, const LabFixture::Restored& cluster) {
  Connection copy = lab.connect(cluster);
  CHECK(text_of(copy, "SELECT pg_is_in_recovery()") == "f");
  CHECK(text_of(copy, "SHOW fsync") == "on");
  CHECK(text_of(copy, "SHOW full_page_writes") == "on");
  CHECK(text_of(copy, "SHOW autovacuum") == "on");
  CHECK(text_of(copy, "SHOW archive_mode") == "off");
  CHECK(text_of(copy, "SHOW primary_conninfo").empty());
  // Nothing of recovery is left in a file. (What needs a restart to go shows its old value until then.)
  CHECK(text_of(copy,
                "SELECT string_agg(name || '=' || setting, ',') FROM pg_file_settings WHERE name LIKE "
                "'recovery\\_%' "
                "OR name IN ('restore_command', 'archive_command', 'primary_conninfo')") == "");
  CHECK_FALSE(exists(files(), cluster.directory / "recovery.signal"));
  CHECK_FALSE(exists(files(), cluster.directory / "walback" / "spool"));
  CHECK(phase_of(cluster.directory) == "complete");
  CHECK(cluster.proof["verdict"] == "proven");
  CHECK(cluster.proof["stage"] == "promoted");
}

}  // namespace

TEST_CASE("restore: paused, stopped, started, promoted; the archive stays as it is; quarantine; removal") {
  LabFixture lab;
  lab.execute("CREATE TABLE t (id int); CREATE UNLOGGED TABLE u (id int)");
  lab.execute("CREATE ROLE app LOGIN PASSWORD 'secret'");
  lab.execute("CREATE DATABASE other");
  lab.ask({"backup"});
  lab.execute("INSERT INTO t VALUES (1)");
  lab.execute("INSERT INTO t VALUES (2)");
  lab.execute("SELECT pg_create_restore_point('here')");
  lab.execute("INSERT INTO t VALUES (3)");
  lab.wait_captured();
  std::map<std::string, std::uint32_t> before, after;
  add_checksums(lab.archive() / "wal", before);
  add_checksums(lab.archive() / "backups", before);

  const auto begin = std::chrono::steady_clock::now();
  LabFixture::Restored cluster{lab.lab() / "r1", free_port(), nullptr};
  cluster.proof =
      lab.ask(words({"restore", "--to-name", "here", "--pause"}, places(cluster.directory, cluster.port)));
  const auto took = std::chrono::steady_clock::now() - begin;
  CHECK(cluster.proof["verdict"] == "proven");
  CHECK(cluster.proof["stage"] == "paused");
  CHECK(cluster.proof["unlogged_tables"] == 1);
  std::int64_t phases_ms = 0;
  for (const auto& [phase, milliseconds] : cluster.proof["timings"].items()) {
    INFO(phase);
    CHECK(milliseconds.get<std::int64_t>() >= 0);
    phases_ms += milliseconds.get<std::int64_t>();
  }
  const auto wall_ms = std::chrono::duration_cast<std::chrono::milliseconds>(took).count();
  CHECK(phases_ms <= wall_ms);
  CHECK(phases_ms >= wall_ms / 4);
  CHECK(phase_of(cluster.directory) == "paused");
  {
    Connection copy = lab.connect(cluster);
    CHECK(text_of(copy, "SELECT string_agg(id::text, ',' ORDER BY id) FROM t") == "1,2");
    CHECK(text_of(copy, "SELECT pg_is_in_recovery()") == "t");
    // It may stay for days: a power cut must not cost what the proof says is there.
    CHECK(text_of(copy, "SHOW fsync") == "on");
  }

  // A paused one can be stopped and started, and its promotion goes the same way to the same proof.
  CHECK(lab.ask({"clusters"})[0]["server"] == "running");
  lab.ask({"clusters", "stop", "r1"});
  CHECK(deserted(cluster.directory));
  CHECK(lab.ask({"clusters"})[0]["server"] == "stopped");
  // Its pid is somebody else's by now: that must not keep it from starting.
  REQUIRE(files().write(cluster.directory / "postmaster.pid",
                        fmt::format("{}\n{}\n1\n", ::getpid(), cluster.directory.string())));
  CHECK(lab.ask({"clusters"})[0]["server"] == "stopped");
  lab.ask({"clusters", "start", "r1"});
  CHECK(lab.ask({"clusters"})[0]["server"] == "running");
  cluster.proof = lab.ask({"clusters", "promote", "r1"});
  check_opened(lab, cluster);
  {
    Connection copy = lab.connect(cluster);
    CHECK(text_of(copy, "SELECT string_agg(id::text, ',' ORDER BY id) FROM t") == "1,2");
  }
  // Out of quarantine: a role with its password, over loopback.
  ::setenv("PGPASSWORD", "secret", 1);
  const std::string as_app = fmt::format("host=127.0.0.1 port={} user=app dbname=postgres", cluster.port);
  const auto app = Connection::open(as_app);
  CHECK_MESSAGE(app, (app ? "" : app.error().message));
  ::setenv("PGPASSWORD", "wrong", 1);
  CHECK_FALSE(Connection::open(as_app));
  ::unsetenv("PGPASSWORD");

  const WalbackRun again = lab.walback({"clusters", "promote", "r1"});
  CHECK(again.exit_code == 6);
  CHECK(again.err ==
        "walback: 'r1' is not paused (phase complete)\n"
        "hint: Only a cluster restored with --pause can be promoted.\n");

  add_checksums(lab.archive() / "wal", after);
  add_checksums(lab.archive() / "backups", after);
  for (const auto& [path, sum] : before) {
    INFO(path);
    CHECK(after[path] == sum);
  }

  // The same place again is refused, with all that is wrong with it.
  const WalbackRun occupied =
      lab.walback(words({"plan", "--to-latest"}, places(cluster.directory, cluster.port)));
  CHECK(occupied.exit_code == 6);
  CHECK(occupied.err.find(
            fmt::format("directory '{}' holds the restored cluster 'r1' (complete); port {} is taken on "
                        "this host",
                        cluster.directory.string(), cluster.port)) != std::string::npos);
  CHECK(cluster.proof["base_bytes"].get<std::uint64_t>() > 0);
  lab.ask({"clusters", "remove", "r1"});
  CHECK(deserted(cluster.directory));
  CHECK_FALSE(exists(files(), cluster.directory));
  CHECK(lab.ask({"clusters"}).empty());

  // A promotion that was cut short after the promotion itself: the same command brings it to its end.
  cluster.directory = lab.lab() / "r2";
  lab.ask(words({"restore", "--to-name", "here", "--pause"}, places(cluster.directory, cluster.port)));
  {
    Connection copy = lab.connect(cluster);
    text_of(copy, "SELECT pg_wal_replay_resume()");
    CHECK(wait_until([&] { return text_of(copy, "SELECT pg_is_in_recovery()") == "f"; }, 60s));
  }
  auto marker = read_marker(files(), {cluster.directory});
  REQUIRE(marker);
  REQUIRE(*marker);
  (*marker)->phase = RestorePhase::finishing;
  (*marker)->pid = 0;
  REQUIRE(write_marker(files(), {cluster.directory}, **marker));
  cluster.proof = lab.ask({"clusters", "promote", "r2"});
  check_opened(lab, cluster);
  CHECK(cluster.proof["warnings"][0] == "an earlier promotion was cut short; the switch point is the proof");

  // And where its server ended too, nobody can tell what reached the disk.
  lab.ask({"clusters", "stop", "r2"});
  REQUIRE(write_marker(files(), {cluster.directory}, **marker));
  const WalbackRun lost = lab.walback({"clusters", "promote", "r2"});
  CHECK(lost.exit_code == 6);
  CHECK(lost.err ==
        "walback: 'r2' is not paused (phase finishing)\n"
        "hint: It was cut short: restore again into the same directory, which is then wiped.\n");
}

TEST_CASE("restore: what the base's settings and the primary's life put in the way") {
  LabOptions options;
  options.settings = {{"max_prepared_transactions", "5"}, {"max_connections", "20"}};
  LabFixture lab(options);
  lab.execute("CREATE TABLE t (id int)");
  for (const auto& [name, value] :
       std::vector<std::pair<std::string, std::string>>{{"recovery_target_time", "2001-01-01 00:00:00+00"},
                                                        {"recovery_min_apply_delay", "1h"},
                                                        {"archive_command", "false"},
                                                        {"archive_cleanup_command", "false"},
                                                        {"log_min_messages", "panic"}}) {
    lab.execute(fmt::format("ALTER SYSTEM SET {} = '{}'", name, value));
  }

  SUBCASE("leftover recovery settings; a prepared transaction at the stop; the stop in the .partial") {
    lab.ask({"backup"});
    lab.execute("INSERT INTO t VALUES (1)");
    // In one session: PREPARE TRANSACTION needs a transaction block of its own.
    Connection primary = lab.primary();
    REQUIRE(primary.execute("BEGIN"));
    REQUIRE(primary.execute("INSERT INTO t VALUES (2)"));
    REQUIRE(primary.execute("PREPARE TRANSACTION 'waits'"));
    lab.execute("INSERT INTO t VALUES (3)");
    lab.wait_captured();
    const LabFixture::Restored cluster = lab.restore({"--to-latest"});
    REQUIRE(primary.execute("ROLLBACK PREPARED 'waits'"));
    check_opened(lab, cluster);
    REQUIRE(cluster.proof["prepared_transactions"].size() == 1);
    CHECK(cluster.proof["prepared_transactions"][0].get<std::string>().starts_with(
        "waits in postgres, prepared at "));
    Connection copy = lab.connect(cluster);
    CHECK(text_of(copy, "SELECT string_agg(id::text, ',' ORDER BY id) FROM t") == "1,3");
    std::string dropped;
    for (const auto& setting : cluster.proof["dropped_settings"])
      dropped += setting.get<std::string>() + "\n";
    for (const char* expected : {"recovery_target_time = '2001-01-01 00:00:00+00' (recovery is walback's)\n",
                                 "recovery_min_apply_delay = '1h' (recovery is walback's)\n",
                                 "archive_command = 'false' (archiving)\n"}) {
      CHECK_MESSAGE(dropped.find(expected) != std::string::npos, dropped);
    }
  }

  SUBCASE("max_connections and the other four raised after the base backup") {
    const std::vector<std::pair<std::string, std::string>> raised = {{"max_connections", "60"},
                                                                     {"max_worker_processes", "11"},
                                                                     {"max_wal_senders", "13"},
                                                                     {"max_prepared_transactions", "17"},
                                                                     {"max_locks_per_transaction", "99"}};
    lab.ask({"backup"});
    for (const auto& [name, value] : raised)
      lab.execute(fmt::format("ALTER SYSTEM SET {} = {}", name, value));
    lab.execute("ALTER SYSTEM RESET recovery_target_time");
    const LabState& state = lab.state();
    const Output restarted = *run({.program = state.binaries / "pg_ctl",
                                   .arguments = {"restart", "-w", "-s", "-D", state.primary.data.string(),
                                                 "-l", (state.primary.data.string() + ".log2")}},
                                  60s);
    REQUIRE_MESSAGE(restarted.status.success(), restarted.err);
    lab.execute("INSERT INTO t VALUES (1)");
    lab.wait_captured();
    const LabFixture::Restored cluster = lab.restore({"--to-latest"});
    check_opened(lab, cluster);
    CHECK_FALSE(cluster.proof["reached"]["promoted_without_pause"].get<bool>());
    Connection copy = lab.connect(cluster);
    for (const auto& [name, value] : raised) CHECK(text_of(copy, "SHOW " + name) == value);
    CHECK(text_of(copy, "SELECT count(*) FROM t") == "1");
  }

  SUBCASE("more than 64 open subtransactions at the base backup") {
    Connection primary = lab.primary();
    REQUIRE(primary.execute("BEGIN"));
    for (int i = 0; i < 70; ++i) {
      REQUIRE(primary.execute(fmt::format("SAVEPOINT s{0}", i)));
      REQUIRE(primary.execute(fmt::format("INSERT INTO t VALUES ({})", 100 + i)));
    }
    lab.ask({"backup"});
    lab.execute("INSERT INTO t VALUES (1)");
    lab.wait_captured();
    // --pause is not possible here; the copy is proven and made durable all the same.
    LabFixture::Restored cluster{lab.lab() / "r1", free_port(), nullptr};
    cluster.proof =
        lab.ask(words({"restore", "--to-latest", "--pause"}, places(cluster.directory, cluster.port)));
    REQUIRE(primary.execute("ROLLBACK"));
    CHECK(cluster.proof["reached"]["promoted_without_pause"].get<bool>());
    check_opened(lab, cluster);
    CHECK(lab.ask({"clusters"})[0]["state"] == "complete");
    Connection copy = lab.connect(cluster);
    CHECK(text_of(copy, "SELECT string_agg(id::text, ',' ORDER BY id) FROM t") == "1");
  }
}

TEST_CASE("restore: refused places, checked pages, interruption and kill -9") {
  LabFixture lab;
  lab.execute("CREATE TABLE t AS SELECT generate_series(1, 20000) AS id");
  const std::string backup = lab.ask({"backup"})["id"].get<std::string>();
  lab.execute("INSERT INTO t VALUES (0)");
  lab.wait_captured();
  const Path base = lab.archive() / "backups" / backup;

  // Pages: good ones first.
  LabFixture::Restored cluster{lab.lab() / "r1", free_port(), nullptr};
  cluster.proof =
      lab.ask(words({"restore", "--to-latest", "--check-pages"}, places(cluster.directory, cluster.port)));
  check_opened(lab, cluster);
  const bool checksums = lab.value("SHOW data_checksums") == "on";
  CHECK(cluster.proof["timings"].contains("check_pages_ms"));
  lab.ask({"clusters", "remove", "r1"});

  // Both flags together make no sense.
  CHECK(lab.walback(words({"restore", "--to-latest", "--check-pages", "--pause"},
                          places(cluster.directory, cluster.port)))
            .exit_code == 2);

  // Interrupted wherever it is: 11, nothing runs, and the same command again is right.
  int interrupted = 0;
  for (const char* phase : {"laying_base", "recovering", "finishing"}) {
    std::vector<std::string> out;
    auto process = real_processes().spawn(
        lab.command(words({"restore", "--to-latest"}, places(cluster.directory, cluster.port))),
        [&](std::string_view line) { out.emplace_back(line); });
    REQUIRE(process);
    const bool seen =
        wait_until([&] { return phase_of(cluster.directory) == phase || (*process)->wait(0ms); }, 60s);
    CHECK(seen);
    (*process)->kill(SIGINT);
    const auto status = (*process)->wait(60s);
    REQUIRE(status);
    INFO(phase << ": " << join(out, "\n"));
    CHECK((status->code == 11 || status->code == 0));
    if (status->code == 11) {
      ++interrupted;
      CHECK(wait_until([&] { return deserted(cluster.directory); }, 10s));
      CHECK(phase_of(cluster.directory) != "complete");
      CHECK(lab.ask({"clusters"})[0]["state"] == "failed");
    } else {
      lab.ask({"clusters", "remove", "r1"});
    }
  }

  // The last phase may be over before the signal comes; the first never.
  CHECK(interrupted >= 1);
  MESSAGE("interrupted " << interrupted << " of 3");

  // Killed: what it left running is stopped by the next one, and the list tells the truth meanwhile.
  {
    auto process = real_processes().spawn(
        lab.command(words({"restore", "--to-latest"}, places(cluster.directory, cluster.port))), [](auto) {});
    REQUIRE(process);
    CHECK(wait_until([&] { return phase_of(cluster.directory) == "recovering" || (*process)->wait(0ms); },
                     60s));
    (*process)->kill(SIGKILL);
    REQUIRE((*process)->wait(20s));
    const Json listed = lab.ask({"list", "restores"});
    CHECK(listed[0]["state"] == "failed");
    CHECK(listed[0]["error"] == "the restore's process ended before the restore did");
  }
  cluster.proof = lab.ask(words({"restore", "--to-latest"}, places(cluster.directory, cluster.port)));
  check_opened(lab, cluster);
  // It outlives walback's services.
  lab.kill_services();
  {
    Connection copy = lab.connect(cluster);
    CHECK(text_of(copy, "SELECT count(*) FROM t") == "20001");
  }
  lab.ask({"clusters", "stop", "r1"});

  // Places that will not do.
  const Path other = lab.lab() / "r2";
  const auto refused = [&](const std::string& command, const Path& directory, std::uint16_t port) {
    return lab.walback(words({command, "--to-latest"}, places(directory, port)));
  };
  WalbackRun run = refused("restore", other, lab.state().primary.port);
  CHECK(run.exit_code == 6);
  CHECK(run.err ==
        fmt::format("walback: port {} is taken on this host\nhint: Choose another one with --port.\n",
                    lab.state().primary.port));
  REQUIRE(files().create_directories(other / "precious"));
  run = refused("restore", other, free_port());
  CHECK(run.exit_code == 6);
  CHECK(run.err ==
        fmt::format("walback: directory '{}' is not empty: found 'precious', expected nothing\nhint: Name "
                    "another directory; walback never overwrites what it did not build.\n",
                    other.string()));
  run = refused("restore", lab.state().primary.data / "r", free_port());
  CHECK(run.exit_code == 6);
  CHECK(run.err.find("lies inside the data directory") != std::string::npos);
  REQUIRE(files().remove_tree(other));

  // A bad page in the base: found where the cluster has checksums.
  if (checksums) {
    const std::string relation = lab.value("SELECT pg_relation_filepath('t')");
    std::string bytes = *files().read(base / relation, 1U << 30);
    bytes[3 * 8192 + 4000] ^= 1;
    REQUIRE(files().write(base / relation, bytes));
    run = lab.walback(words({"restore", "--to-latest", "--check-pages"}, places(other, free_port())));
    CHECK_MESSAGE(run.exit_code == 7, run.all());
    CHECK(deserted(other));
  }
}
