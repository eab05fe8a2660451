#include "archive/verify_wal.h"

#include <algorithm>

#include "archive/verified_memory.h"
#include "catalog/journal.h"
#include "catalog/verified_journal.h"
#include "intake_lab.h"

using namespace walback;
using namespace walback::test;

namespace {

struct SilentProgress : Progress {
  void report(const ProgressState& state) override { last = state; }
  void finish() override {}
  ProgressState last;
};

/// Segments 1 to 3 finished and 4 open, taken in.
struct VerifyLab : IntakeLab {
  VerifyLab() {
    write_commits_into(wal, 4);
    capture(wal);
    pass();
  }
  Result<WalVerification> run(std::stop_token stop = {}) {
    const VerifyWalSetup setup{archive, [this]() -> Status {
                                 pass();
                                 return {};
                               }};
    return verify_wal(setup, catalog, require(verified_from(catalog)), progress, std::move(stop));
  }
  WalVerification verify() { return require(run()); }
  [[nodiscard]] std::vector<std::string> journal_kinds() {
    std::vector<std::string> kinds;
    for (const JournalEntry& entry : require(read_journal(files, archive.layout.journal())).entries)
      kinds.push_back(entry.kind);
    return kinds;
  }
  /// As a disk does it: the bytes change, and nothing tells. The file system's clock ticks with each write,
  /// so the row is told the file's new time.
  void rot(SegmentName name, std::uint64_t offset) {
    damage(name, offset);
    SegmentRow changed = *require(catalog.segment_with_ends(name, 1));
    changed.mtime_ns = require(files.stat(path(name))).mtime_ns;
    require(catalog.put_segment(changed));
  }

  WalBuilder wal;
  SilentProgress progress;
};

}  // namespace

TEST_CASE("verify WAL: everything is read once, then remembered; what is new is read") {
  VerifyLab lab;
  const WalVerification first = lab.verify();
  CHECK(first.findings.empty());
  CHECK(first.segments_read == 4);
  CHECK(first.segments_remembered == 0);
  CHECK(first.read_bytes >= 3 * lab.archive.identity.segment_size.bytes());
  CHECK(lab.progress.last.done == lab.progress.last.total);
  // Three finished segments are one line, and the `.partial` is no line.
  CHECK(lab.journal_kinds() == std::vector<std::string>{"verified_wal"});
  const WalVerification second = lab.verify();
  CHECK(second.segments_read == 1);
  CHECK(second.segments_remembered == 3);
  CHECK(second.oldest_look == first.oldest_look);

  write_commits_into(lab.wal, 5, 900);
  lab.finish(lab.wal, segment(4));
  lab.grow(lab.wal, segment(5));
  const WalVerification third = lab.verify();
  CHECK(third.findings.empty());
  CHECK(third.segments_read == 2);
  CHECK(third.segments_remembered == 3);
}

TEST_CASE("verify WAL: begun anew, nothing is remembered") {
  VerifyLab lab;
  lab.verify();
  lab.clock.advance(std::chrono::seconds(10));
  require(begin_verifying_all(lab.files, lab.archive.layout, lab.catalog, lab.clock.now()));
  lab.clock.advance(std::chrono::seconds(1));
  CHECK(lab.verify().segments_remembered == 0);
  CHECK(lab.verify().segments_remembered == 3);
}

TEST_CASE("verify WAL: a catalog that was built anew remembers through the journal") {
  VerifyLab lab;
  lab.verify();
  Catalog rebuilt = require(Catalog::open(":memory:"));
  require(replay_journal(rebuilt, require(read_journal(lab.files, lab.archive.layout.journal())).entries));
  CHECK(require(rebuilt.verified_runs()) == require(lab.catalog.verified_runs()));
  CHECK(require(rebuilt.verified_runs()).size() == 1);
}

