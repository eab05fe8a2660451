#include "restore/feeder.h"

#include <fmt/format.h>

#include "base/crc32c.h"
#include "base/spool.h"
#include "os/system.h"

namespace walback {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPoll{5};
/// Longer than any pause of the feeder, shorter than a person's patience: see walback-fetch.
constexpr std::int64_t kFetchTimeoutMs = 300'000;

}  // namespace

std::string spool_plan(const RestorePlan& plan, const std::vector<std::string>& histories) {
  const SegmentSize size = plan.identity.segment_size;
  std::string text = fmt::format("segment_size {}\ntimeout_ms {}\n", size.bytes(), kFetchTimeoutMs);
  for (const std::string& history : histories) text += "history " + history + "\n";
  each_planned_segment(plan, [&](const PlannedSegment& segment) {
    text += "segment " + file_name(segment.name, size) + "\n";
    return true;
  });
  return text;
}

Feeder::~Feeder() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

Status Feeder::start() {
  FileSystem& files = setup_.files;
  TRY(files.create_directories(setup_.spool / spool::kReady));
  TRY(files.create_directories(setup_.spool / spool::kServed));
  // All known histories are served, not only the plan's: so PostgreSQL takes a free number for the new
  // timeline.
  std::vector<std::string> histories;
  for (const DirectoryEntry& epoch : TRY(files.list(setup_.archive.wal()))) {
    for (const DirectoryEntry& entry : TRY(files.list(setup_.archive.wal() / epoch.name))) {
      const auto name = parse_wal_file_name(entry.name, setup_.plan.identity.segment_size);
      if (!name || name->kind != WalFileKind::history) continue;
      const Path ready = setup_.spool / spool::kReady / entry.name;
      if (exists(files, ready)) continue;
      TRY(files.copy_file(setup_.archive.wal() / epoch.name / entry.name, ready));
      histories.push_back(entry.name);
    }
  }
  TRY(files.write(setup_.spool / spool::kPlan, spool_plan(setup_.plan, histories)));
  thread_ = std::jthread([this](const std::stop_token& stop) { feed(stop); });
  return {};
}

void Feeder::feed(const std::stop_token& stop) {
  std::uint64_t placed = 0;
  each_planned_segment(setup_.plan, [&](const PlannedSegment& segment) {
    if (!wait_for_room(stop, placed)) return false;
    if (const Status done = place(segment); !done) {
      fail_with(done.error());
      return false;
    }
    ++placed;
    return true;
  });
}

/// False: the restore is over.
bool Feeder::wait_for_room(const std::stop_token& stop, std::uint64_t placed) {
  while (!stop.stop_requested()) {
    if (placed < served() + setup_.ahead) return true;
    sleep_for(stop, kPoll);
  }
  return false;
}

Status Feeder::place(const PlannedSegment& segment) {
  const SegmentSize size = setup_.plan.identity.segment_size;
  Path source = file_of(segment, setup_.archive, size);
  if (segment.state != SegmentState::finished && !exists(setup_.files, source)) {
    // pg_receivewal may have finished it since the plan was made.
    source.replace_extension();
  }
  std::string bytes = TRY(setup_.files.read(source, size.bytes()));
  const bool finished = segment.state == SegmentState::finished;
  if (finished && bytes.size() != size.bytes()) {
    return fail(ErrorKind::corrupt,
                fmt::format("WAL segment '{}' has {} bytes, expected {}", source.string(), bytes.size(),
                            size.bytes()),
                "The archive's copy was cut; `walback plan` names what can be reached without it.");
  }
  const auto expected = finished ? setup_.checksum_of(segment) : std::nullopt;
  if (expected && crc32c(bytes) != *expected) {
    return fail(ErrorKind::corrupt,
                fmt::format("WAL segment '{}' is not what was captured: checksum {:08x}, expected {:08x}",
                            source.string(), crc32c(bytes), *expected),
                "The archive's disk changed it; `walback plan` names what can be reached without it.");
  }
  // PostgreSQL refuses a segment of another size; what lies beyond the end of a short .partial is zero
  // anyway.
  bytes.resize(size.bytes(), '\0');
  const std::string name = file_name(segment.name, size);
  const Path ready = setup_.spool / spool::kReady / name;
  const Path growing = setup_.spool / (name + ".tmp");
  TRY(setup_.files.write(growing, bytes));
  return setup_.files.rename(growing, ready);
}

std::uint64_t Feeder::served() const {
  const auto entries = setup_.files.list(setup_.spool / spool::kServed);
  return entries ? entries->size() : 0;
}

std::optional<Error> Feeder::failure() const {
  const std::scoped_lock lock(mutex_);
  return failure_;
}

void Feeder::fail_with(const Error& error) {
  {
    const std::scoped_lock lock(mutex_);
    failure_ = error;
  }
  // Best effort: without it walback-fetch waits until its time is up and then stops recovery all the same.
  [[maybe_unused]] const auto told = setup_.files.write(setup_.spool / spool::kFailed, error.message + "\n");
}

}  // namespace walback
