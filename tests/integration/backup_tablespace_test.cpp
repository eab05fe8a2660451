// Base backups of tablespaces, and of those that come and go while one is taken.
#include <doctest/doctest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "backup/backup_files.h"
#include "integration/support/backup_world.h"

using namespace walback;
using namespace std::chrono_literals;
using namespace walback::test;

namespace {

/// Until pg_stat_progress_basebackup says so.
void await_phase(Connection& connection, const std::string& condition) {
  const std::string sql = "SELECT count(*) FROM pg_stat_progress_basebackup WHERE " + condition;
  const auto deadline = std::chrono::steady_clock::now() + 60s;
  while (must(connection.query(sql)).integer(0, 0) == 0) {
    if (std::chrono::steady_clock::now() > deadline) FAIL("no base backup with " << condition);
    std::this_thread::sleep_for(5ms);
  }
}

/// The pid of our own child that runs this program.
int child_named(const std::string& program) {
  for (const auto& entry : must(real_file_system().list("/proc"))) {
    const auto stat = real_file_system().read(Path("/proc") / entry.name / "stat");
    const std::string name = "(" + program + ") ";
    const auto at = stat ? stat->find(name) : std::string::npos;
    if (at == std::string::npos) continue;
    // Behind the name the state, a letter, and then the parent.
    const std::string rest = stat->substr(at + name.size() + 2);
    if (rest.starts_with(std::to_string(::getpid()) + " ")) return std::stoi(entry.name);
  }
  FAIL("no child runs " << program);
  return 0;
}

}  // namespace

TEST_CASE("base backup: tablespaces, in odd places, in place, made and dropped while it runs") {
  test::ThrowawayOptions options;
  options.settings = {{"checkpoint_completion_target", "0.9"}, {"checkpoint_timeout", "1h"}};
  World world(options);
  auto connection = must(Connection::open(world.server->conninfo()));
  const auto place = [&](const std::string& name) { return world.server->directory() / name; };
  const auto create = [&](const std::string& name, const std::string& where) {
    if (!where.empty()) must(real_file_system().create_directories(where));
    must(connection.execute("SET allow_in_place_tablespaces = on"));
    must(connection.execute("CREATE TABLESPACE " + name + " LOCATION '" + where + "'"));
    return must(connection.query("SELECT oid FROM pg_tablespace WHERE spcname = '" + name + "'")).text(0, 0);
  };
  const auto fast = create("fast", place("a=b c").string());
  const auto empty = create("empty", place("empty").string());
  const auto inside = create("inside", "");
  must(connection.execute("CREATE TABLE big TABLESPACE fast AS SELECT generate_series(1, 1500000) AS id"));
  must(connection.execute("CREATE TABLE small TABLESPACE inside AS SELECT 1 AS id"));

  auto catalog = must(Catalog::open(world.archive.catalog()));
  Silent progress;
  std::string made;
  auto setup = world.setup(catalog);
  setup.spread = true;  // its checkpoint waits until somebody hurries it
  std::jthread meddler([&] {
    // The copy is held up in the first tablespace: the data directory, and with it the links, comes last.
    await_phase(connection, "phase = 'waiting for checkpoint to finish'");
    const int copier = child_named("pg_basebackup");
    ::kill(copier, SIGSTOP);
    must(connection.execute("CHECKPOINT"));
    await_phase(connection, "tablespaces_streamed < tablespaces_total - 1 AND backup_streamed > 0");
    made = create("made", place("made").string());
    must(connection.execute("DROP TABLESPACE empty"));
    ::kill(copier, SIGCONT);
  });
  const auto row = take_base_backup(setup, progress, {});
  meddler.join();
  REQUIRE_MESSAGE(row, row.error().message);
  REQUIRE_FALSE(made.empty());
  const std::vector<std::string> expected = {fast + " " + place("a=b c").string(),
                                             empty + " " + place("empty").string()};
  CHECK(row->tablespaces == expected);
  CHECK(must(scan_backups(real_file_system(), world.archive, world.of_archive())).front().tablespaces ==
        expected);
  const auto links = world.archive.backup(row->id) / "pg_tblspc";
  CHECK(must(real_file_system().read_link(links / fast)) == "../tablespaces/" + fast);
  CHECK(must(real_file_system().read_link(links / empty)) == "../tablespaces/" + empty);
  CHECK(must(real_file_system().stat(links / inside)).kind == FileKind::directory);
  CHECK_FALSE(exists(real_file_system(), links / made));
  // Damage in a tablespace is seen as anywhere else.
  const auto check = [&] {
    return check_backup(real_file_system(), world.archive, row->id, world.of_archive());
  };
  CHECK(check());
  const auto big = "pg_tblspc/" + fast +
                   must(connection.query("SELECT substr(pg_relation_filepath('big'), " +
                                         std::to_string(fast.size() + 11) + ")"))
                       .text(0, 0);
  const auto file = world.archive.backup(row->id) / "tablespaces" / big.substr(10);
  must(real_file_system().remove(file));
  CHECK(check().error() == Error{ErrorKind::corrupt, "'" + big + "' is missing", ""});
}

TEST_CASE(
    "base backup: one created while it begins would be copied over the primary's own; taken again it is "
    "there") {
  test::ThrowawayOptions options;
  options.settings = {{"checkpoint_completion_target", "0.9"}, {"checkpoint_timeout", "1h"}};
  World world(options);
  auto connection = must(Connection::open(world.server->conninfo()));
  const auto place = world.server->directory() / "fast";
  must(real_file_system().create_directories(place));
  auto catalog = must(Catalog::open(world.archive.catalog()));
  auto setup = world.setup(catalog);
  setup.spread = true;
  std::jthread meddler([&] {
    await_phase(connection, "phase = 'waiting for checkpoint to finish'");
    must(connection.execute("CREATE TABLESPACE fast LOCATION '" + place.string() + "'"));
    must(connection.execute("CHECKPOINT"));  // the spread one hurries, too
  });
  Silent progress;
  const auto row = take_base_backup(setup, progress, {});
  meddler.join();
  REQUIRE_FALSE(row);
  CHECK(row.error() ==
        Error{ErrorKind::unavailable,
              "tablespaces were created or dropped while the base backup began: pg_basebackup failed: "
              "directory \"" +
                  place.string() + "\" exists but is not empty",
              "What was copied is removed. Take the backup again."});
  CHECK(world.names_in_backups().empty());
  setup.spread = false;
  const auto again = take_base_backup(setup, progress, {});
  REQUIRE_MESSAGE(again, again.error().message);
  CHECK(again->tablespaces.size() == 1);
}
