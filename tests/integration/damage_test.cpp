#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <array>

#include "base/text.h"
#include "integration/support/lab_fixture.h"
#include "lab/lab_processes.h"
#include "os/process.h"
#include "wal/segment_name.h"

/// Damage in an archive: found, named, and exactly what needs the damaged part is refused.
using namespace walback;
using namespace walback::test;
using namespace std::chrono_literals;

namespace {

FileSystem& files() {
  return real_file_system();
}

void copy_as_is(const Path& from, const Path& to) {
  const auto copied = walback::run({"cp", {"-a", from.string(), to.string()}, {}, "/"}, 60s);
  REQUIRE(copied);
  REQUIRE_MESSAGE(copied->status.success(), copied->err);
}

/// Another byte at `offset`; the file's times stay when `silently`, as when a disk rots.
void flip(const Path& path, std::uint64_t offset, bool silently = false) {
  struct stat before {};
  REQUIRE(::stat(path.c_str(), &before) == 0);
  std::string bytes = files().read(path, 1ULL << 30).value();
  REQUIRE(offset < bytes.size());
  bytes[offset] = static_cast<char>(bytes[offset] ^ 0x5A);
  REQUIRE(files().write(path, bytes));
  const std::array<timespec, 2> times{before.st_atim, before.st_mtim};
  if (silently) REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times.data(), 0) == 0);
}

/// One cluster's archive, made once: base backup, five finished segments with commits, a second base backup,
/// two more, and an open one. Each test damages a copy of its own.
struct World {
  LabFixture lab{{.segment_size_mb = 1}};
  SegmentSize size = SegmentSize::from_bytes(1U << 20).value();
  std::vector<std::vector<Lsn>> commits;  ///< of each written segment, the open one last
  std::string first_backup, second_backup;

  World() {
    lab.execute("CREATE TABLE marks (id int)");
    first_backup = lab.ask({"backup"}).at("id");
    for (int segment = 0; segment < 5; ++segment) write_segment(true);
    second_backup = lab.ask({"backup"}).at("id");
    for (int segment = 0; segment < 2; ++segment) write_segment(true);
    write_segment(false);
    lab.wait_captured();
    lab.kill_services();
    const Json all = lab.ask({"commits"});
    for (std::vector<Lsn>& segment : commits) {
      const SegmentNumber number = segment_of(segment.front(), size);
      segment.clear();
      for (const Json& commit : all) {
        const Lsn lsn = parse_lsn(commit.at("lsn").get<std::string>()).value();
        if (segment_of(lsn, size) == number) segment.push_back(lsn);
      }
      REQUIRE(segment.size() >= 20);
    }
  }

  void write_segment(bool switch_over) {
    const Connection held = lab.primary();
    commits.push_back({parse_lsn(lab.value("SELECT pg_current_wal_insert_lsn()")).value()});
    for (int i = 0; i < 20; ++i) lab.execute("INSERT INTO marks SELECT count(*) FROM marks");
    if (switch_over) lab.execute("SELECT pg_switch_wal()");
  }
  /// The commit in the middle of written segment `index`.
  [[nodiscard]] Lsn middle(std::size_t index) const { return commits[index][commits[index].size() / 2]; }
  [[nodiscard]] std::string name(std::size_t index) const {
    return file_name({{1}, segment_of(commits[index].front(), size)}, size);
  }
};

World& world() {
  static World made;
  return made;
}

/// A copy of the archive with a walback.yaml of its own.
class Copy {
 public:
  Copy() : root_(world().lab.directory() / fmt::format("copy-{}", ++made_)) {
    REQUIRE(files().create_directories(root_));
    copy_as_is(world().lab.archive(), archive());
    std::string config = files().read(world().lab.state().config()).value();
    const std::string old = world().lab.archive().string();
    const auto at = config.find(old);
    REQUIRE(at != std::string::npos);
    config.replace(at, old.size(), archive().string());
    REQUIRE(files().write(root_ / "walback.yaml", config));
    // Indexed as it is now: what a test does next is what changed.
    static_cast<void>(walback({"list", "segments"}));
  }
  ~Copy() {
    static_cast<void>(stop_server(restored()));
    static_cast<void>(files().remove_tree(root_));
  }
  Copy(const Copy&) = delete;
  Copy& operator=(const Copy&) = delete;

