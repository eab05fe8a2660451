#include "pg/binaries.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "os/system.h"

using namespace walback;

namespace {

/// A tree of programs that are shell scripts which know their version.
class FakeTree {
 public:
  FakeTree() : root_(*make_temporary_directory("walback-binaries")) {}
  ~FakeTree() { static_cast<void>(real_file_system().remove_tree(root_)); }
  FakeTree(const FakeTree&) = delete;
  FakeTree& operator=(const FakeTree&) = delete;

  Path add(const std::string& directory, const std::string& program, const std::string& answer) {
    const Path path = root_ / directory / program;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << "#!/bin/sh\necho '" << answer << "'\n";
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }
  void add_both(const std::string& directory, const std::string& version) {
    add(directory, "postgres", "postgres (PostgreSQL) " + version);
    add(directory, "pg_ctl", "pg_ctl (PostgreSQL) " + version);
  }
  [[nodiscard]] const Path& root() const { return root_; }
  [[nodiscard]] BinarySearch search() const {
    BinarySearch search;
    search.debian_root = root_ / "debian";
    search.path = (root_ / "bin").string();
    return search;
  }

 private:
  Path root_;
};

}  // namespace

TEST_CASE("binaries: a version is read from what each program prints") {
  CHECK(parse_program_version("pg_ctl (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)\n") ==
        ProgramVersion{15, 20});
  CHECK(parse_program_version("postgres (PostgreSQL) 18beta1") == ProgramVersion{18, 0});
  CHECK(parse_program_version("postgres (PostgreSQL) 17devel") == ProgramVersion{17, 0});
  CHECK_FALSE(parse_program_version("psql 15.20"));
  CHECK_FALSE(parse_program_version("postgres (PostgreSQL) "));
  CHECK_FALSE(parse_program_version("postgres (PostgreSQL) 15."));
  CHECK_FALSE(parse_program_version(""));
}

TEST_CASE("binaries: the newest Debian directory, or the wanted one") {
  FakeTree tree;
  tree.add_both("debian/9.6/bin", "9.6");
  tree.add_both("debian/15/bin", "15.20");
  tree.add_both("debian/17/bin", "17.11");
  auto found = find_binaries(tree.search());
  REQUIRE_MESSAGE(found, found.error().message);
  CHECK(found->directory == tree.root() / "debian/17/bin");
  CHECK(found->major == 17);
  CHECK(found->minor == 11);
  BinarySearch search = tree.search();
  search.wanted_major = 15;
  found = find_binaries(search);
  REQUIRE(found);
  CHECK(found->program("pg_receivewal") == tree.root() / "debian/15/bin/pg_receivewal");
}

TEST_CASE("binaries: pg_config comes before the directories of PATH") {
  FakeTree tree;
  tree.add_both("bin", "14.1");
  tree.add_both("opt/bin", "16.2");
  auto found = find_binaries(tree.search());
  REQUIRE(found);
  CHECK(found->major == 14);
  tree.add("bin", "pg_config", (tree.root() / "opt/bin").string());
  found = find_binaries(tree.search());
  REQUIRE(found);
  CHECK(found->major == 16);
}

TEST_CASE("binaries: where nothing fits, each place is named with what is wrong there") {
  FakeTree tree;
  tree.add_both("debian/15/bin", "15.20");
  tree.add("debian/16/bin", "postgres", "postgres (PostgreSQL) 16.2");
  tree.add("bin", "postgres", "hello");
  tree.add("bin", "pg_ctl", "hello");
  BinarySearch search = tree.search();
  search.wanted_major = 18;
  const auto found = find_binaries(search);
  REQUIRE_FALSE(found);
  const std::string root = tree.root().string();
  CHECK(found.error() ==
        Error{ErrorKind::not_found,
              "the programs of PostgreSQL 18 were not found in " + root + "/debian/16/bin (no pg_ctl), " +
                  root + "/debian/15/bin (version 15), " + root + "/bin ('" + root +
                  "/bin/postgres --version' gave 'hello', expected a version of PostgreSQL)",
              "Install them (on Debian: the package postgresql or postgresql-<major>), or name their "
              "directory as "
              "postgres.bin in walback.yaml."});
}

TEST_CASE("binaries: a configured directory is the only place") {
  FakeTree tree;
  tree.add_both("debian/15/bin", "15.20");
  BinarySearch search = tree.search();
  search.configured = tree.root() / "nowhere";
  const auto found = find_binaries(search);
  REQUIRE_FALSE(found);
  CHECK(found.error().message ==
        "the programs of PostgreSQL were not found in " + tree.root().string() + "/nowhere (no postgres)");
}

TEST_CASE("binaries: the settings a server knows are named in lower case, as they are looked up") {
  const auto binaries = find_binaries(BinarySearch{});
  REQUIRE(binaries);
  const auto known = known_settings(*binaries);
  REQUIRE(known);
  for (const char* name : {"datestyle", "intervalstyle", "timezone", "shared_buffers"}) {
    CAPTURE(name);
    CHECK(known->contains(name));
  }
  CHECK_FALSE(known->contains("DateStyle"));
  CHECK_FALSE(known->contains("output_plugins"));
}