TEST_CASE("verify WAL: rot that no time betrays is found, named, and marks the segment until it is mended") {
  VerifyLab lab;
  lab.rot(segment(2), 400'000);
  const std::string rotten = require(lab.files.read(lab.path(segment(2))));
  const WalVerification found = lab.verify();
  REQUIRE(found.findings.size() == 1);
  CHECK(found.findings[0].kind == WalFinding::Kind::damaged);
  CHECK(found.findings[0].subject == lab.path(segment(2)).string());
  CHECK(found.findings[0].text.starts_with("damaged at 0/2"));
  REQUIRE(found.findings[0].lost);
  CHECK(to_string(found.findings[0].lost->from) ==
        found.findings[0].text.substr(11, 9).substr(0, to_string(found.findings[0].lost->from).size()));
  CHECK(lab.row(segment(2)).problem.starts_with("unreadable: damaged at 0/2"));
  // Its neighbours are remembered, it is not; the intake makes the mark precise, and the finding stays.
  const WalVerification again = lab.verify();
  CHECK(again.segments_remembered == 2);
  CHECK(again.findings.size() == 1);
  CHECK(lab.row(segment(2)).problem.starts_with("damaged at 0/2"));

  lab.finish(lab.wal, segment(2));
  lab.restart();
  const WalVerification healed = lab.verify();
  CHECK(healed.findings.empty());
  CHECK(lab.row(segment(2)).problem == "");
}

TEST_CASE("verify WAL: bytes that no record covers are held against the checksum of the file") {
  VerifyLab lab;
  // Behind a segment switch there are zeroes to the segment's end, which no record's checksum covers.
  lab.wal.switch_segment();
  write_commits_into(lab.wal, 6, 900);
  lab.capture(lab.wal);
  lab.pass();
  const std::uint64_t last = lab.archive.identity.segment_size.bytes() - 100;
  lab.rot(segment(4), last);
  const WalVerification found = lab.verify();
  REQUIRE(found.findings.size() == 1);
  CHECK(found.findings[0].text.find("every record in it is valid") != std::string::npos);
}

TEST_CASE("verify WAL: what is gone, what nobody indexed, names that are none of ours") {
  VerifyLab lab;
  lab.verify();
  require(lab.files.remove(lab.path(segment(2))));
  require(lab.files.write(lab.archive.layout.epoch(1) / "notes.txt", "hello"));
  require(lab.files.write(lab.path(segment(1), true), "left over"));
  const WalVerification found = lab.verify();
  std::vector<std::string> texts;
  for (const WalFinding& finding : found.findings)
    texts.push_back(Path(finding.subject).filename().string() + " " + finding.text);
  CHECK(texts ==
        std::vector<std::string>{
            "notes.txt pg_receivewal does not write such a name",
            "000000010000000000000001.partial lies beside its finished segment, which is the one that is "
            "used",
            "000000010000000000000002 was captured and is gone"});
  CHECK(lab.row(segment(2)).problem.starts_with("missing: "));
}

TEST_CASE("verify WAL: what lies in an accepted gap is told, and is no alarm") {
  VerifyLab lab;
  require(lab.files.remove(lab.path(segment(2))));
  CHECK(lab.verify().findings.at(0).kind == WalFinding::Kind::missing);
  REQUIRE(lab.gaps().size() == 1);
  require(record_accepted_gap(lab.files, lab.archive.layout, lab.catalog, at(0), lab.gaps().front()));
  const WalVerification accepted = lab.verify();
  REQUIRE(accepted.findings.size() == 1);
  CHECK(accepted.findings[0].kind == WalFinding::Kind::accepted);
  CHECK(accepted.findings[0].text == "was captured and is gone; the gap was accepted");
}

TEST_CASE("verify WAL: interrupted, it goes on from there") {
  VerifyLab lab;
  std::stop_source stop;
  stop.request_stop();
  const auto interrupted = lab.run(stop.get_token());
  REQUIRE(!interrupted);
  CHECK(interrupted.error().kind == ErrorKind::interrupted);
  CHECK(lab.verify().segments_read == 4);
}

TEST_CASE("verify WAL: one changed segment costs its run, no more") {
  VerifyLab lab;
  VerifiedMemory memory(lab.archive, lab.catalog, {});
  std::vector<SegmentRow> rows;
  for (std::uint64_t number = 100; number < 300; ++number) {
    SegmentRow row = lab.row(segment(1));
    row.name = segment(number);
    row.ends.clear();
    rows.push_back(row);
    require(memory.add(row, at(0)));
  }
  require(memory.flush());
  const auto runs = require(lab.catalog.verified_runs());
  CHECK(runs.size() == 4);
  CHECK(runs.front().last.value - runs.front().first.value + 1 == kSegmentsPerVerifiedRun);
  VerifiedMemory later(lab.archive, lab.catalog, {});
  require(later.load());
  std::vector<std::optional<Timestamp>> verified;
  rows[70].file_crc32c = *rows[70].file_crc32c ^ 1U;
  later.mark(rows, verified);
  CHECK(std::ranges::count_if(verified, [](const auto& at) { return !at; }) == kSegmentsPerVerifiedRun);
  CHECK(!verified[70]);
}
