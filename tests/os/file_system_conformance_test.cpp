/// What every FileSystem does alike, the real one and the one in memory: one suite, run over both, so that a
/// test with the double says something about the disk. Error texts are compared whole.
#include <doctest/doctest.h>

#include <functional>

#include "support/memory_file_system.h"
#include "support/temporary_directory.h"

using namespace walback;

namespace {

void on_each(const std::function<void(FileSystem&, const Path&)>& test) {
  SUBCASE("real") {
    const TemporaryDirectory directory;
    test(real_file_system(), directory.path());
  }
  SUBCASE("memory") {
    MemoryFileSystem files;
    REQUIRE(files.create_directories("/tmp/root"));
    test(files, "/tmp/root");
  }
}

template <class T>
void check_error(const Result<T>& result, ErrorKind kind, const std::string& message) {
  REQUIRE_FALSE(result.has_value());
  CHECK(result.error().kind == kind);
  CHECK(result.error().message == message);
}

std::string quoted(const Path& path) {
  return "'" + path.string() + "'";
}

}  // namespace

TEST_CASE("file system: what was written is read, whole and in parts") {
  on_each([](FileSystem& files, const Path& root) {
    const Path file = root / "000000010000000000000001";
    REQUIRE(files.write(file, "0123456789"));
    CHECK(files.read(file) == "0123456789");
    std::array<char, 4> buffer{};
    CHECK(files.read_at(file, 4, buffer) == 4U);
    CHECK(std::string(buffer.data(), 4) == "4567");
    CHECK(files.read_at(file, 8, buffer) == 2U);
    CHECK(files.read_at(file, 10, buffer) == 0U);
    CHECK(files.read_at(file, 1000, buffer) == 0U);
    REQUIRE(files.write(file, "new"));
    CHECK(files.read(file) == "new");
    CHECK(exists(files, file));
    CHECK_FALSE(exists(files, root / "other"));
    CHECK(files.read(file, 3) == "new");
    check_error(files.read(file, 2), ErrorKind::corrupt,
                quoted(file) + " is larger than 2 B, the most that it can sensibly be");
  });
}

TEST_CASE("file system: stat tells kind, size, mode and identity, of the link itself") {
  on_each([](FileSystem& files, const Path& root) {
    REQUIRE(files.write(root / "file", "abc"));
    REQUIRE(files.create_directories(root / "directory"));
    REQUIRE(files.create_symlink("file", root / "link"));
    const auto file = files.stat(root / "file");
    REQUIRE(file.has_value());
    CHECK(file->kind == FileKind::regular);
    CHECK(file->size_bytes == 3);
    CHECK(file->mode == 0600);
    CHECK(files.stat(root / "directory")->kind == FileKind::directory);
    CHECK(files.stat(root / "directory")->mode == 0700);
    CHECK(files.stat(root / "link")->kind == FileKind::symlink);
    CHECK(files.stat(root / "link")->inode != file->inode);
    REQUIRE(files.rename(root / "file", root / "renamed"));
    CHECK(files.stat(root / "renamed")->inode == file->inode);
    REQUIRE(files.set_mode(root / "renamed", 0640));
    CHECK(files.stat(root / "renamed")->mode == 0640);
  });
}

TEST_CASE("file system: list is sorted, tells the kinds and follows no link in it") {
  on_each([](FileSystem& files, const Path& root) {
    REQUIRE(files.write(root / "b", ""));
    REQUIRE(files.write(root / ".a", ""));
    REQUIRE(files.create_directories(root / "c"));
    REQUIRE(files.create_symlink("c", root / "B"));
    const auto entries = files.list(root);
    REQUIRE(entries.has_value());
    REQUIRE(entries->size() == 4);
    CHECK((*entries)[0].name == ".a");
    CHECK((*entries)[1].name == "B");
    CHECK((*entries)[1].kind == FileKind::symlink);
    CHECK((*entries)[2].name == "b");
    CHECK((*entries)[2].kind == FileKind::regular);
    CHECK((*entries)[3].name == "c");
    CHECK((*entries)[3].kind == FileKind::directory);
    CHECK(files.list(root / "c")->empty());
  });
}

TEST_CASE("file system: directories are made with their parents, twice too, and not over a file") {
  on_each([](FileSystem& files, const Path& root) {
    REQUIRE(files.create_directories(root / "a/b/c"));
    REQUIRE(files.create_directories(root / "a/b/c"));
    CHECK(files.stat(root / "a/b/c")->kind == FileKind::directory);
    REQUIRE(files.write(root / "file", ""));
    check_error(files.create_directories(root / "file"), ErrorKind::conflict,
                "cannot create the directory " + quoted(root / "file") + ": file exists");
    check_error(files.create_directories(root / "file/below"), ErrorKind::internal,
                "cannot create the directory " + quoted(root / "file/below") + ": not a directory");
  });
}

