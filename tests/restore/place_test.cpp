#include "restore/place.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "os/process.h"
#include "restore/restored_settings.h"
#include "support/temporary_directory.h"

using namespace walback;

namespace {

/// A base backup's directory as far as a place is judged by it, and programs that answer as PostgreSQL's do.
class World {
 public:
  World() {
    plan.backup.id = "B1";
    plan.backup.server_version_num = 150020;
    plan.backup.size_bytes = 23U << 20;
    plan.segment_count = 3;
    plan.wal_bytes = 40U << 20;
    for (const Path& path : {base(), bin(), lib()}) REQUIRE(files.create_directories(path));
    program("postgres", "echo 'postgres (PostgreSQL) 15.20'");
    program("pg_ctl", "echo 'pg_ctl (PostgreSQL) 15.20'");
    control(202209061);
    REQUIRE(files.write(lib() / "plpgsql.so", ""));
    REQUIRE(files.write(base() / "postgresql.conf", "shared_preload_libraries = 'old'\n"));
    REQUIRE(files.write(base() / "postgresql.auto.conf", ""));
    preload("");
    // pg_controldata is ours; that there is something to read is asked before.
    REQUIRE(files.create_directories(base() / "global"));
    REQUIRE(files.write(base() / "global" / "pg_control", "x"));
  }

  FileSystem& files = real_file_system();
  TemporaryDirectory directory;
  ArchiveLayout archive{directory.path() / "archive"};
  RestorePlan plan{{7'301'118, *SegmentSize::from_bytes(16U << 20)}};
  Place place{directory.path() / "r1", free_port()};
  std::map<std::string, std::string> settings;

  [[nodiscard]] Path base() const { return archive.backup("B1"); }
  [[nodiscard]] Path bin() const { return directory.path() / "pg" / "bin"; }
  [[nodiscard]] Path lib() const { return directory.path() / "pg" / "lib"; }

  void program(const std::string& name, const std::string& script) {
    REQUIRE(files.write(bin() / name, "#!/bin/sh\n" + script + "\n"));
    REQUIRE(files.set_mode(bin() / name, 0755));
  }
  void control(std::uint32_t catalog_version);
  void preload(const std::string& libraries) {
    REQUIRE(files.write(base() / "postgresql.auto.conf",
                        "# x\n" + render_setting("shared_preload_libraries", libraries)));
  }
  void mark(RestorePhase phase, int pid, std::uint64_t ticks, std::uint16_t port) {
    REQUIRE(files.create_directories(place.directory));
    REQUIRE(write_marker(files, {place.directory},
                         {.phase = phase,
                          .name = "old",
                          .pid = pid,
                          .pid_start_ticks = ticks,
                          .started_at = {},
                          .port = port,
                          .socket_directory = "",
                          .target = "--to-latest",
                          .plan = Json::object(),
                          .expected = Json::object()}));
  }

  [[nodiscard]] Result<PlaceReport> check() {
    return check_place(files, plan, archive, place, bin(), settings);
  }
  /// "conflict: message | hint", or "fine".
  [[nodiscard]] std::string answer() {
    const auto report = check();
    if (report) return "fine";
    return fmt::format("{}: {} | {}", name_of(report.error().kind), report.error().message,
                       report.error().hint);
  }

