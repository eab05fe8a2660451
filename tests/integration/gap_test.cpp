#include <doctest/doctest.h>
#include <fmt/format.h>

#include <filesystem>
#include <future>

#include "catalog/archive_layout.h"
#include "integration/support/crash.h"
#include "integration/support/lab_fixture.h"
#include "os/system.h"
#include "wal/segment_name.h"

/// WAL that is lost, on the primary or in the archive: said at once, with what it costs; capture goes on
/// behind it when a person says so, and protection begins again with a base backup.
using namespace walback;
using namespace walback::test;
using namespace std::chrono_literals;

namespace {

const SegmentSize kSize = SegmentSize::from_bytes(1U << 20).value();

/// On a primary that gives up on a slot which is 3 MB behind.
LabOptions forgetful() {
  LabOptions options;
  options.segment_size_mb = 1;
  options.fsync = true;  // `check` wants it
  options.settings = {{"max_slot_wal_keep_size", "3MB"}, {"min_wal_size", "2MB"}, {"max_wal_size", "4MB"}};
  return options;
}

struct World {
  explicit World(const LabOptions& options) : lab(options) {
    lab.execute("CREATE TABLE marks (id int)");
    first_backup = lab.ask({"backup"}).at("id");
  }

  void mark(int id) { lab.execute(fmt::format("INSERT INTO marks VALUES ({})", id)); }
  void write_segments(int count) {
    for (int i = 0; i < count; ++i) {
      lab.execute("CREATE TABLE IF NOT EXISTS filler (a int); INSERT INTO filler VALUES (1)");
      lab.execute("SELECT pg_switch_wal()");
    }
  }
  [[nodiscard]] std::string position() const { return lab.value("SELECT pg_current_wal_insert_lsn()"); }
  [[nodiscard]] Path epoch(std::uint32_t number) const {
    return lab.archive() / "wal" / fmt::format("{:04}", number);
  }
  /// Finished segments, oldest first.
  [[nodiscard]] std::vector<std::string> finished() const {
    std::vector<std::string> names;
    for (const std::string& name : names_in(epoch(1)))
      if (name.size() == 24) names.push_back(name);
    return names;
  }
  [[nodiscard]] bool streams(std::uint32_t epoch) const {
    const auto text = real_file_system().read(lab.archive() / "capture.status");
    const auto json = text ? parse_json(*text, "capture.status") : Result<Json>(Json());
    return json && json->is_object() && json->at("state") == "streaming" && json->at("epoch") == epoch;
  }
  /// What `check` finds wrong, and all that it says of gaps: "wrong|subject|text".
  [[nodiscard]] std::vector<std::string> findings() const {
    std::vector<std::string> lines;
    const WalbackRun run = lab.walback({"--json", "check"});
    REQUIRE_MESSAGE(run.json.is_object(), run.all());
    for (const Json& finding : run.json.at("findings"))
      if (finding.at("severity") == "wrong" ||
          finding.at("subject").get<std::string>().find("gap on") != std::string::npos)
        lines.push_back(fmt::format("{}|{}|{}", finding.at("severity").get<std::string>(),
                                    finding.at("subject").get<std::string>(),
                                    finding.at("text").get<std::string>()));
    return lines;
  }
  [[nodiscard]] std::string said() const {
    std::string all;
    for (const std::string& line : findings()) all += line + "\n";
    return all;
  }
  [[nodiscard]] bool found(const std::string& text) const { return said().find(text) != std::string::npos; }
  [[nodiscard]] std::string log() const { return real_file_system().read(lab.state().walback_log()).value(); }
  [[nodiscard]] std::size_t gaps() const { return lab.ask({"status"}).at("gaps").size(); }

