#pragma once
#include <optional>
#include <vector>

#include "archive/archive_context.h"
#include "base/result.h"
#include "catalog/catalog.h"

namespace walback {

/// Which segments were found right, in runs: looked up before anything is read, and written in batches on the
/// way, a journal line and an fsync each.
class VerifiedMemory {
 public:
  /// `since`: older looks do not count.
  VerifiedMemory(const ArchiveContext& archive, Catalog& catalog, Timestamp since)
      : archive_(archive), catalog_(catalog), since_(since) {}

  [[nodiscard]] Status load();
  /// When each of an epoch's rows was verified; nothing where it was not, or where one of its run changed
  /// since. `rows` in (timeline, number) order.
  void mark(const std::vector<SegmentRow>& rows, std::vector<std::optional<Timestamp>>& verified) const;

  /// A finished segment without a problem was read and is right. Written with its run.
  [[nodiscard]] Status add(const SegmentRow& row, Timestamp begun);
  [[nodiscard]] Status flush();

  void relied_on(Timestamp look);
  [[nodiscard]] std::optional<Timestamp> oldest_look() const { return oldest_look_; }

 private:
  ArchiveContext archive_;
  Catalog& catalog_;
  Timestamp since_;
  std::vector<VerifiedRun> runs_;
  std::vector<SegmentRow> pending_;
  Timestamp pending_begun_;
  std::int64_t pending_since_us_ = 0;
  std::optional<Timestamp> oldest_look_;
};

/// What a kill may cost.
inline constexpr std::int64_t kRememberEveryUs = 5'000'000;

/// Over size, change time and checksum of each, in order.
[[nodiscard]] std::uint32_t digest_of(const SegmentRow* rows, std::size_t count);

}  // namespace walback
