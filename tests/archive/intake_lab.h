#pragma once
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "archive/intake.h"
#include "catalog/archive.h"
#include "support/fake_clock.h"
#include "support/memory_file_system.h"
#include "support/recording_log.h"
#include "support/wal_builder.h"

/// An archive in memory that a WalBuilder fills, and an intake over it that may be restarted.
namespace walback::test {

inline Timestamp at(std::int64_t seconds) {
  return {1'795'168'000'000'000 + seconds * 1'000'000};
}

template <class T>
T require(Result<T> result) {
  if (!result) FAIL(render(result.error()));
  return std::move(*result);
}
inline void require(const Status& status) {
  if (!status) FAIL(render(status.error()));
}

struct IntakeLab {
  explicit IntakeLab(std::uint64_t segment_bytes = WalBuilderOptions{}.segment_bytes)
      : archive{ArchiveLayout{"/archive"}, identity(segment_bytes), "/unused", files, clock, log},
        catalog(require(Catalog::open(":memory:"))) {
    require(create_archive(files, archive.layout, archive.identity));
    require(files.create_directories(archive.layout.epoch(1)));
    restart();
  }
  static ArchiveIdentity identity(std::uint64_t segment_bytes = WalBuilderOptions{}.segment_bytes) {
    return {WalBuilderOptions{}.system_identifier, *SegmentSize::from_bytes(segment_bytes)};
  }

  /// The manager died and starts again: nothing is kept but the catalog.
  void restart() { intake = std::make_unique<Intake>(archive, catalog); }
  IntakeReport pass(Scan scan = Scan::all) { return require(intake->pass(scan)); }

  [[nodiscard]] Path path(SegmentName name, bool partial = false, std::uint32_t epoch = 1) const {
    return segment_file(archive.layout, epoch, name, partial, archive.identity.segment_size).path;
  }
  void finish(const WalBuilder& wal, SegmentName name, std::uint32_t epoch = 1) {
    if (exists(files, path(name, true, epoch))) require(files.remove(path(name, true, epoch)));
    require(files.write(path(name, false, epoch), wal.segment(name)));
  }
  void grow(const WalBuilder& wal, SegmentName name) {
    require(files.write(path(name, true), wal.segment(name)));
  }
  /// As pg_receivewal leaves it: all finished but the one in which the next record begins.
  void capture(const WalBuilder& wal) {
    for (const SegmentName name : wal.segments()) {
      const bool open =
          name.timeline == wal.timeline() && name.number == segment_of(wal.next_lsn(), wal.size());
      if (open)
        grow(wal, name);
      else
        finish(wal, name);
    }
  }
  void damage(SegmentName name, std::uint64_t offset, bool partial = false) {
    std::string bytes = require(files.read(path(name, partial)));
    bytes.at(offset) = static_cast<char>(bytes.at(offset) ^ 0x5A);
    require(files.write(path(name, partial), bytes));
  }

  [[nodiscard]] SegmentRow row(SegmentName name) const {
    const auto found = require(catalog.segment(name));
    REQUIRE(found);
    return *found;
  }
  [[nodiscard]] std::vector<std::uint32_t> xids(TimelineId timeline = {1}) const {
    std::vector<std::uint32_t> xids;
    require(catalog.each_end({timeline, {}, {UINT64_MAX}}, [&](const TransactionEnd& end) {
      xids.push_back(end.xid);
      return true;
    }));
    return xids;
  }
  [[nodiscard]] std::vector<GapRow> gaps() const { return require(catalog.gaps()); }

  MemoryFileSystem files;
  FakeClock clock;
  RecordingLog log;
  ArchiveContext archive;
  Catalog catalog;
  std::unique_ptr<Intake> intake;
};

inline SegmentName segment(std::uint64_t number, std::uint32_t timeline = 1) {
  return {{timeline}, {number}};
}

/// Commits 100, 101, … until segment `last` has begun and holds a few; fillers keep it short.
inline std::vector<std::uint32_t> write_commits_into(WalBuilder& wal, std::uint64_t last,
                                                     std::uint32_t xid = 100) {
  std::vector<std::uint32_t> xids;
  const Lsn stop = start_of({last}, wal.size()) + 100'000;
  while (wal.next_lsn() < stop) {
    wal.commit({.xid = xid, .time = at(xid)});
    wal.filler(50'016);
    xids.push_back(xid++);
  }
  return xids;
}

}  // namespace walback::test
