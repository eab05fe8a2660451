#pragma once
#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "base/result.h"
#include "catalog/archive_layout.h"
#include "os/file_system.h"
#include "restore/plan.h"

namespace walback {

/// How many segments may wait in the spool for replay: 64, and of large ones no more than a gigabyte's worth,
/// but two at least.
[[nodiscard]] std::uint64_t segments_ahead(SegmentSize size);

/// Keeps the spool filled with the plan's WAL, a bounded number of segments ahead of replay, in its own
/// thread.
///
/// Each segment is read whole, held against the checksum with which it was indexed, and written as a copy:
/// nothing in the spool shares an inode with the archive, because PostgreSQL overwrites segments that it
/// recycles. The `.partial` goes out under its bare name and at full size. A segment that will not do ends
/// the restore: the reason goes into the spool before PostgreSQL can ask again, and to failure().
class Feeder {
 public:
  struct Setup {
    FileSystem& files;
    const ArchiveLayout& archive;
    const RestorePlan& plan;
    Path spool;
    std::function<std::optional<std::uint32_t>(const PlannedSegment&)> checksum_of;
    /// Hears, in the feeder's thread, of a segment whose bytes are not those that were indexed.
    std::function<void(const PlannedSegment&, const std::string& problem)> on_damage = {};
    std::uint64_t ahead = segments_ahead(plan.identity.segment_size);  ///< may wait in the spool
  };
  explicit Feeder(Setup setup) : setup_(std::move(setup)) {}
  ~Feeder();
  Feeder(const Feeder&) = delete;
  Feeder& operator=(const Feeder&) = delete;

  /// Lays the spool out (history files at once) and starts to feed.
  [[nodiscard]] Status start();
  [[nodiscard]] std::optional<Error> failure() const;
  /// How many of the plan's segments PostgreSQL has taken. Costs a look at what waits in the spool, never at
  /// what went through it.
  [[nodiscard]] std::uint64_t served() const;

 private:
  Status lay_out_histories(std::vector<std::string>& names);
  void feed(const std::stop_token& stop);
  Status place(const PlannedSegment& segment);
  Result<std::string> read_segment(const PlannedSegment& segment);
  Status check_finished(const PlannedSegment& segment, const std::string& source, const std::string& bytes);
  bool wait_for_room(const std::stop_token& stop);
  void fail_with(const Error& error);

  Setup setup_;
  std::atomic<std::uint64_t> placed_ = 0;
  std::uint64_t histories_ = 0;
  mutable std::mutex mutex_;
  std::optional<Error> failure_;
  std::jthread thread_;
};

/// The text of <spool>/plan.
[[nodiscard]] std::string spool_plan(const RestorePlan& plan, const std::vector<std::string>& histories);

}  // namespace walback
