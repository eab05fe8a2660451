#include "restore/release_cluster.h"

#include <doctest/doctest.h>

#include "restore/marker.h"
#include "support/temporary_directory.h"

using namespace walback;

namespace {

struct Copy {
  explicit Copy(RestorePhase phase) {
    REQUIRE(files.create_directories(layout.own() / "socket"));
    REQUIRE(files.write(
        layout.data / "postgresql.conf",
        "port = '5433'\nlisten_addresses = '127.0.0.1'\nwork_mem = '64MB'\n"
        "unix_socket_directories = '/r/walback/socket'\nmax_logical_replication_workers = '0'\n"));
    REQUIRE(files.write(layout.data / "pg_hba.conf", "local all all trust\n"));
    REQUIRE(files.write(layout.proof(), "{}"));
    RestoreMarker marker;
    marker.phase = phase;
    marker.name = "copy";
    marker.socket_directory = layout.socket_directory().string();
    marker.plan = Json::object();
    marker.expected = Json::object();
    REQUIRE(write_marker(files, layout, marker));
  }
  FileSystem& files = real_file_system();
  TemporaryDirectory directory{};
  RestoredLayout layout{directory.path() / "r"};
};

}  // namespace

TEST_CASE("release: what kept the copy to itself goes, the mark last; the proof stays") {
  Copy copy(RestorePhase::complete);
  const Status released = release_cluster(copy.files, copy.layout.data);
  REQUIRE_MESSAGE(released, render(released.error()));
  CHECK(copy.files.read(copy.layout.data / "postgresql.conf").value() ==
        "# Written by walback for a restored cluster, which was then released: what kept it to itself is "
        "gone. What\n"
        "# was dropped of the primary's settings is listed in walback-proof.json.\n"
        "port = '5433'\nwork_mem = '64MB'\n");
  CHECK(copy.files.read(copy.layout.data / "pg_hba.conf").value() == released_cluster_hba());
  CHECK(!exists(copy.files, copy.layout.marker()));
  CHECK(!exists(copy.files, copy.layout.own()));
  CHECK(exists(copy.files, copy.layout.proof()));
  CHECK(released_cluster_hba().find("trust") == std::string::npos);
}

TEST_CASE("release: a paused one is refused, and so is what carries no mark") {
  Copy paused(RestorePhase::paused);
  CHECK(render(release_cluster(paused.files, paused.layout.data).error()) ==
        "walback: 'copy' is not a complete restored cluster (phase paused)\n"
        "hint: Open it first: walback clusters promote copy");
  CHECK(paused.files.read(paused.layout.data / "pg_hba.conf").value() == "local all all trust\n");
  CHECK(release_cluster(paused.files, paused.directory.path()).error().kind == ErrorKind::not_found);
}
