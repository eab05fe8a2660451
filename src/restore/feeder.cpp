#include "restore/feeder.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/crc32c.h"
#include "base/spool.h"
#include "os/crash_point.h"
#include "os/system.h"

namespace walback {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPoll{5};
/// Longer than any pause of the feeder, shorter than a person's patience: see walback-fetch.
constexpr std::int64_t kFetchTimeoutMs = 300'000;
constexpr std::string_view kWithoutIt = "`walback plan` names what can be reached without it.";

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

std::uint64_t segments_ahead(SegmentSize size) {
  constexpr std::uint64_t kMost = 64, kLeast = 2, kBytes = 1ULL << 30;
  return std::clamp(kBytes / size.bytes(), kLeast, kMost);
}

/// All known histories are served, not only the plan's: so PostgreSQL takes a free number for the new
/// timeline.
Status Feeder::lay_out_histories(std::vector<std::string>& names) {
  FileSystem& files = setup_.files;
  for (const DirectoryEntry& epoch : TRY(files.list(setup_.archive.wal()))) {
    if (epoch.kind != FileKind::directory) continue;
    for (const DirectoryEntry& entry : TRY(files.list(setup_.archive.wal() / epoch.name))) {
      const auto name = parse_wal_file_name(entry.name, setup_.plan.identity.segment_size);
      if (!name || name->kind != WalFileKind::history) continue;
      const Path ready = setup_.spool / spool::kReady / entry.name;
      if (exists(files, ready)) continue;
      TRY(files.copy_file(setup_.archive.wal() / epoch.name / entry.name, ready));
      names.push_back(entry.name);
    }
  }
  return {};
}

Status Feeder::start() {
  FileSystem& files = setup_.files;
  TRY(files.create_directories(setup_.spool / spool::kReady));
  TRY(files.create_directories(setup_.spool / spool::kServed));
  std::vector<std::string> histories;
  TRY(lay_out_histories(histories));
  histories_ = histories.size();
  TRY(files.write(setup_.spool / spool::kPlan, spool_plan(setup_.plan, histories)));
  thread_ = std::jthread([this](const std::stop_token& stop) { feed(stop); });
  return {};
}

void Feeder::feed(const std::stop_token& stop) {
  each_planned_segment(setup_.plan, [&](const PlannedSegment& segment) {
    if (!wait_for_room(stop)) return false;
    if (const Status done = place(segment); !done) {
      fail_with(done.error());
      return false;
    }
    return true;
  });
}

/// False: the restore is over.
bool Feeder::wait_for_room(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    if (placed_ < served() + setup_.ahead) return true;
    sleep_for(stop, kPoll);
  }
  return false;
}

/// The file is looked for twice: pg_receivewal may finish a `.partial` at any moment.
Result<std::string> Feeder::read_segment(const PlannedSegment& segment) {
  const SegmentSize size = setup_.plan.identity.segment_size;
  const Path planned = file_of(segment, setup_.archive, size);
  auto bytes = setup_.files.read(planned, size.bytes());
  if (!bytes && bytes.error().kind == ErrorKind::not_found && segment.state != SegmentState::finished) {
    Path finished = planned;
    bytes = setup_.files.read(finished.replace_extension(), size.bytes());
  }
  if (!bytes && bytes.error().kind == ErrorKind::not_found) {
    return fail(ErrorKind::not_found,
                fmt::format("WAL segment '{}' is missing, and the plan needs it", planned.string()),
                std::string(kWithoutIt));
  }
  return bytes;
}

Status Feeder::check_finished(const PlannedSegment& segment, const std::string& source,
                              const std::string& bytes) {
  const SegmentSize size = setup_.plan.identity.segment_size;
  std::string problem, why;
  if (bytes.size() != size.bytes()) {
    problem = fmt::format("has {} bytes, expected {}", bytes.size(), size.bytes());
    why = "The archive's copy was cut. ";
  } else if (const auto expected = setup_.checksum_of(segment)) {
    const std::uint32_t found = crc32c(bytes);
    if (found == *expected) return {};
    problem = fmt::format("is not what was captured: checksum {:08x}, expected {:08x}", found, *expected);
    why = "The archive's disk changed it. ";
  }
  if (problem.empty()) return {};
  if (setup_.on_damage) setup_.on_damage(segment, problem);
  return fail(ErrorKind::corrupt, fmt::format("WAL segment '{}' {}", source, problem),
              why + std::string(kWithoutIt));
}

Status Feeder::place(const PlannedSegment& segment) {
  const SegmentSize size = setup_.plan.identity.segment_size;
  const std::string source = file_of(segment, setup_.archive, size).string();
  std::string bytes = TRY(read_segment(segment));
  if (segment.state == SegmentState::finished) TRY(check_finished(segment, source, bytes));
  // PostgreSQL refuses a segment of another size; what lies beyond the end of a short .partial is zero
  // anyway.
  bytes.resize(size.bytes(), '\0');
  const std::string name = file_name(segment.name, size);
  const Path growing = setup_.spool / (name + ".tmp");
  TRY(setup_.files.write(growing, bytes));
  TRY(setup_.files.rename(growing, setup_.spool / spool::kReady / name));
  crash_point("restore.segment_spooled");
  ++placed_;
  return {};
}

std::uint64_t Feeder::served() const {
  const std::uint64_t placed = placed_;
  const auto waiting = setup_.files.list(setup_.spool / spool::kReady);
  if (!waiting || waiting->size() < histories_) return 0;
  const std::uint64_t segments = waiting->size() - histories_;
  return placed - std::min(placed, segments);
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
  // Published: walback-fetch must not read half a reason.
  [[maybe_unused]] const auto told =
      publish(setup_.files, setup_.spool / spool::kFailed, error.message + "\n");
}

}  // namespace walback