  static std::uint16_t free_port() {
    const int probe = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    REQUIRE(::bind(probe, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::getsockname(probe, reinterpret_cast<sockaddr*>(&address), &length) == 0);
    ::close(probe);
    return ntohs(address.sin_port);
  }
};

void World::control(std::uint32_t catalog_version) {
  program("pg_controldata", fmt::format(R"(cat <<'END'
pg_control version number:            1300
Catalog version number:               {}
Database system identifier:           7301118
Database cluster state:               in production
pg_control last modified:             Fri Nov 20 10:00:00 2026
Latest checkpoint location:           0/2000060
Latest checkpoint's REDO location:    0/2000028
Latest checkpoint's REDO WAL file:    000000010000000000000002
Latest checkpoint's TimeLineID:       1
Latest checkpoint's PrevTimeLineID:   1
Latest checkpoint's full_page_writes: on
Latest checkpoint's NextXID:          0:740
Minimum recovery ending location:     0/0
Min recovery ending loc's timeline:   0
Backup start location:                0/0
Backup end location:                  0/0
End-of-backup record required:        no
wal_level setting:                    replica
wal_log_hints setting:                off
max_connections setting:              100
max_worker_processes setting:         8
max_wal_senders setting:              10
max_prepared_xacts setting:           0
max_locks_per_xact setting:           64
track_commit_timestamp setting:       off
Bytes per WAL segment:                16777216
Data page checksum version:           0
END)",
                                        catalog_version));
}

/// A port on which somebody listens.
struct Listener {
  explicit Listener(std::uint16_t port) : socket(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    REQUIRE(::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(socket, 1) == 0);
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener() { ::close(socket); }
  int socket;
};

}  // namespace

TEST_CASE("place: an absent directory and an empty one will do") {
  World world;
  CHECK(world.answer() == "fine");
  const auto report = world.check();
  REQUIRE(report);
  CHECK(report->occupancy == Occupancy::vacant);
  CHECK(report->needed_bytes == (23ULL + 40 + 3 * 16 + 64) << 20);
  CHECK(report->control.catalog_version == 202209061);
  REQUIRE(world.files.create_directories(world.place.directory));
  CHECK(world.answer() == "fine");
}

TEST_CASE("place: what is there already is refused, by name") {
  World world;
  const std::string into = world.place.directory.string();
  REQUIRE(world.files.create_directories(world.place.directory / "precious"));
  CHECK(world.answer() ==
        "conflict: directory '" + into +
            "' is not empty: found 'precious', expected nothing | Name another directory; walback "
            "never overwrites what it did not build.");
  REQUIRE(world.files.remove_tree(world.place.directory));
  REQUIRE(world.files.write(world.place.directory, "x"));
  CHECK(world.answer() ==
        "conflict: '" + into + "' is not a directory | Name a directory that does not exist yet.");
  REQUIRE(world.files.remove(world.place.directory));
  REQUIRE(world.files.create_directories(world.directory.path() / "elsewhere"));
  REQUIRE(world.files.create_symlink(world.directory.path() / "elsewhere", world.place.directory));
  CHECK(world.answer() ==
        "conflict: '" + into + "' is not a directory | Name a directory that does not exist yet.");
}

TEST_CASE("place: a restored cluster of ours is kept, an unfinished restore is not") {
  World world;
  const std::string into = world.place.directory.string();
  for (const char* phase : {"paused", "complete"}) {
    world.mark(phase == std::string("paused") ? RestorePhase::paused : RestorePhase::complete, 0, 0, 1);
    CHECK(world.answer() ==
          "conflict: directory '" + into + "' holds the restored cluster 'old' (" + phase +
              ") | Name another directory, or remove it with `walback clusters remove old`.");
  }
  for (const RestorePhase phase :
       {RestorePhase::laying_base, RestorePhase::recovering, RestorePhase::finishing}) {
    world.mark(phase, ::getpid(), 1, 1);  // a reused pid: it started at another time
    const auto report = world.check();
    REQUIRE_MESSAGE(report, (report ? "" : report.error().message));
    CHECK(report->occupancy == Occupancy::unfinished);
    CHECK(report->unfinished->name == "old");
  }
  const int parent = ::getppid();
  if (const auto ticks = process_start_ticks(parent)) {
    world.mark(RestorePhase::recovering, parent, *ticks, 1);
    CHECK(world.answer() == "conflict: a restore into '" + into + "' is already running: pid " +
                                std::to_string(parent) + " | Wait for it, or end that process.");
  }
  REQUIRE(world.files.write(world.place.directory / "walback-restore.json", "{"));
  CHECK(world.answer().starts_with("conflict: directory '" + into + "' is not empty"));
}

TEST_CASE("place: nothing is built inside the archive or inside another cluster") {
  World world;
  world.place.directory = world.archive.wal() / "r1";
  CHECK(world.answer() == "conflict: '" + world.place.directory.string() + "' lies inside the archive '" +
                              world.archive.root.string() + "' | Name a directory outside of it.");
  REQUIRE(world.files.create_directories(world.directory.path() / "main" / "base"));
  REQUIRE(world.files.write(world.directory.path() / "main" / "PG_VERSION", "15\n"));
  world.place.directory = world.directory.path() / "main" / "base" / "r1";
  CHECK(world.answer() ==
        "conflict: '" + world.place.directory.string() + "' lies inside the data directory '" +
            (world.directory.path() / "main").string() + "' | Name a directory outside of it.");
}

TEST_CASE("place: a taken port, but for one that the unfinished restore itself holds") {
  World world;
  const Listener listener(world.place.port);
  const std::string taken = fmt::format(
      "conflict: port {} is taken on this host | Choose another one with --port.", world.place.port);
  CHECK(world.answer() == taken);
  world.mark(RestorePhase::recovering, 0, 0, world.place.port);
  CHECK(world.answer() == "fine");
  world.mark(RestorePhase::recovering, 0, 0, static_cast<std::uint16_t>(world.place.port ^ 1));
  CHECK(world.answer() == taken);
}

TEST_CASE("place: no room") {
  World world;
  world.plan.backup.size_bytes = 1ULL << 60;
  const auto report = world.check();
  REQUIRE_FALSE(report);
  const std::uint64_t needed = (1ULL << 60) + ((40ULL + 3 * 16 + 64) << 20);
  CHECK(report.error().kind == ErrorKind::disk_full);
  CHECK(report.error().message.starts_with("'" + world.directory.path().string() + "' has "));
  CHECK(report.error().message.ends_with(" free, the restore needs " + render_bytes(needed)));
  CHECK(report.error().hint == "Free some room, or restore --into another file system.");
}

TEST_CASE("place: tablespaces on a file system of their own need their room there") {
  World world;
  REQUIRE(world.files.create_directories(world.base() / "pg_tblspc"));
  REQUIRE(world.files.create_directories(world.base() / "tablespaces" / "16385"));
  REQUIRE(world.files.write(world.base() / "tablespaces" / "16385" / "1", std::string(1U << 20, 'x')));
  REQUIRE(world.files.create_symlink("../tablespaces/16385", world.base() / "pg_tblspc" / "16385"));
  const auto together = world.check();
  REQUIRE(together);
  CHECK(together->needed_bytes == (23ULL + 40 + 3 * 16 + 64) << 20);
  // A file system without any room.
  world.place.chosen_tablespaces = "/proc/ts";
  CHECK(world.answer() ==
        "disk_full: '/proc' has 0 B free, the restore needs 1 MB | Free some room, or restore --into another "
        "file system.");
}

TEST_CASE("place: the spool ahead of replay and the WAL that stays are bounded") {
  World world;
  world.plan.segment_count = 100'000;
  world.plan.wal_bytes = 100'000ULL * (16U << 20);
  CHECK(bytes_needed(world.plan) == (23ULL + 8192 + 64 * 16 + 64) << 20);
  CHECK(wal_allowance_mb(0, 1ULL << 40) == 1024);
  CHECK(wal_allowance_mb(3ULL << 30, 1ULL << 40) == 6144);
  CHECK(wal_allowance_mb(1ULL << 40, 1ULL << 40) == 8192);
  CHECK(wal_allowance_mb(1ULL << 40, 4ULL << 30) == 2048);
}

TEST_CASE("place: binaries of another major, none, and another catalog version") {
  World world;
  world.program("postgres", "echo 'postgres (PostgreSQL) 17.2'");
  world.program("pg_ctl", "echo 'pg_ctl (PostgreSQL) 17.2'");
  CHECK(world.answer() == "not_found: the programs of PostgreSQL 15 were not found in " +
                              world.bin().string() +
                              " (version 17) | Install them (on Debian: the package postgresql or "
                              "postgresql-<major>), or name their "
                              "directory as postgres.bin in walback.yaml.");
  world.program("postgres", "echo 'postgres (PostgreSQL) 15.20'");
  world.control(202209999);
  CHECK(world.answer() ==
        "conflict: the base backup has catalog version 202209999, PostgreSQL 15 in '" + world.bin().string() +
            "' expects 202209061 | It was made by a development version; restore it with the "
            "binaries that made it.");
}

TEST_CASE("place: what the base preloads and is not here is left out; what walback.yaml names must be here") {
  World world;
  world.preload("pg_stat_statements, $libdir/mine");
  const auto left_out = [&] {
    std::string text;
    const auto report = world.check();
    REQUIRE(report);
    for (const Preload& missing : report->missing_libraries)
      text += missing.setting + ": " + missing.library + "; ";
    return text;
  };
  CHECK(left_out() ==
        "shared_preload_libraries: pg_stat_statements; shared_preload_libraries: $libdir/mine; ");
  REQUIRE(world.files.write(world.lib() / "mine.so", ""));
  CHECK(left_out() == "shared_preload_libraries: pg_stat_statements; ");
  world.settings["shared_preload_libraries"] = "mine";
  CHECK(left_out().empty());
  CHECK(world.check()->preload_libraries == std::vector<std::string>{"mine"});
  world.settings["Shared_Preload_Libraries"] = "theirs";
  world.settings.erase("shared_preload_libraries");
  CHECK(world.answer() ==
        "not_found: restore.settings.shared_preload_libraries of walback.yaml names "
        "'theirs', which is not installed here: '" +
            (world.lib() / "theirs.so").string() +
            "' is missing | Install the extension's package, or leave the library out.");
  world.settings.clear();
  // Jobs do not start in the copy, so their library need not be here.
  world.preload("pg_cron");
  CHECK(left_out().empty());
  REQUIRE(world.files.write(world.base() / "postgresql.auto.conf",
                            "session_preload_libraries = 'gone'\n"
                            "local_preload_libraries = 'gone'\njit_provider = 'gone'\n"
                            "shared_preload_libraries = ''\n"));
  CHECK(left_out() == "session_preload_libraries: gone; local_preload_libraries: gone; jit_provider: gone; ");
  REQUIRE(world.files.write(world.lib() / "gone.so", ""));
  CHECK(left_out() == "local_preload_libraries: gone; ");
  REQUIRE(world.files.create_directories(world.lib() / "plugins"));
  REQUIRE(world.files.write(world.lib() / "plugins" / "gone.so", ""));
  CHECK(left_out().empty());
  // Another layout of the installation: nobody can tell.
  world.preload("pg_stat_statements");
  REQUIRE(world.files.remove(world.lib() / "plpgsql.so"));
  CHECK(left_out().empty());
}

TEST_CASE("place: a link in the base backup would be shared with the cluster it was taken of") {
  World world;
  REQUIRE(world.files.create_symlink("/srv/wal", world.base() / "pg_wal"));
  REQUIRE(world.files.create_directories(world.base() / "pg_tblspc"));
  REQUIRE(world.files.create_symlink("/srv/fast", world.base() / "pg_tblspc" / "16385"));
  const auto link = [&](const Path& path) {
    return "the base backup has a link where its own files should be: '" + path.string() + "'";
  };
  const std::string hint = "A copy of it would share what it points to; take another base backup.";
  CHECK(world.answer() == "corrupt: " + link(world.base() / "pg_tblspc" / "16385") +
                              " points to '/srv/fast'; " + link(world.base() / "pg_wal") + " | " + hint +
                              " " + hint);
}

TEST_CASE("place: all faults at once, the first gives the kind") {
  World world;
  const Listener listener(world.place.port);
  REQUIRE(world.files.create_directories(world.place.directory / "precious"));
  world.settings["shared_preload_libraries"] = "gone";
  CHECK(
      world.answer() ==
      fmt::format(
          "conflict: directory '{0}' is not empty: found 'precious', expected nothing; port {1} is taken on "
          "this host; restore.settings.shared_preload_libraries of walback.yaml names 'gone', which is not "
          "installed here: '{2}' is missing | "
          "Name another directory; walback never overwrites what it did not build. Choose another one "
          "with --port. Install the extension's package, or leave the library out.",
          world.place.directory.string(), world.place.port, (world.lib() / "gone.so").string()));
}
