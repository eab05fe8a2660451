#include "archive/watermark.h"

#include <doctest/doctest.h>

#include "catalog/journal.h"
#include "intake_lab.h"

using namespace walback;
using namespace walback::test;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

using Outcome = WatermarkKeeper::Outcome;

/// An archive whose index ends behind one commit stamped at second 100.
struct KeeperLab : IntakeLab {
  KeeperLab() {
    wal.commit({.xid = 700, .time = at(100)});
    index();
  }
  void index() {
    grow(wal, segment(1));
    pass();
  }
  Outcome offer(Lsn lsn, Timestamp time) {
    keeper.offer({{1}, lsn, time});
    return require(keeper.settle(catalog));
  }
  [[nodiscard]] std::size_t journal_lines() {
    return require(read_journal(files, archive.layout.journal())).entries.size();
  }

  WalBuilder wal;
  WatermarkKeeper keeper{archive, seconds(5)};
};

}  // namespace

TEST_CASE("watermark: covered is what no record byte can separate from the index's end") {
  const SegmentSize size = *SegmentSize::from_bytes(16U << 20);
  CHECK(covers({0xE000000}, {0xE000028}, size));  // as after pg_switch_wal on an idle server
  CHECK(covers({0xE000028}, {0xE000000}, size));
  CHECK(covers({0xE002000}, {0xE002018}, size));
  CHECK(covers({0xE000030}, {0xE000028}, size));
  CHECK_FALSE(covers({0xE000000}, {0xE000030}, size));
  CHECK_FALSE(covers({0xE001FF8}, {0xE002018}, size));
}

TEST_CASE("watermark: it waits until the archive holds L, then stands in journal and catalog") {
  KeeperLab lab;
  const Lsn before = lab.wal.end_lsn();
  const WrittenRecord filler = lab.wal.filler(64);
  CHECK(lab.offer(filler.end_lsn, at(200)) == Outcome::waiting);
  CHECK(lab.journal_lines() == 0);
  lab.index();
  CHECK(require(lab.keeper.settle(lab.catalog)) == Outcome::stored);
  CHECK_FALSE(lab.keeper.waiting());
  CHECK(lab.journal_lines() == 1);
  const auto stored = require(lab.catalog.newest_watermark({1}));
  REQUIRE(stored);
  CHECK(stored->lsn == filler.end_lsn);
  CHECK(stored->lsn > before);
  CHECK(stored->time == at(200));
}

TEST_CASE("watermark: what is never covered is dropped after a bound, and said") {
  KeeperLab lab;
  CHECK(lab.offer(lab.wal.end_lsn() + 4096, at(200)) == Outcome::waiting);
  lab.clock.advance(kCoverTimeout);
  CHECK(require(lab.keeper.settle(lab.catalog)) == Outcome::expired);
  CHECK(lab.log.count("WARN archive watermark_not_covered") == 1);
  CHECK(require(lab.keeper.settle(lab.catalog)) == Outcome::nothing);
}

TEST_CASE("watermark: one that a later captured end answers for costs no journal line") {
  KeeperLab lab;
  const Lsn l = lab.wal.end_lsn();
  lab.wal.commit({.xid = 701, .time = at(201)});
  lab.index();
  CHECK(lab.offer(l, at(200)) == Outcome::overtaken);
  CHECK(lab.journal_lines() == 0);
  CHECK(lab.keeper.newest_covered()->time == at(200));
}

TEST_CASE("watermark: a counter-example in the index refuses it") {
  KeeperLab lab;
  const Lsn l = lab.wal.end_lsn();
  lab.wal.commit({.xid = 701, .time = at(150)});
  lab.index();
  CHECK(lab.offer(l, at(200)) == Outcome::refused);
  CHECK(lab.log.count("WARN archive watermark_contradicted") == 1);
  CHECK(lab.journal_lines() == 0);
  CHECK_FALSE(require(lab.catalog.newest_watermark({1})));
}

TEST_CASE(
    "watermark: an idle database costs the journal a line every half minute, a written one every interval") {
  KeeperLab lab;
  const Lsn l = lab.wal.end_lsn();
  CHECK(lab.offer(l, at(200)) == Outcome::stored);
  lab.clock.advance(seconds(5));
  CHECK(lab.offer(l, at(205)) == Outcome::too_soon);
  lab.clock.advance(seconds(24));
  CHECK(lab.offer(l, at(229)) == Outcome::too_soon);
  lab.clock.advance(seconds(1));
  CHECK(lab.offer(l, at(230)) == Outcome::stored);

  const WrittenRecord filler = lab.wal.filler(64);
  lab.index();
  lab.clock.advance(seconds(4));
  CHECK(lab.offer(filler.end_lsn, at(234)) == Outcome::too_soon);
  lab.clock.advance(seconds(1));
  CHECK(lab.offer(filler.end_lsn, at(235)) == Outcome::stored);
  CHECK(lab.journal_lines() == 3);

  // A restarted manager knows from the catalog what was stored.
  WatermarkKeeper restarted(lab.archive, seconds(5));
  restarted.offer({{1}, filler.end_lsn, at(240)});
  CHECK(require(restarted.settle(lab.catalog)) == Outcome::too_soon);
}

TEST_CASE("watermark: a clock that was set back is said once, and the watermark stored all the same") {
  KeeperLab lab;
  CHECK(lab.offer(lab.wal.end_lsn(), at(500)) == Outcome::stored);
  for (int round = 1; round <= 2; ++round) {
    const WrittenRecord filler = lab.wal.filler(64);
    lab.index();
    lab.clock.advance(seconds(10));
    CHECK(lab.offer(filler.end_lsn, at(200 + round)) == Outcome::stored);
  }
  CHECK(lab.log.count("WARN archive watermark_time_went_back") == 1);
  CHECK(require(lab.catalog.newest_watermark({1}))->time == at(202));
}

TEST_CASE("watermark: intervals and bounds are those of a clock that nobody sets") {
  KeeperLab lab;
  const Lsn l = lab.wal.end_lsn();
  const WrittenRecord filler = lab.wal.filler(64);
  lab.index();
  CHECK(lab.offer(l, at(200)) == Outcome::stored);
  lab.clock.set({lab.clock.now().unix_us + 3'600'000'000});
  CHECK(lab.offer(filler.end_lsn, at(204)) == Outcome::too_soon);
  lab.clock.set({lab.clock.now().unix_us - 7'200'000'000});
  lab.clock.advance(seconds(5));
  CHECK(lab.offer(filler.end_lsn, at(205)) == Outcome::stored);

  CHECK(lab.offer(filler.end_lsn + 4096, at(300)) == Outcome::waiting);
  lab.clock.set({lab.clock.now().unix_us + 3'600'000'000});
  CHECK(require(lab.keeper.settle(lab.catalog)) == Outcome::waiting);
  lab.clock.set({lab.clock.now().unix_us - 3'600'000'000});
  lab.clock.advance(kCoverTimeout);
  CHECK(require(lab.keeper.settle(lab.catalog)) == Outcome::expired);
}

TEST_CASE("watermark: a failing journal leaves it waiting") {
  KeeperLab lab;
  lab.files.set_capacity(0);
  lab.keeper.offer({{1}, lab.wal.end_lsn(), at(200)});
  const auto failed = lab.keeper.settle(lab.catalog);
  REQUIRE_FALSE(failed);
  CHECK(failed.error().kind == ErrorKind::disk_full);
  CHECK_FALSE(require(lab.catalog.newest_watermark({1})));
  lab.files.set_capacity(1U << 30);
  CHECK(require(lab.keeper.settle(lab.catalog)) == Outcome::stored);
}