TEST_CASE("file system: what is absent is not_found and named") {
  on_each([](FileSystem& files, const Path& root) {
    const Path gone = root / "gone";
    const std::string end = quoted(gone) + ": no such file or directory";
    check_error(files.stat(gone), ErrorKind::not_found, "cannot look at " + end);
    check_error(files.list(gone), ErrorKind::not_found, "cannot list " + end);
    check_error(files.read(gone), ErrorKind::not_found, "cannot open " + end);
    check_error(files.read_link(gone), ErrorKind::not_found, "cannot read the link " + end);
    check_error(files.remove(gone), ErrorKind::not_found, "cannot remove " + end);
    check_error(files.sync_file(gone), ErrorKind::not_found, "cannot open " + end);
    check_error(files.sync_directory(gone), ErrorKind::not_found, "cannot open " + end);
    check_error(files.copy_file(gone, root / "copy"), ErrorKind::not_found, "cannot open " + end);
    check_error(
        files.rename(gone, root / "to"), ErrorKind::not_found,
        "cannot rename " + quoted(gone) + " to " + quoted(root / "to") + ": no such file or directory");
    check_error(files.write(gone / "file", ""), ErrorKind::not_found,
                "cannot create " + quoted(gone / "file") + ": no such file or directory");
    check_error(files.space(gone), ErrorKind::not_found, "cannot ask for the free space of " + end);
    CHECK(files.remove_tree(gone));
    CHECK(files.remove_tree(gone / "below"));
  });
}

TEST_CASE("file system: append adds to the end, and creates") {
  on_each([](FileSystem& files, const Path& root) {
    REQUIRE(files.append_durably(root / "journal", "one\n"));
    REQUIRE(files.append_durably(root / "journal", "two\n"));
    CHECK(files.read(root / "journal") == "one\ntwo\n");
  });
}

TEST_CASE("file system: rename replaces a file, and not a directory that holds something") {
  on_each([](FileSystem& files, const Path& root) {
    REQUIRE(files.write(root / "old", "old"));
    REQUIRE(files.write(root / "new", "new"));
    REQUIRE(files.rename(root / "new", root / "old"));
    CHECK(files.read(root / "old") == "new");
    CHECK_FALSE(exists(files, root / "new"));
    REQUIRE(files.create_directories(root / "full/x"));
    REQUIRE(files.create_directories(root / "other"));
    check_error(
        files.rename(root / "other", root / "full"), ErrorKind::conflict,
        "cannot rename " + quoted(root / "other") + " to " + quoted(root / "full") + ": directory not empty");
  });
}

TEST_CASE(
    "file system: remove takes a file, a link, an empty directory; remove_tree everything, but not behind "
    "links") {
  on_each([](FileSystem& files, const Path& root) {
    REQUIRE(files.create_directories(root / "kept"));
    REQUIRE(files.write(root / "kept/file", "precious"));
    REQUIRE(files.create_directories(root / "tree/a/b"));
    REQUIRE(files.write(root / "tree/a/b/file", ""));
    REQUIRE(files.create_symlink(root / "kept", root / "tree/a/link"));
    check_error(files.remove(root / "tree"), ErrorKind::conflict,
                "cannot remove " + quoted(root / "tree") + ": directory not empty");
    REQUIRE(files.remove_tree(root / "tree"));
    CHECK_FALSE(exists(files, root / "tree"));
    CHECK(files.read(root / "kept/file") == "precious");
    REQUIRE(files.create_symlink(root / "kept", root / "link"));
    REQUIRE(files.remove_tree(root / "link"));
    CHECK(files.read(root / "kept/file") == "precious");
    REQUIRE(files.remove(root / "kept/file"));
    REQUIRE(files.remove(root / "kept"));
    CHECK(files.list(root)->empty());
  });
}

TEST_CASE("file system: links are read, and followed when a path leads through them") {
  on_each([](FileSystem& files, const Path& root) {
    REQUIRE(files.create_directories(root / "space"));
    REQUIRE(files.write(root / "space/file", "x"));
    REQUIRE(files.create_symlink(root / "space", root / "link"));
    CHECK(files.read_link(root / "link") == (root / "space").string());
    CHECK(files.read(root / "link/file") == "x");
    CHECK(files.list(root / "link")->size() == 1);
    check_error(files.create_symlink("x", root / "link"), ErrorKind::conflict,
                "cannot create the link " + quoted(root / "link") + ": file exists");
    check_error(files.read_link(root / "space/file"), ErrorKind::internal,
                "cannot read the link " + quoted(root / "space/file") + ": invalid argument");
  });
}