  LabFixture lab;
  std::string first_backup;
};

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("gap: what is lost behind an accepted one is said, and nobody drops the slot that another made") {
  World world(forgetful());
  const LabFixture& lab = world.lab;
  world.mark(1);
  lab.wait_captured();
  world.lab.kill_services();
  const std::vector<std::string> accept{"capture", "--accept-gap", "--yes"};
  const auto lose = [&] {
    world.write_segments(8);
    lab.execute("CHECKPOINT");
    REQUIRE(wait_until(
        [&] {
          lab.execute("CHECKPOINT");
          return lab.value("SELECT wal_status FROM pg_replication_slots") == "lost";
        },
        20s));
  };
  lose();
  const Json first = lab.ask(accept);
  REQUIRE(first.at("accepted").size() == 1);
  CHECK(first.at("epoch_opened") == true);
  CHECK(lab.ask(accept).at("slot_created") == false);

  // Nothing was captured behind it when the slot was lost again: the gap grows, and is not called nothing.
  lose();
  const WalbackRun refused = lab.walback({"capture", "--accept-gap"});
  CHECK_MESSAGE(!has(refused.err, "nothing is lost"), refused.err);
  const Json second = lab.ask(accept);
  REQUIRE(second.at("accepted").size() == 1);
  CHECK(second.at("accepted")[0].at("from_lsn") == first.at("accepted")[0].at("from_lsn"));
  CHECK(second.at("accepted")[0].at("to_lsn") != first.at("accepted")[0].at("to_lsn"));

  // Two at once, while something holds the capturer's lock: both have looked before one of them begins.
  lose();
  std::vector<std::future<WalbackRun>> both;
  {
    const auto lock = FileLock::take(ArchiveLayout{lab.archive()}.lock("capture"), "the test");
    REQUIRE(lock);
    for (int i = 0; i < 2; ++i)
      both.push_back(std::async(std::launch::async, [&] { return lab.walback(accept); }));
    REQUIRE(wait_until(
        [&] {
          return lab.value(
                     "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle' AND query LIKE "
                     "'%pg_ls_waldir%' AND pid <> pg_backend_pid()") == "2";
        },
        15s));
  }
  const WalbackRun one = both[0].get(), other = both[1].get();
  CHECK_MESSAGE(one.ok() != other.ok(), one.all() << other.all());
  const WalbackRun& late = one.ok() ? other : one;
  CHECK(late.exit_code == exit_code(ErrorKind::conflict));
  CHECK_MESSAGE(has(late.err, "is no longer as it was when it was looked at"), late.err);

  world.lab.start_services();
  REQUIRE(wait_until([&] { return world.streams(2); }, 30s));
  world.mark(2);
  lab.wait_captured();
  const Json gaps = lab.ask({"status"}).at("gaps");
  REQUIRE(gaps.size() == 1);
  CHECK(gaps[0].at("accepted") == true);
}

TEST_CASE("gap: a slot that vanished or was invalidated is given up aloud, and protection begins again") {
  World world(forgetful());
  const LabFixture& lab = world.lab;
  world.mark(1);
  lab.wait_captured();

  // Dropped while nobody streamed, and the primary still has everything: nothing is lost.
  world.lab.kill_services();
  REQUIRE(wait_until([&] { return lab.value("SELECT active FROM pg_replication_slots") == "f"; }, 20s));
  lab.execute("SELECT pg_drop_replication_slot('walback')");
  CHECK(world.found("wrong|slot walback|does not exist: nothing after 0/"));
  const WalbackRun covered = lab.walback({"init"});
  CHECK(covered.exit_code == 6);
  CHECK(has(covered.err, "slot 'walback' vanished from the primary, and the archive goes on at 0/"));
  const WalbackRun refused = lab.walback({"capture", "--accept-gap"});
  CHECK(refused.exit_code == 2);
  CHECK(has(refused.err,
            "nothing was accepted: replication slot 'walback' vanished: it is made anew, and nothing "
            "is lost: the primary still has the WAL that comes next"));
  CHECK(lab.value("SELECT count(*) FROM pg_replication_slots") == "0");
  CHECK(lab.ask({"capture", "--accept-gap", "--yes"}).at("epoch_opened") == false);
  world.lab.start_services();
  REQUIRE(wait_until([&] { return world.streams(1); }, 30s));
  world.mark(2);
  lab.wait_captured();
  CHECK(world.gaps() == 0);
  CHECK(world.said() == "");

  // Away for too long: the primary removes what the slot needs.
  const std::string before_gap = lab.ask({"commits"}).back().at("lsn");
  world.lab.kill_services();
  world.mark(3);
  world.write_segments(8);
  lab.execute("CHECKPOINT");
  REQUIRE(lab.value("SELECT wal_status FROM pg_replication_slots") == "lost");
  world.lab.start_services();
  REQUIRE(wait_until([&] { return has(world.log(), "capture_cannot_go_on"); }, 20s));
  CHECK(has(world.log(),
            "replication slot 'walback' was invalidated (wal_status lost): the primary removed WAL"));
  CHECK(world.found("wrong|slot walback|is lost: the primary removed WAL that it needed; nothing after 0/"));
  const WalbackRun status = lab.walback({"status", "--exit-code"});
  CHECK(status.exit_code == 13);
  CHECK(has(status.out, "slot 'walback' is lost: nothing after 0/"));
  CHECK(has(status.out, "the capturer's last words: replication slot 'walback' was invalidated"));

  // Killed between its steps it is repeated as it is.
  const std::vector<std::string> accept{"capture", "--accept-gap", "--yes"};
  killed_at(lab, "accept_gap.slot_made", accept);
  killed_at(lab, "accept_gap.recorded", accept);
  const Json accepted = lab.ask(accept);
  CHECK(accepted.at("epoch_opened") == true);
  REQUIRE(accepted.at("accepted").size() == 1);
  const std::string from = accepted.at("accepted")[0].at("from_lsn");
  CHECK(names_in(world.epoch(2)).empty());
  REQUIRE(wait_until([&] { return world.streams(2); }, 60s));
  world.mark(4);
  lab.wait_captured();
  const std::vector<std::string> unprotected = world.findings();
  REQUIRE_MESSAGE(unprotected.size() == 1, world.said());
  CHECK(has(unprotected[0], "wrong|accepted gap on timeline 1|"));
  CHECK(
      has(unprotected[0], fmt::format("; base backup {} reaches only up to {}; protection is missing until a "
                                      "new base backup is finished",
                                      world.first_backup, from)));
  CHECK(lab.walback({"check"}).exit_code == 13);

  // A way across it is refused, by what is missing.
  const std::string behind = world.position();
  lab.execute("CREATE TABLE after_gap (a int)");
  lab.wait_captured();
  const WalbackRun across = lab.walback({"plan", "--to-lsn", behind});
  CHECK(across.exit_code == 4);
  CHECK_MESSAGE(has(across.err, "needs WAL that is not in the archive: segment "), across.err);
  CHECK_MESSAGE(has(across.err, "was captured only up to " + from), across.err);

  const std::string renewed = lab.ask({"backup"}).at("id");
  const std::vector<std::string> protects = world.findings();
  REQUIRE(protects.size() == 1);
  CHECK(has(protects[0], "note|accepted gap on timeline 1|"));
  CHECK(has(protects[0], "; protected again since 20"));
  CHECK(has(protects[0], ", by base backup " + renewed));
  CHECK(lab.walback({"check"}).exit_code == 0);
  CHECK(lab.walback({"status", "--exit-code"}).exit_code == 0);

  // Both sides stay reachable, each from its own base backup.
  const auto marks = [&](const LabFixture::Restored& cluster) {
    auto connection = world.lab.connect(cluster);
    return connection.query("SELECT string_agg(id::text, ' ' ORDER BY id) FROM marks").value().text(0, 0);
  };
  const auto old = world.lab.restore({"--to-lsn", before_gap});
  CHECK(marks(old) == "1 2");
  world.lab.stop(old);
  world.mark(5);
  lab.wait_captured();
  const auto now = world.lab.restore({"--to-latest"});
  CHECK(marks(now) == "1 2 3 4 5");
  world.lab.stop(now);
}

TEST_CASE(
    "gap: what somebody deletes, truncates or replaces in the archive is said at once, and heals when it "
    "comes back") {
  LabOptions options;
  options.segment_size_mb = 1;
  options.fsync = true;  // `check` wants it
  World world(options);
  const LabFixture& lab = world.lab;
  world.write_segments(4);
  lab.wait_captured();
  REQUIRE(world.gaps() == 0);
  // Under load every wake has news: the tampering must be seen all the same, long before the next whole scan.
  LoadSetup load = lab.load_setup(2, 60);
  BackgroundLoad running(load);
  REQUIRE(wait_until([&] { return running.acknowledged() > 20; }, 20s));

  const auto said_and_healed = [&](const Path& path, const std::function<void()>& harm,
                                   const std::string& problem) {
    CAPTURE(path.string());
    const Path aside = lab.directory() / "aside";
    std::filesystem::copy_file(path, aside, std::filesystem::copy_options::overwrite_existing);
    const std::size_t before = world.log().size();
    const auto news = [&](const std::string& text) { return has(world.log().substr(before), text); };
    harm();
    CHECK(wait_until([&] { return news("gap_found"); }, 8s));
    CHECK(news(problem));
    CHECK(news("is out of reach; base backup " + world.first_backup));
    CHECK(news("protection is missing until a new base backup is finished"));
    CHECK(lab.walback({"status", "--exit-code"}).exit_code == 13);
    CHECK(world.found("wrong|gap on timeline 1|"));
    std::filesystem::copy_file(aside, path, std::filesystem::copy_options::overwrite_existing);
    CHECK(wait_until([&] { return news("gap_healed"); }, 8s));
    CHECK(world.gaps() == 0);
  };
  const std::vector<std::string> names = world.finished();
  REQUIRE(names.size() >= 5);
  const Path middle = world.epoch(1) / names[names.size() - 3], newest = world.epoch(1) / names.back();
  said_and_healed(
      middle, [&] { std::filesystem::remove(middle); }, "missing: " + names[names.size() - 3]);
  said_and_healed(
      middle, [&] { std::filesystem::resize_file(middle, 4096); },
      "wrong size: 4096 bytes, expected 1048576");
  said_and_healed(
      middle,
      [&] { std::filesystem::copy_file(newest, middle, std::filesystem::copy_options::overwrite_existing); },
      "damaged at ");
  said_and_healed(
      newest, [&] { std::filesystem::remove(newest); }, "missing: " + names.back());

  // The file that pg_receivewal writes to, deleted under it: it would go on into nothing.
  const auto open_file = [&]() -> Path {
    const auto entries = real_file_system().list(world.epoch(1));
    if (!entries) return {};
    for (const DirectoryEntry& entry : *entries)
      if (entry.name.ends_with(".partial")) return world.epoch(1) / entry.name;
    return {};
  };
  REQUIRE(wait_until([&] { return !open_file().empty(); }, 10s));
  running.request_stop();
  static_cast<void>(running.finish());
  lab.execute("SELECT pg_switch_wal()");
  world.mark(1);
  REQUIRE(wait_until([&] { return !open_file().empty(); }, 10s));
  lab.wait_captured();
  std::filesystem::remove(open_file());
  CHECK(wait_until([&] { return has(world.log(), "wal_file_vanished"); }, 15s));
  CHECK(wait_until([&] { return !open_file().empty() && world.streams(1); }, 15s));
  lab.wait_captured();
  CHECK(wait_until([&] { return world.gaps() == 0; }, 10s));
  CHECK(world.said() == "");

  // Everything, the directory too: what the primary no longer has is lost, the rest is fetched anew.
  std::filesystem::remove_all(world.epoch(1));
  CHECK(wait_until([&] { return has(world.log(), "segments_missing"); }, 10s));
  world.mark(2);
  CHECK(wait_until([&] { return !open_file().empty() && world.streams(1); }, 30s));
  lab.wait_captured();
  CHECK(world.found("base backup " + world.first_backup +
                    " is unusable; protection is missing until a new base "
                    "backup is finished"));
  CHECK(lab.ask({"capture", "--accept-gap", "--yes"}).at("slot_created") == false);
  static_cast<void>(lab.ask({"backup"}));
  CHECK(wait_until([&] { return lab.walback({"check"}).exit_code == 0; }, 10s));
  CHECK(world.found("note|accepted gap on timeline 1|"));
  CHECK(lab.walback({"status", "--exit-code"}).exit_code == 0);
}
