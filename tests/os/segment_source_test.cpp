#include "os/segment_source.h"

#include <doctest/doctest.h>

#include <map>

#include "support/temporary_directory.h"
#include "wal/reading.h"

using namespace walback;
using namespace walback::test;

namespace {

struct Archive {
  TemporaryDirectory directory;
  std::map<SegmentNumber, Path> files;

  void add(SegmentNumber number, const std::string& name, const std::string& bytes) {
    files[number] = directory.path() / name;
    REQUIRE(real_file_system().write(files[number], bytes).has_value());
  }
  SegmentSource source(SegmentSize size) {
    return {real_file_system(), size, [this](SegmentNumber number) -> Result<std::optional<Path>> {
              const auto found = files.find(number);
              return found == files.end() ? std::nullopt : std::optional(found->second);
            }};
  }
};

}  // namespace

TEST_CASE("segment source: finished segments, a short file and a .partial are read as one stream") {
  WalBuilder wal;
  std::uint32_t xid = 1;
  while (wal.next_lsn() < Lsn{0x380000}) {
    wal.filler(40'000);
    wal.commit({.xid = xid++, .time = at_second(xid)});
  }
  Archive archive;
  archive.add({1}, "000000010000000000000001", wal.segment(SegmentNumber{1}));
  archive.add({2}, "000000010000000000000002", wal.segment(SegmentNumber{2}));
  archive.add({3}, "000000010000000000000003.partial", wal.segment(SegmentNumber{3}));
  const auto expected = read_all(wal);
  auto files = archive.source(wal.size());
  const auto reading = read_all(files, options_for(wal), ReadFrom::boundary({0x100000}));
  CHECK(reading.ends == expected.ends);
  CHECK(reading.stop == expected.stop);

  // Cut off while it is open, then gone.
  archive.add({2}, "000000010000000000000002", wal.segment(SegmentNumber{2}).substr(0, 500'000));
  auto cut = archive.source(wal.size());
  const auto ended = read_all(cut, options_for(wal), ReadFrom::boundary({0x100000}));
  CHECK(ended.stop.kind == StopKind::end_of_bytes);
  CHECK(ended.stop.reason.starts_with("the bytes end at 0/27A120, inside the record at 0/2"));
  REQUIRE(real_file_system().remove(archive.files.at({2})).has_value());
  auto gone = archive.source(wal.size());
  CHECK(gone.bytes_from({0x200000}).error().kind == ErrorKind::not_found);
  CHECK(gone.bytes_from({0x500000})->empty());
  CHECK(gone.bytes_from({0x180000})->size() > 0);
}

TEST_CASE("segment source: a file longer than its segment has no more bytes than the segment") {
  WalBuilder wal;
  wal.commit({.xid = 1, .time = at_second(1)});
  Archive archive;
  archive.add({1}, "long", wal.segment(SegmentNumber{1}) + std::string(100'000, 'x'));
  auto files = archive.source(wal.size());
  CHECK(files.bytes_from({0x1FE000})->size() == kPageSize);
}

TEST_CASE("segment source: what cannot be read is an error with the path, never an end") {
  TemporaryDirectory directory;
  SegmentSource files(real_file_system(), *SegmentSize::from_bytes(1U << 20),
                      [&](SegmentNumber) { return directory.path(); });
  const auto bytes = files.bytes_from({0x100000});
  REQUIRE_FALSE(bytes.has_value());
  CHECK(bytes.error().message == "cannot read '" + directory.path().string() + "': is a directory");
}