TEST_CASE("file system: a copy has content and mode, replaces the name and never writes through it") {
  on_each([](FileSystem& files, const Path& root) {
    REQUIRE(files.write(root / "from", std::string(300'000, 'x')));
    REQUIRE(files.set_mode(root / "from", 0640));
    REQUIRE(files.copy_file(root / "from", root / "to"));
    CHECK(files.read(root / "to") == std::string(300'000, 'x'));
    CHECK(files.stat(root / "to")->mode == 0640);
    CHECK(files.stat(root / "to")->inode != files.stat(root / "from")->inode);
    REQUIRE(files.write(root / "precious", "precious"));
    REQUIRE(files.create_symlink(root / "precious", root / "link"));
    REQUIRE(files.copy_file(root / "from", root / "link"));
    CHECK(files.stat(root / "link")->kind == FileKind::regular);
    CHECK(files.read(root / "precious") == "precious");
    REQUIRE(files.write(root / "from", ""));
    REQUIRE(files.copy_file(root / "from", root / "to"));
    CHECK(files.read(root / "to") == "");
    REQUIRE(files.write(root / "self", "self"));
    REQUIRE(files.copy_file(root / "self", root / "self"));
    CHECK(files.read(root / "self") == "self");
    CHECK(files.list(root)->size() == 5);
  });
}

TEST_CASE("file system: publish replaces whole and leaves nothing else behind") {
  on_each([](FileSystem& files, const Path& root) {
    REQUIRE(publish(files, root / "capture.status", "first"));
    REQUIRE(publish(files, root / "capture.status", "second"));
    CHECK(files.read(root / "capture.status") == "second");
    CHECK(files.list(root)->size() == 1);
    check_error(publish(files, root / "gone/status", "x"), ErrorKind::not_found,
                "cannot create " + quoted(root / "gone/status.tmp") + ": no such file or directory");
  });
}

TEST_CASE("file system: syncs and space answer") {
  on_each([](FileSystem& files, const Path& root) {
    REQUIRE(files.write(root / "file", "x"));
    CHECK(files.sync_file(root / "file"));
    CHECK(files.sync_directory(root));
    CHECK(files.sync_file_system(root / "file"));
    const auto space = files.space(root);
    REQUIRE(space.has_value());
    CHECK(space->available_bytes > 0);
    CHECK(space->total_bytes >= space->available_bytes);
    check_error(files.sync_directory(root / "file"), ErrorKind::internal,
                "cannot open " + quoted(root / "file") + ": not a directory");
  });
}

TEST_CASE("file system: copy_tree copies files, directories, links and modes, and skips what it is told") {
  on_each([](FileSystem& files, const Path& root) {
    std::uint64_t expected_bytes = 0;
    for (int i = 0; i < 40; ++i) {
      const Path directory = root / "from" / std::to_string(i % 5);
      REQUIRE(files.create_directories(directory));
      REQUIRE(
          files.write(directory / std::to_string(i), std::string(static_cast<std::size_t>(i) * 100, 'x')));
      expected_bytes += static_cast<std::uint64_t>(i) * 100;
    }
    REQUIRE(files.create_directories(root / "from/pg_wal/archive_status"));
    REQUIRE(files.write(root / "from/pg_wal/000000010000000000000001", "wal"));
    REQUIRE(files.create_symlink("/elsewhere", root / "from/link"));
    REQUIRE(files.set_mode(root / "from/1", 0500));
    REQUIRE(files.set_mode(root / "from/2/2", 0640));
    std::atomic<std::uint64_t> bytes = 0;
    REQUIRE(copy_tree(files, root / "from", root / "to",
                      {.threads = 4,
                       .on_bytes = [&](std::uint64_t size) { bytes += size; },
                       .skip = [](const Path& path) { return path == "pg_wal"; }}));
    CHECK(bytes == expected_bytes);
    for (int i = 0; i < 40; ++i) {
      CHECK(files.read(root / "to" / std::to_string(i % 5) / std::to_string(i)) ==
            std::string(static_cast<std::size_t>(i) * 100, 'x'));
    }
    CHECK(files.read_link(root / "to/link") == "/elsewhere");
    CHECK(files.stat(root / "to/1")->mode == 0500);
    CHECK(files.stat(root / "to/2/2")->mode == 0640);
    CHECK_FALSE(exists(files, root / "to/pg_wal"));
    REQUIRE(files.set_mode(root / "from/1", 0700));
    REQUIRE(files.set_mode(root / "to/1", 0700));
  });
}

TEST_CASE("file system: copy_tree stops when asked, and tells the first failure") {
  on_each([](FileSystem& files, const Path& root) {
    REQUIRE(files.create_directories(root / "from"));
    for (int i = 0; i < 10; ++i) REQUIRE(files.write(root / "from" / std::to_string(i), "x"));
    std::atomic<int> copied = 0;
    check_error(copy_tree(files, root / "from", root / "to",
                          {.threads = 1,
                           .on_bytes = [&](std::uint64_t) { ++copied; },
                           .stop = [&] { return copied == 3; }}),
                ErrorKind::interrupted,
                "the copy of " + quoted(root / "from") + " was stopped before its end");
    CHECK(copied == 3);
    check_error(copy_tree(files, root / "gone", root / "to2", {.threads = 2}), ErrorKind::not_found,
                "cannot look at " + quoted(root / "gone") + ": no such file or directory");
  });
}
