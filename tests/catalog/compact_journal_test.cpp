#include "catalog/compact_journal.h"

#include <sys/wait.h>
#include <unistd.h>

#include <set>

#include "catalog/expiry_journal.h"
#include "catalog/follow_journal.h"
#include "catalog/verified_journal.h"
#include "catalog_fixture.h"
#include "support/faulty_file_system.h"
#include "support/memory_file_system.h"
#include "support/temporary_directory.h"

namespace walback {
namespace {

using namespace catalog_test;

const ArchiveLayout kLayout{"/srv/archive"};

JournalEntry watermark(Lsn lsn, std::int64_t offset_us, std::uint32_t timeline = 1) {
  return journal_entry(at(offset_us), WatermarkRow{{timeline}, lsn, at(offset_us)});
}
JournalEntry restore(const std::string& name, RestoreState state) {
  return journal_entry(at(0), RestoreRow{name, "/copy", 1, state, at(0), {}, "latest", "", "", ""});
}

std::string told(const std::vector<JournalEntry>& entries) {
  std::string text;
  for (const JournalEntry& entry : entries) text += to_line(entry.body) + "\n";
  return text;
}

/// Every watermark's place, in order.
std::vector<std::uint64_t> places_in(FileSystem& files, const Path& journal) {
  std::vector<std::uint64_t> places;
  const JournalContent content = value(read_journal(files, journal));
  CHECK(content.damage.empty());
  for (const JournalEntry& entry : content.entries) places.push_back(value(watermark_of(entry)).lsn.value);
  return places;
}

/// Closes the journal under the pen of the first who appends, as if it had been open for writing by then.
class ClosingFileSystem : public FileSystem {
 public:
  explicit ClosingFileSystem(FileSystem& files, bool under_the_pen = true)
      : files_(files), closed_(!under_the_pen) {}
  Status append_durably(const Path& path, std::string_view content) override {
    if (closed_) return files_.append_durably(path, content);
    closed_ = true;
    TRY(files_.rename(path, closed_journal(path)));
    return files_.append_durably(closed_journal(path), content);
  }
  Result<FileInfo> stat(const Path& path) override { return files_.stat(path); }
  Result<std::vector<DirectoryEntry>> list(const Path& path) override { return files_.list(path); }
  Result<std::string> read(const Path& path, std::uint64_t limit) override {
    return files_.read(path, limit);
  }
  Result<std::size_t> read_at(const Path& path, std::uint64_t offset, std::span<char> buffer) override {
    return files_.read_at(path, offset, buffer);
  }
  Result<std::string> read_link(const Path& path) override { return files_.read_link(path); }
  Status create_directories(const Path& path) override { return files_.create_directories(path); }
  Status create_symlink(const Path& to, const Path& link) override { return files_.create_symlink(to, link); }
  Status set_mode(const Path& path, std::uint32_t mode) override { return files_.set_mode(path, mode); }
  Status write(const Path& path, std::string_view content) override { return files_.write(path, content); }
  Status rename(const Path& from, const Path& to) override { return files_.rename(from, to); }
  Status remove(const Path& path) override { return files_.remove(path); }
  Status remove_tree(const Path& path) override { return files_.remove_tree(path); }
  Status sync_file(const Path& path) override { return files_.sync_file(path); }
  Status sync_directory(const Path& path) override { return files_.sync_directory(path); }
  Status sync_file_system(const Path& path) override { return files_.sync_file_system(path); }
  Status copy_file(const Path& from, const Path& to) override { return files_.copy_file(from, to); }
  Result<DiskSpace> space(const Path& path) override { return files_.space(path); }