  [[nodiscard]] Path archive() const { return root_ / "archive"; }
  [[nodiscard]] Path wal() const { return archive() / "wal" / "0001"; }
  [[nodiscard]] Path segment(std::size_t index) const { return wal() / world().name(index); }
  [[nodiscard]] Path backup(const std::string& id) const { return archive() / "backups" / id; }
  [[nodiscard]] Path restored() const { return root_ / "restored"; }

  [[nodiscard]] WalbackRun walback(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"-c", (root_ / "walback.yaml").string(), "--json"});
    const auto output = walback::run({world().lab.state().executable, arguments, {}, root_}, 120s);
    REQUIRE(output);
    WalbackRun run{output->status.code, output->out, output->err, nullptr};
    if (auto json = parse_json(run.out, "stdout")) run.json = std::move(*json);
    return run;
  }
  [[nodiscard]] WalbackRun plan(Lsn lsn) const { return walback({"plan", "--to-lsn", to_string(lsn)}); }
  [[nodiscard]] WalbackRun restore(std::vector<std::string> target) const {
    target.insert(target.begin(), "restore");
    for (const std::string& more :
         {std::string("--into"), restored().string(), std::string("--port"), std::to_string(free_port())})
      target.push_back(more);
    return walback(target);
  }

  void reachable(Lsn lsn, const std::string& backup) const {
    const WalbackRun run = plan(lsn);
    CAPTURE(to_string(lsn));
    REQUIRE_MESSAGE(run.ok(), run.all());
    CHECK(run.json.at("backup").at("id") == backup);
    CHECK(run.json.at("commit_at_stop").at("lsn") == to_string(lsn));
  }
  void refused(Lsn lsn, ErrorKind kind, const std::string& message) const {
    const WalbackRun run = plan(lsn);
    CAPTURE(to_string(lsn));
    CHECK_MESSAGE(run.exit_code == exit_code(kind), run.all());
    CHECK_MESSAGE(run.json.at("error").at("message").get<std::string>().starts_with(message), run.all());
    CHECK(!run.json.at("nearest").at("before").is_null());
  }
  /// Segment 2 is unusable from `from` on; 0 to 4 lie between the two base backups, 5 and 6 behind the
  /// second.
  void third_segment_is_lost(ErrorKind kind, const std::string& why) const {
    const World& w = world();
    reachable(w.commits[0].front(), w.first_backup);
    reachable(w.commits[1].back(), w.first_backup);
    refused(w.middle(2), kind, fmt::format("{} needs WAL that is {}", to_string(w.middle(2)), why));
    refused(w.middle(3), kind, fmt::format("{} needs WAL that is {}", to_string(w.middle(3)), why));
    refused(w.commits[4].back(), kind,
            fmt::format("{} needs WAL that is {}", to_string(w.commits[4].back()), why));
    reachable(w.middle(5), w.second_backup);
    reachable(w.commits[7].back(), w.second_backup);
  }
  void everything_is_reachable() const {
    const World& w = world();
    reachable(w.middle(2), w.first_backup);
    reachable(w.commits[4].back(), w.first_backup);
    reachable(w.commits[7].back(), w.second_backup);
  }
  [[nodiscard]] std::string problem_of(std::size_t index) const {
    for (const Json& row : walback({"list", "segments"}).json)
      if (row.at("segment") == world().name(index))
        return row.at("problem").is_null() ? "" : row.at("problem").get<std::string>();
    return "not listed";
  }

 private:
  static inline int made_ = 0;
  Path root_;
};

/// In the checksum of the record at `lsn`, so that the damage is that record's.
std::uint64_t checksum_of(Lsn lsn) {
  return lsn.value % world().size.bytes() + 20;
}

}  // namespace

TEST_CASE("damage: a missing segment") {
  const World& w = world();
  const Copy copied;
  REQUIRE(files().rename(copied.segment(2), copied.archive() / "aside"));
  copied.third_segment_is_lost(ErrorKind::not_found,
                               fmt::format("not in the archive: segment {} is missing", w.name(2)));
  CHECK(copied.problem_of(2) == fmt::format("missing: {} is gone from {}", w.name(2), copied.wal().string()));
  REQUIRE(files().rename(copied.archive() / "aside", copied.segment(2)));
  copied.everything_is_reachable();
}

