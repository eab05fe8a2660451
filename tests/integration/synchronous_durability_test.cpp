#include <doctest/doctest.h>
#include <fmt/format.h>

#include <csignal>
#include <map>
#include <sstream>

#include "integration/support/crash.h"
#include "os/process.h"
#include "os/system.h"
#include "pg/binaries.h"
#include "wal/segment_name.h"

/// What pg_receivewal tells the primary to be flushed is on disk, whatever the plug does: its writes, syncs
/// and acknowledgements are written down in order (integration/preload/sync_trace.cpp), and each
/// acknowledgement is held against what would be left.
using namespace walback;
using namespace walback::test;
using namespace std::chrono_literals;

namespace {

struct Range {
  std::uint64_t from = 0, to = 0;
};

/// A segment's file as the disk has it, and what only the page cache has.
struct OnDisk {
  std::uint64_t valid_to = 0;  ///< synced, behind the zeros with which a new one is filled first
  std::vector<Range> unsynced;
  bool synced_once = false, name_synced = false;
};

/// The trace, replayed.
struct Replay {
  explicit Replay(SegmentSize of) : size(of) {}

  void take(const std::string& line) {
    std::istringstream words(line);
    std::string what, path;
    words >> what >> path;
    if (what == "ack") return judge(Lsn{std::stoull(path, nullptr, 16)});
    const auto name = parse_wal_file_name(Path(path).filename().string(), size);
    if (what == "sync" && !name) {
      // The directory: pg_receivewal knows no other.
      for (auto& [number, file] : disk) file.name_synced = true;
    }
    if (!name || name->kind == WalFileKind::history) return;
    OnDisk& file = disk[name->number];
    if (what == "sync") sync(file);
    if (what != "write") return;
    Range range;
    words >> range.from >> range.to;
    file.unsynced.push_back(range);
    newest = path;
  }
  void sync(OnDisk& file) const {
    const bool zeros = !file.synced_once && !file.unsynced.empty() && file.unsynced.back().to == size.bytes();
    if (!zeros && !file.unsynced.empty()) file.valid_to = std::max(file.valid_to, file.unsynced.back().to);
    file.synced_once = true;
    file.unsynced.clear();
  }
  void judge(Lsn flushed) {
    if (flushed <= last_ack || flushed.value == 0) return;
    last_ack = flushed;
    const SegmentNumber number = segment_of(Lsn{flushed.value - 1}, size);
    const auto file = disk.find(number);
    if (file == disk.end()) return;  // where it began: of an earlier run
    ++judged;
    if (!file->second.name_synced || flushed > start_of(number, size) + file->second.valid_to) ++too_early;
  }

  SegmentSize size;
  std::map<SegmentNumber, OnDisk> disk;
  std::string newest;
  Lsn last_ack;
  int judged = 0, too_early = 0;
};

Replay replay(const std::string& trace, SegmentSize size, const std::string& without = "nothing") {
  Replay result(size);
  std::istringstream lines(trace);
  for (std::string line; std::getline(lines, line);)
    if (!line.starts_with(without)) result.take(line);
  return result;
}

/// PostgreSQL's programs, with one of them traced.
Path traced_binaries(const LabFixture& lab, const Path& trace) {
  const auto binaries = find_binaries(Path{});
  REQUIRE(binaries);
  FileSystem& files = real_file_system();
  const Path directory = lab.directory() / "bin";
  REQUIRE(files.create_directories(directory));
  for (const std::string& name : names_in(binaries->directory))
    if (name != "pg_receivewal") REQUIRE(files.create_symlink(binaries->directory / name, directory / name));
  REQUIRE(
      files.write(directory / "pg_receivewal",
                  fmt::format("#!/bin/sh\nWALBACK_SYNC_TRACE='{}' LD_PRELOAD='{}' exec '{}' \"$@\"\n",
                              trace.string(), (own_executable().parent_path() / "libsync_trace.so").string(),
                              binaries->program("pg_receivewal").string())));
  REQUIRE(files.set_mode(directory / "pg_receivewal", 0700));
  return directory;
}

void use_binaries(const LabFixture& lab, const Path& directory) {
  std::string text = real_file_system().read(lab.state().config()).value();
  const auto key = text.find("bin:");
  REQUIRE(key != std::string::npos);
  const auto begin = text.rfind('\n', key) + 1;
  text.replace(begin, text.find('\n', key) - begin, "  bin: " + directory.string());
  REQUIRE(real_file_system().write(lab.state().config(), text));
}

/// What a power cut leaves of the newest file.
void lose_unsynced(const Replay& seen) {
  Path path = seen.newest;
  if (!exists(real_file_system(), path)) path = path.replace_extension();  // finished meanwhile
  const auto name = parse_wal_file_name(path.filename().string(), seen.size);
  REQUIRE(name);
  std::string bytes = real_file_system().read(path).value();
  for (const Range& range : seen.disk.at(name->number).unsynced)
    bytes.replace(range.from, range.to - range.from, range.to - range.from, '\0');
  REQUIRE(real_file_system().write(path, bytes));
}

}  // namespace

TEST_CASE(
    "synchronous: no flush LSN is acknowledged before its bytes and their file's name are on the disk") {
  LabFixture lab({.synchronous = true, .segment_size_mb = 1});
  lab.kill_services();
  const Path trace = lab.directory() / "trace";
  use_binaries(lab, traced_binaries(lab, trace));
  auto capture = real_processes().spawn(lab.command({"capture"}), [](std::string_view) {});
  REQUIRE(capture);
  LoadSetup setup = lab.load_setup(4, 0);
  setup.rate = 400;
  BackgroundLoad load(setup);
  // Over some segment borders.
  REQUIRE(wait_until([&] { return load.acknowledged() > 1'500; }, 60s));
  lab.execute("SELECT pg_switch_wal()");
  const std::uint64_t before = load.acknowledged();
  REQUIRE(wait_until([&] { return load.acknowledged() > before + 200; }, 60s));
  const std::string receiver =
      lab.value("SELECT flush_lsn::text FROM pg_stat_replication WHERE application_name = 'walback_capture'");
  // The plug: nothing is flushed on the way out, and what only the page cache held is gone.
  (*capture)->kill(SIGSTOP);
  const auto status = parse_json(real_file_system().read(lab.archive() / "capture.status").value(), "status");
  const int pid = status->at("receivewal_pid").get<int>();
  REQUIRE(::kill(pid, SIGKILL) == 0);
  (*capture)->kill(SIGKILL);
  static_cast<void>((*capture)->wait(10s));
  const auto acknowledged = load.acknowledged();
  load.request_stop();
  static_cast<void>(load.finish());

  const SegmentSize size = *SegmentSize::from_bytes(1U << 20);
  const std::string text = real_file_system().read(trace).value();
  const Replay seen = replay(text, size);
  CHECK(seen.judged > 100);
  CHECK(seen.too_early == 0);
  CHECK(seen.last_ack >= parse_lsn(receiver).value());
  CHECK(seen.disk.size() >= 2);
  // The judge would have noticed.
  CHECK(replay(text, size, "sync").too_early > 100);

  lose_unsynced(seen);
  const Json segments = lab.ask({"list", "segments"});
  const auto valid_end = parse_lsn(segments.back().at("valid_end_lsn").get<std::string>());
  REQUIRE(valid_end);
  CHECK_MESSAGE(*valid_end >= seen.last_ack, to_string(*valid_end)
                                                 << ", acknowledged " << to_string(seen.last_ack));
  CHECK(lab.ask({"commits"}).size() >= acknowledged);
}