 private:
  FileSystem& files_;
  bool closed_;
};

TEST_CASE("journal: compacted it says what is there, once, and nothing that it does not understand goes") {
  const JournalEntry unknown{at(0), "of the future",
                             Json{{"at", to_rfc3339(at(0))}, {"kind", "of the future"}}};
  const JournalScope scope{{{{1}, {400}, lsn_in(400, 0)}}, {{"20261120T120000Z", lsn_in(3, 40)}}, {"here"}};
  const std::vector<JournalEntry> kept{
      epoch_opened_entry(at(0), 1, "the first"),
      unknown,
      unknown,
      watermark(lsn_in(400, 0), 7),
      restore("copy", RestoreState::complete),
      journal_entry(VerifiedBackup{"here", 2, at(5)}),
      journal_entry(VerifiedRun{{1}, 1, {400}, {440}, 1, at(0)}),
      gap_accepted_entry(at(0), {{1}, lsn_in(500, 0), lsn_in(501, 0), "lost", at(0), true}),
      watermark(lsn_in(399, 0), 1, 2),
      journal_entry(at(9), Expiry{scope.leaving, scope.expired}),
      watermark(lsn_in(401, 0), 8)};
  std::vector<JournalEntry> all = kept;
  const std::vector<JournalEntry> gone{
      watermark(lsn_in(400, 0), 6),
      watermark(lsn_in(399, 0), 1),
      restore("copy", RestoreState::running),
      journal_entry(VerifiedBackup{"here", 1, at(4)}),
      journal_entry(VerifiedBackup{"expired", 1, at(4)}),
      journal_entry(VerifiedRun{{1}, 1, {300}, {363}, 1, at(0)}),
      gap_accepted_entry(at(0), {{1}, lsn_in(300, 0), lsn_in(301, 0), "lost", at(0), true}),
      journal_entry(at(3), Expiry{{{"older", {}}}, {{{1}, {100}, lsn_in(100, 0)}}})};
  all.insert(all.begin(), gone.begin(), gone.end());
  CHECK(told(without_void_lines(all, scope)) == told(kept));
}

TEST_CASE(
    "journal: killed or cut off anywhere while it is compacted, no fact is lost and the next one ends it") {
  const auto prepare = [](MemoryFileSystem& disk) {
    value(disk.create_directories(kLayout.root));
    disk.settle();
    for (std::uint64_t i = 0; i <= kVoidLinesWorthwhile; ++i)
      value(append_journal(disk, kLayout.journal(), watermark({10}, static_cast<std::int64_t>(i))));
    for (std::uint64_t lsn : {20U, 30U}) value(append_journal(disk, kLayout.journal(), watermark({lsn}, 99)));
  };
  MemoryFileSystem whole;
  prepare(whole);
  FaultyFileSystem counted(whole);
  value(compact_journal(counted, kLayout.journal(), {}));
  CHECK(places_in(whole, kLayout.journal()) == std::vector<std::uint64_t>{10, 20, 30});
  const int changes = static_cast<int>(counted.changes().size());
  CHECK(changes >= 6);

  for (int nth = 1; nth <= changes; ++nth) {
    for (const bool power_cut : {false, true}) {
      CAPTURE(nth);
      CAPTURE(power_cut);
      MemoryFileSystem disk;
      prepare(disk);
      FaultyFileSystem files(disk);
      files.kill_at("*", "", nth);
      CHECK_THROWS_AS((void)compact_journal(files, kLayout.journal(), {}), Killed);
      if (power_cut) disk.power_cut();
      files.heal();
      const auto after = places_in(disk, kLayout.journal());
      CHECK(std::set<std::uint64_t>(after.begin(), after.end()) == std::set<std::uint64_t>{10, 20, 30});
      value(append_journal(disk, kLayout.journal(), watermark({40}, 100)));
      value(compact_journal(disk, kLayout.journal(), {}));
      CHECK(places_in(disk, kLayout.journal()).back() == 40);
      CHECK_FALSE(exists(disk, closed_journal(kLayout.journal())));
    }
  }
}

TEST_CASE("journal: a line that goes into a file that was closed meanwhile is written again") {
  MemoryFileSystem disk;
  value(disk.create_directories(kLayout.root));
  value(append_journal(disk, kLayout.journal(), watermark({10}, 1)));
  ClosingFileSystem files(disk);
  value(append_journal(files, kLayout.journal(), watermark({20}, 2)));
  // Whoever closed it had read it by then, and removes it.
  value(disk.remove(closed_journal(kLayout.journal())));
  CHECK(places_in(disk, kLayout.journal()) == std::vector<std::uint64_t>{20});
}

TEST_CASE("journal: two processes append while it is compacted over and over, and every line is there") {
  TemporaryDirectory directory;
  const Path path = directory.path() / "journal.jsonl";
  FileSystem& files = real_file_system();
  constexpr std::uint64_t lines = 300;
  const auto write_lines = [&](std::uint64_t first) {
    for (std::uint64_t i = 0; i < lines; ++i) {
      // A void one beside each, so that there is always something to compact.
      for (const std::uint64_t lsn : {std::uint64_t{1}, first + i})
        if (!append_journal(files, path, watermark({lsn}, 1))) return 1;
    }
    return 0;
  };
  std::vector<pid_t> children;
  for (const std::uint64_t first : {1'000'000U, 2'000'000U}) {
    const pid_t child = fork();
    if (child == 0) _exit(write_lines(first));
    REQUIRE(child > 0);
    children.push_back(child);
  }
  int compactions = 0;
  for (std::size_t ended = 0; ended < children.size();) {
    const bool was = exists(files, compacted_journal(path));
    const Status done = compact_journal(files, path, {});
    CHECK(done);
    compactions += !was || exists(files, compacted_journal(path)) ? 1 : 0;
    std::set<std::uint64_t> seen;
    for (const std::uint64_t place : places_in(files, path)) seen.insert(place);
    int status = 0;
    const pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid > 0) {
      CHECK(status == 0);
      ++ended;
    }
  }
  CHECK(compactions > 1);
  const auto places = places_in(files, path);
  const std::set<std::uint64_t> all(places.begin(), places.end());
  CHECK(all.size() == 2 * lines + 1);
}

TEST_CASE("journal: followed, a catalog knows every line, once and again, and in another journal") {
  MemoryFileSystem disk;
  value(disk.create_directories(kLayout.root));
  auto catalog = value(Catalog::open(":memory:"));
  const auto follow = [&] { return value(follow_journal(disk, kLayout.journal(), catalog)).entries; };
  CHECK(follow() == 0);
  value(append_journal(disk, kLayout.journal(), watermark({10}, 1)));
  CHECK(follow() == 1);
  CHECK(follow() == 0);
  value(append_journal(disk, kLayout.journal(), restore("copy", RestoreState::complete)));
  CHECK(follow() == 1);
  CHECK(value(catalog.restore("copy")));
  value(disk.rename(kLayout.journal(), closed_journal(kLayout.journal())));
  value(append_journal(disk, kLayout.journal(), watermark({20}, 2)));
  CHECK(follow() == 3);
  CHECK(follow() == 0);
  CHECK(value(catalog.newest_watermark({1}))->lsn == Lsn{20});
  // A new catalog in whose time nothing was appended.
  auto other = value(Catalog::open(":memory:"));
  value(disk.remove(kLayout.journal()));
  CHECK(value(follow_journal(disk, kLayout.journal(), other)).entries == 2);
  CHECK(value(other.restore("copy")));
  // Nothing was appended since the journal was closed: its parts are not read again at each look.
  CHECK(value(follow_journal(disk, kLayout.journal(), other)).entries == 0);
  // Appended, and closed again before anybody looked.
  value(append_journal(disk, kLayout.journal(), watermark({30}, 3)));
  value(disk.rename(kLayout.journal(), closed_journal(kLayout.journal())));
  CHECK(value(follow_journal(disk, kLayout.journal(), other)).entries == 1);
  CHECK(value(other.newest_watermark({1}))->lsn == Lsn{30});
}

TEST_CASE("journal: a line that another writer's half line swallows is written again") {
  /// Between the look and the write somebody's disk is full for a moment.
  class Torn final : public ClosingFileSystem {
   public:
    explicit Torn(FileSystem& files) : ClosingFileSystem(files, /*under_the_pen=*/false) {}
    Status append_durably(const Path& path, std::string_view content) override {
      if (!torn_) TRY(ClosingFileSystem::append_durably(path, R"({"at": "2026-)"));
      torn_ = true;
      return ClosingFileSystem::append_durably(path, content);
    }

   private:
    bool torn_ = false;
  };
  MemoryFileSystem disk;
  value(disk.create_directories(kLayout.root));
  value(append_journal(disk, kLayout.journal(), watermark({10}, 1)));
  Torn torn(disk);
  value(append_journal(torn, kLayout.journal(), watermark({20}, 2)));
  const JournalContent content = value(read_journal(disk, kLayout.journal()));
  REQUIRE(content.entries.size() == 2);
  CHECK(value(watermark_of(content.entries[1])).lsn == Lsn{20});
  CHECK(content.damage.size() == 1);
}

TEST_CASE("journal: one that is closed while it is followed is read whole the next time") {
  /// Closes the journal when its newest part is about to be read on.
  class Closing final : public ClosingFileSystem {
   public:
    using ClosingFileSystem::ClosingFileSystem;
    Result<std::size_t> read_at(const Path& path, std::uint64_t offset, std::span<char> buffer) override {
      if (at && offset == *at) {
        at.reset();
        value(rename(path, closed_journal(path)));
        value(append_journal(*this, path, watermark({40}, 4)));
      }
      return ClosingFileSystem::read_at(path, offset, buffer);
    }
    std::optional<std::uint64_t> at;
  };
  MemoryFileSystem disk;
  value(disk.create_directories(kLayout.root));
  auto catalog = value(Catalog::open(":memory:"));
  for (std::int64_t i = 1; i < 20; ++i) value(append_journal(disk, kLayout.journal(), watermark({10}, i)));
  CHECK(value(follow_journal(disk, kLayout.journal(), catalog)).entries == 19);
  const std::uint64_t followed = value(disk.stat(kLayout.journal())).size_bytes;
  value(append_journal(disk, kLayout.journal(), watermark({30}, 3)));
  Closing closing(disk, /*under_the_pen=*/false);
  closing.at = followed;
  value(follow_journal(closing, kLayout.journal(), catalog));
  CHECK(!closing.at);
  value(follow_journal(closing, kLayout.journal(), catalog));
  CHECK(value(catalog.newest_watermark({1}))->lsn == Lsn{40});
}

}  // namespace
}  // namespace walback