TEST_CASE("damage: a flipped byte whose file shows that it changed") {
  const World& w = world();
  const Copy copied;
  copy_as_is(copied.segment(2), copied.archive() / "good");
  flip(copied.segment(2), checksum_of(w.middle(2)));
  copied.third_segment_is_lost(
      ErrorKind::corrupt, fmt::format("damaged: segment {}: damaged at {}: record at {} carries checksum",
                                      w.name(2), to_string(w.middle(2)), to_string(w.middle(2))));
  // Up to the damage it serves.
  copied.reachable(w.commits[2].front(), w.first_backup);
  const WalbackRun restored = copied.restore({"--to-latest"});
  CHECK_MESSAGE(restored.ok(), restored.all());
  copy_as_is(copied.archive() / "good", copied.segment(2));
  copied.everything_is_reachable();
}

TEST_CASE("damage: silent bit rot is found by the restore, never opened; then the plan knows") {
  const World& w = world();
  const Copy copied;
  copy_as_is(copied.segment(2), copied.archive() / "good");
  flip(copied.segment(2), checksum_of(w.middle(2)), /*silently=*/true);
  const WalbackRun restored = copied.restore({"--to-lsn", to_string(w.middle(3))});
  CHECK_MESSAGE(restored.exit_code == exit_code(ErrorKind::corrupt), restored.all());
  CHECK_MESSAGE(restored.json.at("error").at("message").get<std::string>().starts_with(fmt::format(
                    "WAL segment '{}' is not what was captured: checksum ", copied.segment(2).string())),
                restored.all());
  CHECK(postgres_processes_below(copied.restored())->empty());
  copied.third_segment_is_lost(ErrorKind::corrupt, fmt::format("damaged: segment {}: damaged at {}",
                                                               w.name(2), to_string(w.middle(2))));
  // The good copy bears the very same size and time.
  copy_as_is(copied.archive() / "good", copied.segment(2));
  copied.everything_is_reachable();
  const WalbackRun healed = copied.restore({"--to-lsn", to_string(w.middle(3))});
  CHECK_MESSAGE(healed.ok(), healed.all());
}

