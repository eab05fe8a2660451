// Tablespaces on the primary's own host: whatever is restored, every file of the primary keeps its bytes.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <map>

#include "base/crc32c.h"
#include "integration/support/lab_fixture.h"
#include "os/process.h"
#include "restore/marker.h"

using namespace walback;
using namespace walback::test;
using namespace std::chrono_literals;

namespace {

FileSystem& files() {
  return real_file_system();
}

using Sums = std::map<std::string, std::uint32_t>;

/// Path and checksum of every file below a directory; of a link, where it points.
void add_checksums(const Path& directory, Sums& sums) {
  const auto entries = files().list(directory);
  REQUIRE(entries);
  for (const DirectoryEntry& entry : *entries) {
    const Path path = directory / entry.name;
    if (entry.kind == FileKind::directory) {
      sums[path.string()] = 0;
      add_checksums(path, sums);
    } else if (entry.kind == FileKind::symlink) {
      sums[path.string()] = crc32c(*files().read_link(path));
    } else if (entry.kind == FileKind::regular) {
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

/// A lab whose primary can be frozen: while it is stopped, nothing but a restore could change its files.
class World {
 public:
  LabFixture lab;

  /// The path is made, unless it is there.
  std::string create_tablespace(const std::string& name, const Path& path) {
    REQUIRE(files().create_directories(path));
    lab.execute(fmt::format("CREATE TABLESPACE {} LOCATION '{}'", name, path.string()));
    return lab.value(fmt::format("SELECT oid FROM pg_tablespace WHERE spcname = '{}'", name));
  }
  void create_in_place(const std::string& name) {
    Connection primary = lab.primary();
    REQUIRE(primary.execute("SET allow_in_place_tablespaces = on"));
    REQUIRE(primary.execute(fmt::format("CREATE TABLESPACE {} LOCATION ''", name)));
    REQUIRE(primary.execute(fmt::format("CREATE TABLE t_{0} TABLESPACE {0} AS SELECT 1 AS id", name)));
  }
  [[nodiscard]] Path place(const std::string& name) const { return lab.directory() / name; }
  /// A stop: everything up to here and one record more, which is captured.
  [[nodiscard]] std::string now() const {
    std::string lsn = lab.value("SELECT pg_current_wal_lsn()");
    lab.execute("COMMENT ON DATABASE postgres IS 'a commit, which is flushed'");
    lab.wait_captured();
    return lsn;
  }

  /// Everything of the primary on disk, once it is quiet: stopped for good.
  void freeze() {
    lab.kill_services();
    REQUIRE(run({.program = lab.state().binaries / "pg_ctl",
                 .arguments = {"stop", "-w", "-s", "-D", lab.state().primary.data.string(), "-m", "fast"}},
                60s));
    before_ = of_primary();
  }
  [[nodiscard]] Sums of_primary() const {
    Sums sums;
    add_checksums(lab.state().primary.data, sums);
    for (const char* name : {"fast", "slow", "new=er"})
      if (exists(files(), place(name))) add_checksums(place(name), sums);
    return sums;
  }
  void check_primary_untouched() const {
    const Sums now = of_primary();
    for (const auto& [path, sum] : before_) {
      INFO(path);
      CHECK(now.contains(path));
      if (now.contains(path)) CHECK(now.at(path) == sum);
    }
    for (const auto& [path, sum] : now) CHECK_MESSAGE(before_.contains(path), "appeared: " << path);
  }

  [[nodiscard]] WalbackRun restore_to(const std::string& lsn, const std::vector<std::string>& more = {}) {
    cluster = {lab.lab() / fmt::format("r{}", ++count_), free_port(), nullptr};
    std::vector<std::string> arguments{"--json",   "restore",
                                       "--to-lsn", lsn,
                                       "--into",   cluster.directory.string(),
                                       "--port",   std::to_string(cluster.port)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    WalbackRun run = lab.walback(arguments);
    if (run.ok()) cluster.proof = run.json;
    return run;
  }
  void remove() { lab.ask({"clusters", "remove", cluster.directory.filename().string()}); }

  LabFixture::Restored cluster;

 private:
  Sums before_;
  int count_ = 0;
};

}  // namespace

TEST_CASE("tablespaces: in the base, dropped after it, made again at the same path, created after it") {
  World world;
  LabFixture& lab = world.lab;
  const std::string fast = world.create_tablespace("fast", world.place("fast"));
  const std::string slow = world.create_tablespace("slow", world.place("slow"));
  lab.execute("CREATE TABLE t TABLESPACE fast AS SELECT generate_series(1, 1000) AS id");
  lab.execute("CREATE INDEX ON t (id) TABLESPACE slow");
  world.create_in_place("inside");
  const std::string first = lab.ask({"backup"})["id"].get<std::string>();
  const Path base = lab.archive() / "backups" / first;
  CHECK(files().read_link(base / "pg_tblspc" / fast) == "../tablespaces/" + fast);
  CHECK(lab.ask({"list", "backups"})[0]["tablespaces"] ==
        Json({fast + " " + world.place("fast").string(), slow + " " + world.place("slow").string()}));

  lab.execute("CREATE TABLE late TABLESPACE slow AS SELECT generate_series(1, 100) AS id");
  lab.execute("CREATE DATABASE there TABLESPACE slow STRATEGY file_copy");
  lab.execute("ALTER TABLE t SET TABLESPACE slow");
  world.create_in_place("inside_later");
  const std::string moved = world.now();
  lab.execute("DROP TABLE t, late");
  lab.execute("DROP DATABASE there");
  lab.execute("DROP TABLESPACE slow");
  lab.execute("CREATE TABLE after_drop AS SELECT 1 AS id");
  const std::string dropped = world.now();
  const std::string again = world.create_tablespace("slow", world.place("slow"));
  lab.execute("CREATE TABLE u TABLESPACE slow AS SELECT generate_series(1, 50) AS id");
  const std::string remade = world.now();
  lab.ask({"backup"});
  lab.execute("INSERT INTO u VALUES (51)");
  const std::string in_new_base = world.now();
  const std::string newer = world.create_tablespace("newer", world.place("new=er"));
  lab.execute("CREATE TABLE v TABLESPACE newer AS SELECT generate_series(1, 70) AS id");
  const Json findings = lab.walback({"--json", "check"}).json;
  CHECK_MESSAGE(to_line(findings).find("tablespace newer") != std::string::npos, to_line(findings));
  const std::string last = world.now();
  world.freeze();

  SUBCASE("of the base, with what happened in them since; the default place; removed with the cluster") {
    WalbackRun run = world.restore_to(moved);
    REQUIRE_MESSAGE(run.ok(), run.all());
    const Path beside = world.cluster.directory.string() + ".tablespaces";
    const Json& listed = world.cluster.proof["tablespaces"];
    REQUIRE(listed.size() == 2);
    CHECK(listed[0]["oid"] == std::stoi(fast));
    CHECK(listed[0]["primary_path"] == world.place("fast").string());
    CHECK(listed[0]["directory"] == (beside / fast).string());
    CHECK(listed[0]["bytes"].get<std::uint64_t>() > 1000);
    CHECK(listed[1]["directory"] == (beside / slow).string());
    {
      Connection copy = lab.connect(world.cluster);
      CHECK(text_of(copy, "SELECT count(*) FROM t") == "1000");
      CHECK(text_of(copy, "SELECT count(*) FROM late") == "100");
      CHECK(text_of(copy, "SELECT a.id + b.id FROM t_inside a, t_inside_later b") == "2");
      CHECK(text_of(copy, "SELECT pg_tablespace_location(" + slow + ")") == (beside / slow).string());
      CHECK(text_of(copy, "SELECT datname FROM pg_database WHERE dattablespace = " + slow) == "there");
      // What is written now goes to the copy's own.
      text_of(copy, "INSERT INTO late VALUES (0) RETURNING id");
      REQUIRE(copy.execute("CHECKPOINT"));
    }
    world.check_primary_untouched();
    world.remove();
    CHECK_FALSE(exists(files(), beside));
    CHECK_FALSE(exists(files(), world.cluster.directory));

    // Another place, by hand; what the WAL drops is gone there, and only there.
    const Path chosen = lab.directory() / "chosen";
    run = world.restore_to(dropped, {"--tablespaces", chosen.string()});
    REQUIRE_MESSAGE(run.ok(), run.all());
    CHECK(world.cluster.proof["tablespaces"][0]["directory"] == (chosen / fast).string());
    CHECK(world.cluster.proof["tablespaces"][1]["dropped"] == true);
    {
      Connection copy = lab.connect(world.cluster);
      CHECK(text_of(copy, "SELECT to_regclass('t') IS NULL AND id = 1 FROM after_drop") == "t");
    }
    world.check_primary_untouched();
    // One place, one copy.
    const WalbackRun second = world.restore_to(dropped, {"--tablespaces", chosen.string()});
    CHECK(second.exit_code == 6);
    CHECK_MESSAGE(second.err.find("holds the tablespaces of the restored cluster in '") != std::string::npos,
                  second.all());
    world.cluster.directory = lab.lab() / "r2";
    world.remove();
    CHECK_FALSE(exists(files(), chosen));
    world.check_primary_untouched();

    // A tablespace_map would have PostgreSQL make the primary's links again, before anybody has found that it
    // does not belong there.
    REQUIRE(files().write(base / "tablespace_map",
                          fmt::format("{} {}\n{} {}\n", fast, world.place("fast").string(), slow,
                                      world.place("slow").string())));
    const WalbackRun mapped = world.restore_to(moved);
    CHECK(mapped.exit_code == 7);
    CHECK_MESSAGE(
        mapped.err.find("\"tablespace_map\" is present on disk but not in the manifest") != std::string::npos,
        mapped.all());
    world.check_primary_untouched();
  }

  SUBCASE(
      "made again at the same path, and created after the base: refused here, before anything is touched") {
    for (const auto& [stop, oid, path] :
         {std::tuple{remade, again, world.place("slow")}, std::tuple{last, newer, world.place("new=er")}}) {
      const WalbackRun run = world.restore_to(stop);
      CHECK(run.exit_code == 6);
      CHECK_MESSAGE(
          run.err.starts_with(fmt::format(
              "walback: the WAL up to the stop creates tablespace {} in '{}' (at ", oid, path.string())),
          run.all());
      CHECK(run.err.find("and that path exists on this host: it may be the live primary's\n") !=
            std::string::npos);
      CHECK_FALSE(exists(files(), world.cluster.directory));
      world.check_primary_untouched();
    }
    // The base backup that was taken after it holds it.
    const WalbackRun run = world.restore_to(in_new_base);
    REQUIRE_MESSAGE(run.ok(), run.all());
    Connection copy = lab.connect(world.cluster);
    CHECK(text_of(copy, "SELECT count(*) FROM u") == "51");
    world.check_primary_untouched();
  }

  SUBCASE("created after the base, with its path absent: made, listed, kept through a pause, removed") {
    // As on another host.
    const Path path = world.place("new=er");
    const Path away = world.place("the primary's own");
    REQUIRE(files().rename(path, away));
    const Path grandparent = world.place("new=er").parent_path();
    WalbackRun run = world.restore_to(last, {"--pause"});
    REQUIRE_MESSAGE(run.ok(), run.all());
    const Json& listed = world.cluster.proof["tablespaces"];
    REQUIRE(listed.size() == 3);
    CHECK(listed[2]["oid"] == std::stoi(newer));
    CHECK(listed[2]["directory"] == path.string());
    CHECK_FALSE(listed[2]["created_at"].is_null());
    const std::string name = world.cluster.directory.filename().string();
    // Replay begins anew, and with it the record that creates.
    lab.ask({"clusters", "stop", name});
    lab.ask({"clusters", "start", name});
    const Json promoted = lab.ask({"clusters", "promote", name});
    CHECK(promoted["verdict"] == "proven");
    CHECK(promoted["tablespaces"] == listed);
    {
      Connection copy = lab.connect(world.cluster);
      CHECK(text_of(copy, "SELECT count(*) FROM v") == "70");
    }
    // It is this copy's now, and nobody else's.
    const WalbackRun other = world.restore_to(last);
    CHECK(other.exit_code == 6);
    CHECK_MESSAGE(other.err.find("which the restored cluster in '") != std::string::npos, other.all());
    lab.ask({"clusters", "remove", name});
    CHECK_FALSE(exists(files(), path));
    CHECK(exists(files(), grandparent));

    // A restore that was killed is wiped with all that it made, and begun again.
    world.cluster = {lab.lab() / "killed", free_port(), nullptr};
    const std::vector<std::string> arguments{"restore",
                                             "--to-lsn",
                                             last,
                                             "--into",
                                             world.cluster.directory.string(),
                                             "--port",
                                             std::to_string(world.cluster.port)};
    auto process = real_processes().spawn(lab.command(arguments), [](auto) {});
    REQUIRE(process);
    CHECK(wait_until([&] { return exists(files(), path) || (*process)->wait(0ms); }, 60s));
    (*process)->kill(SIGKILL);
    REQUIRE((*process)->wait(20s));
    std::vector<std::string> once_more{"--json"};
    once_more.insert(once_more.end(), arguments.begin(), arguments.end());
    run = lab.walback(once_more);
    REQUIRE_MESSAGE(run.ok(), run.all());
    {
      Connection copy = lab.connect(world.cluster);
      CHECK(text_of(copy, "SELECT count(*) FROM v") == "70");
    }
    world.remove();
    CHECK_FALSE(exists(files(), path));
    REQUIRE(files().rename(away, path));
    world.check_primary_untouched();
  }
}
