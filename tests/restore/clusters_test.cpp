#include "restore/clusters.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include "os/process.h"
#include "support/temporary_directory.h"

using namespace walback;

namespace {

RestoreMarker marker(RestorePhase phase, int pid, std::uint64_t ticks) {
  return {.phase = phase,
          .name = "r1",
          .pid = pid,
          .pid_start_ticks = ticks,
          .started_at = {},
          .port = 5433,
          .socket_directory = "",
          .target = "--to-latest",
          .plan = Json::object(),
          .expected = Json::object()};
}

}  // namespace

TEST_CASE("restored clusters: what the journal says is corrected by what is there") {
  const TemporaryDirectory directory;
  const RestoredLayout layout{directory.path() / "r1"};
  FileSystem& files = real_file_system();
  RestoreRow row;
  row.name = "r1";
  row.directory = layout.data.string();
  const auto seen = [&] { return std::string(name_of(as_it_is(files, row).state)); };
  // Killed before it made its directory.
  CHECK(seen() == "failed");
  CHECK(as_it_is(files, row).error == "the restore's process ended before the restore did");

  REQUIRE(files.create_directories(layout.data));
  const std::uint64_t ticks = process_start_ticks(::getpid()).value();
  REQUIRE(write_marker(files, layout, marker(RestorePhase::recovering, ::getpid(), ticks)));
  CHECK(seen() == "running");
  // The pid is another process's by now.
  REQUIRE(write_marker(files, layout, marker(RestorePhase::recovering, ::getpid(), ticks + 1)));
  CHECK(seen() == "failed");
  // Killed between the mark and the journal.
  REQUIRE(write_marker(files, layout, marker(RestorePhase::complete, ::getpid(), ticks + 1)));
  CHECK(seen() == "complete");
  REQUIRE(write_marker(files, layout, marker(RestorePhase::paused, ::getpid(), ticks + 1)));
  CHECK(seen() == "paused");
  CHECK(as_it_is(files, row).error.empty());
  // Another cluster stands there now.
  row.name = "older";
  CHECK(seen() == "failed");
  row.state = RestoreState::removed;
  CHECK(seen() == "removed");
}

TEST_CASE(
    "restored clusters: nothing without our mark is touched, nothing that a restore works on is removed") {
  const TemporaryDirectory directory;
  const RestoredLayout layout{directory.path() / "r1"};
  FileSystem& files = real_file_system();
  REQUIRE(files.create_directories(layout.data / "base"));
  class : public Clock {
   public:
    [[nodiscard]] Timestamp now() const override { return {}; }
    [[nodiscard]] std::int64_t monotonic_us() const override { return 0; }
  } clock;
  const ClusterSetup setup{files, clock, {}, {}, {}};
  CHECK(cluster_condition(files, layout.data) == ClusterCondition::absent);
  const Status unmarked = remove_cluster(setup, layout.data);
  REQUIRE_FALSE(unmarked);
  CHECK(unmarked.error() == Error{ErrorKind::not_found,
                                  "'" + layout.data.string() + "' holds no restored cluster",
                                  "`walback clusters` lists them."});
  REQUIRE(write_marker(files, layout, marker(RestorePhase::recovering, 0, 0)));
  {
    const auto lock = FileLock::take_directory(layout.data, "a restore");
    REQUIRE(lock);
    const Status busy = remove_cluster(setup, layout.data);
    REQUIRE_FALSE(busy);
    CHECK(busy.error().kind == ErrorKind::conflict);
    CHECK(exists(files, layout.data / "base"));
  }
  CHECK(cluster_condition(files, layout.data) == ClusterCondition::stopped);
  const auto started = start_cluster(setup, layout.data, {});
  REQUIRE_FALSE(started);
  CHECK(started.error() == Error{ErrorKind::conflict, "the restore of 'r1' did not end (phase recovering)",
                                 "Restore again into the same directory: it is wiped and begun anew."});
  CHECK(remove_cluster(setup, layout.data));
  CHECK_FALSE(exists(files, layout.data));
}