TEST_CASE("damage: a truncated segment") {
  const World& w = world();
  const Copy copied;
  const std::string whole = files().read(copied.segment(2)).value();
  REQUIRE(files().write(copied.segment(2), std::string_view(whole).substr(0, 700'000)));
  copied.third_segment_is_lost(
      ErrorKind::corrupt,
      fmt::format("damaged: segment {}: wrong size: 700000 bytes, expected 1048576", w.name(2)));
  REQUIRE(files().write(copied.segment(2), whole));
  copied.everything_is_reachable();
}

TEST_CASE("damage: a segment of another cluster") {
  const World& w = world();
  ThrowawayOptions options;
  options.wal_segment_size_mb = 1;
  const auto other = ThrowawayServer::create(options);
  REQUIRE(other);
  std::string foreign;
  for (const DirectoryEntry& entry :
       files().list((*other)->data_directory() / "pg_wal").value_or(std::vector<DirectoryEntry>{}))
    if (entry.name.size() == 24 && foreign.empty()) foreign = entry.name;
  const Copy copied;
  const std::string whole = files().read(copied.segment(2)).value();
  REQUIRE(files().write(copied.segment(2),
                        files().read((*other)->data_directory() / "pg_wal" / foreign).value()));
  copied.third_segment_is_lost(ErrorKind::corrupt,
                               fmt::format("damaged: segment {}: foreign: segment at ", w.name(2)));
  REQUIRE(files().write(copied.segment(2), whole));
  copied.everything_is_reachable();
}

TEST_CASE("damage: the .partial, whether its file shows it or not") {
  const World& w = world();
  for (const bool silently : {false, true}) {
    const Copy copied;
    const Path partial = copied.segment(7).string() + ".partial";
    flip(partial, checksum_of(w.middle(7)), silently);
    for (const WalbackRun& run : {copied.plan(w.commits[7].back()), copied.restore({"--to-latest"})}) {
      CHECK_MESSAGE(run.exit_code == exit_code(ErrorKind::corrupt), run.all());
      CHECK_MESSAGE(
          run.json.at("error").at("message").get<std::string>().starts_with(fmt::format(
              "WAL segment '{}' is not what was indexed: damaged at {}, before the stop {}: record at ",
              partial.string(), to_string(w.middle(7)), to_string(w.commits[7].back()))),
          run.all());
    }
    CHECK(!exists(files(), copied.restored()));
    copied.reachable(w.commits[7].front(), w.second_backup);
    copied.reachable(w.middle(6), w.second_backup);
    // Finished over the damage, it is not taken for what was captured.
    REQUIRE(files().rename(partial, copied.segment(7)));
    copied.refused(w.commits[7].back(), ErrorKind::corrupt,
                   fmt::format("{} needs WAL that is damaged: segment {}: damaged at {}",
                               to_string(w.commits[7].back()), w.name(7), to_string(w.middle(7))));
  }
}

TEST_CASE("damage: a base backup with a missing file serves nobody, until the file is back") {
  const World& w = world();
  const Copy copied;
  const Path file = copied.backup(w.second_backup) / "base" / "1" / "1259";
  const std::string whole = files().read(file).value();
  REQUIRE(files().remove(file));
  copied.reachable(w.commits[7].back(), w.first_backup);
  const Json backups = copied.walback({"list", "backups"}).json;
  CHECK(backups.back().at("problem") == "'base/1/1259' is missing");
  REQUIRE(files().write(file, whole));
  copied.reachable(w.commits[7].back(), w.second_backup);
  // Nor one that is cut, nor one that is gone.
  REQUIRE(files().write(file, "short"));
  copied.reachable(w.commits[7].back(), w.first_backup);
  REQUIRE(files().remove_tree(copied.backup(w.second_backup)));
  copied.reachable(w.commits[7].back(), w.first_backup);
}

TEST_CASE("damage: a base backup with a flipped byte is never handed over; the older one then serves") {
  const World& w = world();
  const Copy copied;
  flip(copied.backup(w.second_backup) / "base" / "1" / "1259", 5'000);
  const WalbackRun first = copied.restore({"--to-latest"});
  CHECK_MESSAGE(first.exit_code == exit_code(ErrorKind::corrupt), first.all());
  CHECK_MESSAGE(first.json.at("error").at("message") ==
                    fmt::format("base backup '{}' is not what was taken: pg_verifybackup (exit code 1): "
                                "checksum mismatch for file \"base/1/1259\"",
                                w.second_backup),
                first.all());
  CHECK(postgres_processes_below(copied.restored())->empty());
  const WalbackRun second = copied.restore({"--to-latest"});
  CHECK_MESSAGE(second.ok(), second.all());
}

TEST_CASE("damage: the catalog is gone, or garbage: the same answers from a new one") {
  const World& w = world();
  const Copy copied;
  const auto answers = [&] {
    std::vector<std::string> all;
    for (const std::vector<std::string>& question :
         std::vector<std::vector<std::string>>{{"list", "segments"},
                                               {"list", "backups"},
                                               {"list", "timelines"},
                                               {"commits"},
                                               {"plan", "--to-latest"},
                                               {"plan", "--to-lsn", to_string(w.middle(3))}})
      all.push_back(copied.walback(question).out);
    return all;
  };
  const auto before = answers();
  for (const bool garbage : {false, true}) {
    for (const char* suffix : {"", "-wal", "-shm"})
      REQUIRE(files().remove_tree(copied.archive() / (std::string("catalog.sqlite") + suffix)));
    if (garbage) REQUIRE(files().write(copied.archive() / "catalog.sqlite", std::string(100'000, 'x')));
    const auto after = answers();
    for (std::size_t i = 0; i < before.size(); ++i) CHECK(after[i] == before[i]);
  }
}

TEST_CASE("damage: whose archive it is cannot be read, or it is another cluster's") {
  const World& w = world();
  const Copy copied;
  const Path identity = copied.archive() / "walback-archive.json";
  const Json whole = parse_json(files().read(identity).value(), "identity").value();
  REQUIRE(files().write(identity, "garbage\n"));
  for (const char* command : {"status", "check", "backup", "capture", "manage"}) {
    const WalbackRun run = copied.walback({command});
    CHECK_MESSAGE(run.exit_code == exit_code(ErrorKind::corrupt), run.all());
    CHECK(run.err.find(identity.string() + " is not valid JSON") != std::string::npos);
  }
  Json other = whole;
  other["system_identifier"] = "7000000000000000001";
  REQUIRE(files().write(identity, to_text(other)));
  for (const char* command : {"backup", "capture"}) {
    const WalbackRun run = copied.walback({command});
    CHECK_MESSAGE(run.exit_code == exit_code(ErrorKind::foreign_system), run.all());
  }
  // Neither its base backups nor its WAL are taken for the other cluster's.
  const WalbackRun plan = copied.plan(w.middle(2));
  CHECK_MESSAGE(!plan.ok(), plan.all());
}
