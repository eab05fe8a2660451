#pragma once
#include <doctest/doctest.h>

#include <map>
#include <string>
#include <vector>

#include "catalog/catalog.h"
#include "catalog/moment_codec.h"
#include "restore/plan.h"

/// An archive that exists as catalog rows alone: 16 MB segments, times in seconds after 2026-11-20T10:00:00Z.
namespace walback::test {

inline Timestamp at(double seconds) {
  return {1'795'168'800'000'000 + static_cast<std::int64_t>(seconds * 1'000'000)};
}
inline Lsn operator""_lsn(const char* text, std::size_t size) {
  return *parse_lsn({text, size});
}

class World {
 public:
  static constexpr std::uint64_t kSegment = 16ULL << 20;

  ArchiveIdentity identity{7'301'118, *SegmentSize::from_bytes(kSegment)};
  Catalog catalog = *Catalog::open(":memory:");

  void timeline(std::uint32_t id, const std::string& history = {}, bool captured = true) {
    REQUIRE(catalog.put_timeline({{id}, history, captured && id > 1}));
  }

  TransactionEnd& end(std::uint32_t timeline, Lsn lsn, double seconds, std::uint32_t xid,
                      TransactionEndKind kind = TransactionEndKind::commit) {
    TransactionEnd one;
    one.lsn = lsn;
    one.end_lsn = lsn + 0x30;
    one.time = at(seconds);
    one.xid = xid;
    one.kind = kind;
    auto& ends = ends_[timeline];
    ends.push_back(one);
    return ends.back();
  }

  /// Finished segments, full to their last byte: the last record starts 0x50 bytes before the end.
  void finished(std::uint32_t timeline, std::uint64_t first, std::uint64_t last) {
    for (auto number = first; number <= last; ++number) put(row(timeline, number));
  }
  /// The `.partial`, its last record being [last_record, valid_end).
  void open(std::uint32_t timeline, std::uint64_t number, Lsn last_record, Lsn valid_end,
            SegmentState state = SegmentState::open) {
    auto one = row(timeline, number);
    one.state = state;
    one.last_record_lsn = last_record;
    one.valid_end_lsn = valid_end;
    put(one);
  }
  void damaged(std::uint32_t timeline, std::uint64_t number, Lsn last_record, Lsn valid_end) {
    auto one = row(timeline, number);
    one.last_record_lsn = last_record;
    one.valid_end_lsn = valid_end;
    one.problem = "damaged at " + to_string(valid_end) + ": the checksum is wrong";
    put(one);
  }
  void foreign(std::uint32_t timeline, std::uint64_t number) {
    auto one = row(timeline, number);
    one.first_record_lsn.reset();
    one.last_record_lsn.reset();
    one.valid_end_lsn = one.start_lsn;
    one.problem = "of another cluster: system identifier 42";
    put(one);
  }
  [[nodiscard]] SegmentRow row(std::uint32_t timeline, std::uint64_t number) const {
    SegmentRow one;
    one.name = {{timeline}, {number}};
    one.state = SegmentState::finished;
    one.start_lsn = Lsn{number * kSegment};
    one.valid_end_lsn = one.start_lsn + kSegment;
    one.first_record_lsn = one.start_lsn + 0x28;
    one.last_record_lsn = one.valid_end_lsn.value - 0x50 > 0 ? Lsn{one.valid_end_lsn.value - 0x50} : Lsn{};
    one.size_bytes = kSegment;
    return one;
  }
  void put(SegmentRow one) {
    for (const auto& end : ends_[one.name.timeline.value])
      if (end.end_lsn > one.start_lsn && end.end_lsn <= one.start_lsn + kSegment) one.ends.push_back(end);
    one.records = one.ends.size() + 2;
    const auto stored = catalog.put_segment(one);
    REQUIRE_MESSAGE(stored, (stored ? "" : stored.error().message));
  }

  BackupRow backup(const std::string& id, std::uint32_t timeline, Lsn start, Lsn stop, double finished_at) {
    BackupRow one;
    one.id = id;
    one.timeline = {timeline};
    one.start_lsn = start;
    one.checkpoint_lsn = start + 0x38;
    one.stop_lsn = stop;
    one.started_at = at(finished_at - 10);
    one.finished_at = at(finished_at);
    one.size_bytes = 23 << 20;
    one.server_version_num = 150020;
    REQUIRE(catalog.put_backup(one));
    return one;
  }
  void watermark(std::uint32_t timeline, Lsn lsn, double seconds) {
    REQUIRE(catalog.put_watermark({{timeline}, lsn, at(seconds)}));
  }
  template <class What>
  void event(std::uint32_t timeline, Lsn lsn, const What& what, std::uint32_t xid = 0) {
    REQUIRE(catalog.put_moment(moment_of({timeline}, Event{lsn, lsn + 0x40, xid, what})));
  }

  [[nodiscard]] tl::expected<RestorePlan, Refusal> plan(const RecoveryTarget& target) const {
    return plan_or_refuse(target, catalog, identity);
  }
  /// "B1 with 0/3000100, last 10, next 11, end 0/3000130, 2 segments", or the error's whole text.
  [[nodiscard]] std::string outcome(const RecoveryTarget& target) const {
    const auto plan = plan_or_refuse(target, catalog, identity);
    if (!plan) return render(plan.error().error);
    const auto xid = [](const auto& commit) {
      return commit ? std::to_string(commit->xid) : std::string("-");
    };
    return plan->backup.id + (plan->stop.inclusive ? " with " : " before ") + to_string(plan->stop.lsn) +
           " on " + std::to_string(plan->timeline.value) + ", last " + xid(plan->last_commit) + ", next " +
           xid(plan->next_commit) + ", end " + (plan->expected_end ? to_string(*plan->expected_end) : "?") +
           ", " + std::to_string(plan->segment_count) + " segments";
  }

 private:
  std::map<std::uint32_t, std::vector<TransactionEnd>> ends_;
};

/// Timeline 1: backup B1 consistent at 0/2000128, commits 10 to 13 at 200, 300, 400 and 500 s, the last one
/// in the open segment.
inline void fill_one_timeline(World& world) {
  world.timeline(1);
  world.end(1, "0/3000100"_lsn, 200, 10);
  world.end(1, "0/4000100"_lsn, 300, 11);
  world.end(1, "0/5000100"_lsn, 400, 12);
  world.end(1, "0/7000100"_lsn, 500, 13);
  world.finished(1, 2, 6);
  world.open(1, 7, "0/7000200"_lsn, "0/7000240"_lsn);
  world.backup("B1", 1, "0/2000028"_lsn, "0/2000128"_lsn, 100);
}

inline RecoveryTarget to_time(double seconds, bool before = false) {
  RecoveryTarget target;
  target.kind = TargetKind::time;
  target.time = at(seconds);
  target.before = before;
  return target;
}
inline RecoveryTarget to_lsn(Lsn lsn, bool before = false) {
  RecoveryTarget target;
  target.kind = TargetKind::lsn;
  target.lsn = lsn;
  target.before = before;
  return target;
}
inline RecoveryTarget to_xid(std::uint32_t xid, bool before = false) {
  RecoveryTarget target;
  target.kind = TargetKind::xid;
  target.xid = xid;
  target.before = before;
  return target;
}
inline RecoveryTarget to_name(const std::string& name, bool before = false) {
  RecoveryTarget target;
  target.kind = TargetKind::name;
  target.name = name;
  target.before = before;
  return target;
}
inline RecoveryTarget to(TargetKind kind) {
  RecoveryTarget target;
  target.kind = kind;
  return target;
}
inline RecoveryTarget on_timeline(RecoveryTarget target, std::uint32_t timeline) {
  target.timeline = TimelineId{timeline};
  return target;
}

}  // namespace walback::test
