#include "catalog/journal.h"

#include <sys/wait.h>
#include <unistd.h>

#include "catalog_fixture.h"
#include "support/faulty_file_system.h"
#include "support/memory_file_system.h"
#include "support/temporary_directory.h"

namespace walback {
namespace {

using namespace catalog_test;

const ArchiveLayout kLayout{"/srv/archive"};

MemoryFileSystem& prepared(MemoryFileSystem& files) {
  value(files.create_directories(kLayout.root));
  files.settle();
  return files;
}

WatermarkRow watermark(std::uint64_t lsn, std::int64_t offset_us) {
  return {{1}, {lsn}, at(offset_us)};
}
RestoreRow restore_row() {
  return {"before-drop",
          "/srv/restored/before drop",
          5433,
          RestoreState::complete,
          at(0),
          at(42),
          "--to-time 2026-11-20T12:00:00Z --before",
          R"({"timeline":1,"stop":"0/3000060"})",
          R"({"verdict":"as planned"})",
          ""};
}
void append(FileSystem& files, const WatermarkRow& row) {
  value(append_journal(files, kLayout.journal(), journal_entry(row.time, row)));
}
std::vector<std::uint64_t> watermarks_in(const JournalContent& content) {
  std::vector<std::uint64_t> found;
  for (const JournalEntry& entry : content.entries) found.push_back(value(watermark_of(entry)).lsn.value);
  return found;
}
JournalContent content_of(FileSystem& files) {
  return value(read_journal(files, kLayout.journal()));
}
using Lsns = std::vector<std::uint64_t>;

TEST_CASE("journal: a watermark's line, word for word") {
  MemoryFileSystem disk;
  append(prepared(disk), watermark(0x3000060, 123'456));
  CHECK(value(disk.read(kLayout.journal())) ==
        "{\"at\":\"2026-11-20T12:00:00.123456Z\",\"kind\":\"watermark\",\"timeline\":1,\"lsn\":\"0/3000060\","
        "\"time\":\"2026-11-20T12:00:00.123456Z\"}\n");
}

TEST_CASE("journal: an absent one is empty; entries come back in order, of any kind") {
  MemoryFileSystem disk;
  FileSystem& files = prepared(disk);
  CHECK(content_of(files).entries.empty());
  const Path path = kLayout.journal();
  const GapRow gap{{1}, {0x5000000}, {0x7000000}, "slot lost", at(3), true};
  value(append_journal(files, path, journal_entry(at(0), ArchiveIdentity{UINT64_MAX, segment_size()})));
  value(append_journal(files, path, epoch_opened_entry(at(1), 2, "timeline 2 forks at 0/3000000")));
  value(append_journal(files, path, gap_accepted_entry(at(2), gap)));
  value(append_journal(files, path, journal_entry(at(3), restore_row())));
  const JournalContent content = content_of(files);
  CHECK(content.damage.empty());
  REQUIRE(content.entries.size() == 4);
  CHECK(content.entries[0].kind == "archive_created");
  CHECK(member<std::string>(content.entries[0].body, "system_identifier") == "18446744073709551615");
  CHECK(content.entries[1].at == at(1));
  CHECK(member<std::uint64_t>(content.entries[1].body, "epoch") == 2);
  const GapRow read_gap = value(accepted_gap_of(content.entries[2]));
  CHECK(read_gap.to == gap.to);
  CHECK(read_gap.reason == "slot lost");
  CHECK(read_gap.detected_at == at(3));
  CHECK(read_gap.accepted);
  const RestoreRow restore = value(restore_of(content.entries[3]));
  CHECK(restore.plan == restore_row().plan);
  CHECK(restore.proof == restore_row().proof);
  CHECK(restore.finished_at == at(42));
  CHECK(restore.state == RestoreState::complete);
}

TEST_CASE("journal: an acknowledged entry survives the power cut") {
  MemoryFileSystem disk;
  append(prepared(disk), watermark(1, 1));
  disk.power_cut();
  append(disk, watermark(2, 2));
  disk.power_cut();
  CHECK(watermarks_in(content_of(disk)) == Lsns{1, 2});
}

TEST_CASE("journal: a torn last line is passed over, and the next append ends it and says so") {
  MemoryFileSystem disk;
  append(prepared(disk), watermark(1, 1));
  const std::string line = value(disk.read(kLayout.journal()));
  for (std::size_t torn = 1; torn < line.size(); ++torn) {
    value(disk.write(kLayout.journal(), line + line.substr(0, torn)));
    CAPTURE(torn);
    CHECK(content_of(disk).damage.empty());
    const bool whole = torn == line.size() - 1;  // only the line feed is missing
    CHECK(content_of(disk).entries.size() == (whole ? 2 : 1));
    append(disk, watermark(3, 3));
    append(disk, watermark(4, 4));
    CHECK(content_of(disk).damage.empty());
    CHECK(watermarks_in(content_of(disk)) == (whole ? Lsns{1, 1, 3, 4} : Lsns{1, 3, 4}));
  }
}

TEST_CASE("journal: killed in the middle of an append, the next one heals it") {
  MemoryFileSystem disk;
  FaultyFileSystem files(prepared(disk));
  append(files, watermark(1, 1));
  files.kill_at("append_durably", "journal.jsonl", 1, true);
  CHECK_THROWS_AS(append(files, watermark(2, 2)), Killed);
  append(files, watermark(3, 3));
  CHECK(content_of(files).damage.empty());
  CHECK(watermarks_in(content_of(files)) == Lsns{1, 3});
}

TEST_CASE("journal: a damaged line in the middle is reported with its number, the rest is read") {
  MemoryFileSystem disk;
  for (std::uint64_t i = 1; i <= 3; ++i) append(prepared(disk), watermark(i, 1));
  std::string text = value(disk.read(kLayout.journal()));
  text[text.find('\n') + 3] = '\0';
  value(disk.write(kLayout.journal(), text));
  const JournalContent content = content_of(disk);
  CHECK(watermarks_in(content) == Lsns{1, 3});
  REQUIRE(content.damage.size() == 1);
  CHECK(content.damage[0] ==
        Error{ErrorKind::corrupt, "line 2 of the journal /srv/archive/journal.jsonl is damaged",
              "Compare it with a copy of the archive; the other lines are used without it."});
}

TEST_CASE("journal: an entry that lacks a member is a damaged line, an unknown kind is none") {
  MemoryFileSystem disk;
  prepared(disk);
  value(disk.write(
      kLayout.journal(),
      "{\"at\":\"2026-11-20T12:00:00.000000Z\",\"kind\":\"watermark\",\"timeline\":1,\"lsn\":\"0/3\"}\n"
      "{\"at\":\"2026-11-20T12:00:00.000000Z\",\"kind\":\"of the future\"}\n"
      "{\"at\":\"2026-02-30T12:00:00.000000Z\",\"kind\":\"no such day\"}\n"
      "{\"at\":\"2026-11-20T12:00:00Z\",\"kind\":\"another shape\"}\n"
      "\n7\n"));
  const JournalContent content = content_of(disk);
  REQUIRE(content.entries.size() == 1);
  CHECK(content.entries[0].kind == "of the future");
  CHECK(content.damage.size() == 4);
  CHECK(content.damage.back().message == "line 6 of the journal /srv/archive/journal.jsonl is damaged");
}

TEST_CASE("journal: a full disk tears a line, nothing before it is lost") {
  MemoryFileSystem disk;
  append(prepared(disk), watermark(1, 1));
  disk.set_capacity(value(disk.read(kLayout.journal())).size() + 20);
  CHECK(append_journal(disk, kLayout.journal(), journal_entry(at(2), watermark(2, 2))).error().kind ==
        ErrorKind::disk_full);
  disk.set_capacity(1U << 20);
  append(disk, watermark(3, 3));
  CHECK(watermarks_in(content_of(disk)) == Lsns{1, 3});
  CHECK(content_of(disk).damage.empty());
}

TEST_CASE("journal: two processes append at once, every line is whole") {
  TemporaryDirectory directory;
  const Path path = directory.path() / "journal.jsonl";
  constexpr std::uint64_t lines = 200;
  const auto write_lines = [&](std::uint64_t first) {
    for (std::uint64_t i = 0; i < lines; ++i) {
      const WatermarkRow row = watermark(first + i, 1);
      if (!append_journal(real_file_system(), path, journal_entry(row.time, row))) return 1;
    }
    return 0;
  };
  const pid_t child = fork();
  if (child == 0) _exit(write_lines(1'000'000));
  REQUIRE(child > 0);
  CHECK(write_lines(1) == 0);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  const JournalContent content = value(read_journal(real_file_system(), path));
  CHECK(content.damage.empty());
  CHECK(content.entries.size() == 2 * lines);
}

TEST_CASE("journal: longer than the reader's buffer") {
  MemoryFileSystem disk;
  prepared(disk);
  RestoreRow row = restore_row();
  row.plan = "{\"filler\":\"" + std::string(700'000, 'x') + "\"}";
  for (int i = 0; i < 4; ++i) value(append_journal(disk, kLayout.journal(), journal_entry(at(i), row)));
  const JournalContent content = content_of(disk);
  REQUIRE(content.entries.size() == 4);
  CHECK(value(restore_of(content.entries[3])).plan == row.plan);
}

TEST_CASE("journal: replayed into a new catalog, twice the same") {
  MemoryFileSystem disk;
  prepared(disk);
  auto first = value(Catalog::open(":memory:"));
  value(record_watermark(disk, kLayout, first, watermark(0x3000060, 5)));
  value(record_watermark(disk, kLayout, first, watermark(0x3000060, 9)));
  value(record_restore(disk, kLayout, first, restore_row()));
  value(record_accepted_gap(disk, kLayout, first, at(7),
                            {{1}, {0x5000000}, {0x7000000}, "slot lost", at(3), false}));

  auto second = value(Catalog::open(":memory:"));
  const JournalContent content = content_of(disk);
  for (int i = 0; i < 2; ++i) value(replay_journal(second, content.entries));
  CHECK(value(second.newest_watermark({1}))->time == at(9));
  CHECK(value(second.restore("before-drop"))->proof == restore_row().proof);
  REQUIRE(value(second.gaps()).size() == 1);
  CHECK(value(second.gaps())[0].accepted);
}

TEST_CASE("journal: first the journal, then the catalog") {
  MemoryFileSystem disk;
  FaultyFileSystem files(prepared(disk));
  auto catalog = value(Catalog::open(":memory:"));
  files.fail_at("append_durably", "journal.jsonl", {ErrorKind::disk_full, "full", ""});
  CHECK(record_watermark(files, kLayout, catalog, watermark(1, 1)).error().kind == ErrorKind::disk_full);
  CHECK_FALSE(value(catalog.newest_watermark({1})));
}

}  // namespace
}  // namespace walback
