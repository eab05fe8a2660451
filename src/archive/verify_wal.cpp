#include "archive/verify_wal.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "archive/continuity.h"
#include "archive/earlier_segments.h"
#include "archive/verified_memory.h"
#include "archive/verify_names.h"
#include "archive/verify_segment.h"
#include "base/text.h"
#include "catalog/archive.h"
#include "catalog/verified_journal.h"

namespace walback {
namespace {

using Kind = WalFinding::Kind;

struct EpochRows {
  EpochFiles files;
  std::vector<SegmentRow> rows;  ///< in (timeline, number) order
};

class Verifier {
 public:
  Verifier(const VerifyWalSetup& setup, Catalog& catalog, Timestamp since, Progress& progress,
           std::stop_token stop)
      : setup_(setup),
        archive_(setup.archive),
        catalog_(catalog),
        size_(setup.archive.identity.segment_size),
        since_(since),
        progress_(progress),
        stop_(std::move(stop)) {}

  Result<WalVerification> run() {
    begun_us_ = archive_.clock.monotonic_us();
    // Listed before the index is brought up to date: then a file without a row is news to nobody.
    const std::vector<EpochFiles> listed = TRY(list());
    TRY(setup_.freshen());
    TRY(read_histories(listed));
    gaps_ = TRY(catalog_.gaps());
    std::vector<EpochRows> epochs;
    for (const EpochFiles& files : listed) epochs.push_back({files, {}});
    VerifiedMemory memory(archive_, catalog_, since_);
    TRY(memory.load());
    for (EpochRows& epoch : epochs) TRY(load_rows(epoch));
    for (const EpochRows& epoch : epochs) plan_work(epoch, memory);
    for (const EpochRows& epoch : epochs) TRY(verify_epoch(epoch, memory));
    for (const EpochRows& epoch : epochs) TRY(look_for_rows(epoch));
    TRY(look_at_gaps());
    result_.oldest_look = memory.oldest_look();
    progress_.finish();
    return std::move(result_);
  }

 private:
  Result<std::vector<EpochFiles>> list() {
    const EpochList epochs = TRY(list_epochs(archive_.files, archive_.layout));
    std::vector<EpochFiles> all;
    for (const std::uint32_t number : epochs.numbers)
      all.push_back(TRY(list_epoch(archive_.files, archive_.layout, number, size_)));
    add(look_at_names(archive_.layout, epochs.unknown, all));
    return all;
  }

  Status load_rows(EpochRows& epoch) {
    return catalog_.each_segment_of_epoch(epoch.files.epoch, [&](const SegmentRow& row) {
      epoch.rows.push_back(row);
      return true;
    });
  }

  Status read_histories(const std::vector<EpochFiles>& listed) {
    const auto timelines = TRY(catalog_.timelines());
    add(look_at_histories(archive_, timelines, listed));
    for (const TimelineRow& row : timelines) {
      TimelineHistory history{row.timeline, {}};
      if (row.history_captured) {
        if (auto parsed = parse_timeline_history(row.timeline, row.history)) history = std::move(*parsed);
      }
      histories_.insert_or_assign(row.timeline, std::move(history));
    }
    return {};
  }

  void plan_work(const EpochRows& epoch, const VerifiedMemory& memory) {
    memory.mark(epoch.rows, remembered_[epoch.files.epoch]);
    for (std::size_t i = 0; i < epoch.rows.size(); ++i) {
      if (remembered_[epoch.files.epoch].at(i)) continue;
      total_bytes_ += epoch.rows[i].size_bytes;
      ++total_segments_;
    }
  }

  Status verify_epoch(const EpochRows& epoch, VerifiedMemory& memory) {
    const auto& remembered = remembered_[epoch.files.epoch];
    const SegmentRow* previous = nullptr;
    for (std::size_t i = 0; i < epoch.rows.size(); ++i) {
      if (stop_.stop_requested()) {
        TRY(memory.flush());
        return fail(ErrorKind::interrupted,
                    fmt::format("verification was interrupted after {} of {} segments", done_segments_,
                                total_segments_),
                    "`walback verify` goes on from here.");
      }
      const SegmentRow& row = epoch.rows[i];
      TRY(verify_row(row, previous, remembered.at(i), memory));
      previous = &row;
    }
    return memory.flush();
  }

  Status verify_row(const SegmentRow& row, const SegmentRow* previous, std::optional<Timestamp> remembered,
                    VerifiedMemory& memory) {
    const auto found = TRY(find_segment(archive_.files, archive_.layout, row.epoch, row.name, size_));
    if (!found) return missing(row);
    if (remembered && unchanged(row, *found)) {
      ++result_.segments_remembered;
      memory.relied_on(*remembered);
      return {};
    }
    const Timestamp begun = archive_.clock.now();
    const SegmentVerdict verdict =
        TRY(verify_segment(archive_.files, archive_.identity, found->file, row, reading_of(row, previous)));
    // Finished meanwhile, or expired: what it is now is the next one's business.
    if (verdict.vanished) return {};
    count(row, verdict.read_bytes);
    if (!verdict.problem.empty()) return damaged(row, found->file.path, verdict);
    if (row.state == SegmentState::finished && !found->file.partial && row.problem.empty() &&
        unchanged(row, *found)) {
      return memory.add(row, begun);
    }
    memory.relied_on(begun);
    return {};
  }

  [[nodiscard]] static bool unchanged(const SegmentRow& row, const FoundSegment& found) {
    return !found.file.partial && row.size_bytes == found.info.size_bytes &&
           row.mtime_ns == found.info.mtime_ns;
  }

  void count(const SegmentRow& row, std::uint64_t read_bytes) {
    ++result_.segments_read;
    ++done_segments_;
    result_.read_bytes += read_bytes;
    done_bytes_ += row.size_bytes;
    const std::int64_t took_us = std::max<std::int64_t>(archive_.clock.monotonic_us() - begun_us_, 1);
    const double a_second = static_cast<double>(result_.read_bytes) * 1e6 / static_cast<double>(took_us);
    progress_.report({"WAL", done_bytes_, total_bytes_,
                      fmt::format("segment {} of {}, {}/s", done_segments_, total_segments_,
                                  render_bytes(static_cast<std::uint64_t>(a_second)))});
  }

  /// Goes on where the segment before it ends, so that the link between the two is read as well.
  [[nodiscard]] ReadingPlan reading_of(const SegmentRow& row, const SegmentRow* previous) {
    const auto known = histories_.find(row.name.timeline);
    ReadingPlan how{
        .from = ReadFrom::first_at_or_after(row.start_lsn),
        .own_begin = {},
        .history = known == histories_.end() ? TimelineHistory{row.name.timeline, {}} : known->second,
        .locate = {}};
    const bool follows = previous && previous->name.timeline == row.name.timeline &&
                         previous->name.number.value + 1 == row.name.number.value &&
                         previous->problem.empty() && previous->state == SegmentState::finished &&
                         previous->last_record_lsn && joins(previous->valid_end_lsn, row, size_);
    if (follows) {
      how.from = ReadFrom::boundary(previous->valid_end_lsn, previous->last_record_lsn);
    } else if (row.first_record_lsn && *row.first_record_lsn >= row.start_lsn) {
      how.from = ReadFrom::boundary(*row.first_record_lsn);
    }
    how.locate = earlier_segments(archive_, catalog_, how.history, row.epoch);
    return how;
  }

  [[nodiscard]] WalRange range_of(const SegmentRow& row, Lsn from) const {
    return {row.name.timeline, from, row.start_lsn + size_.bytes()};
  }

  /// Expired meanwhile: then its row is gone too.
  Status missing(const SegmentRow& row) {
    if (!TRY(catalog_.segment(row.name, row.epoch))) return {};
    const std::string name = file_name(row.name, size_);
    find(Kind::missing, archive_.layout.epoch(row.epoch) / name, "was captured and is gone",
         range_of(row, row.start_lsn));
    if (row.problem.starts_with("missing")) return {};
    return mark(row,
                fmt::format("missing: {} is gone from {}", name, archive_.layout.epoch(row.epoch).string()));
  }

  Status damaged(const SegmentRow& row, const Path& path, const SegmentVerdict& verdict) {
    if (!TRY(catalog_.segment(row.name, row.epoch))) return {};
    const Lsn from =
        std::max(row.start_lsn, verdict.problem.starts_with(kDamaged) ? verdict.good_until : Lsn{});
    find(Kind::damaged, path, verdict.problem, range_of(row, from));
    if (!row.problem.empty()) return {};
    // Behind this word an intake reads the segment again, and writes what it finds.
    return mark(row, verdict.problem.starts_with(kUnreadable)
                         ? verdict.problem
                         : std::string(kUnreadable) + ": " + verdict.problem);
  }

  Status mark(const SegmentRow& row, const std::string& problem) {
    archive_.log.error("verify", "segment_unusable",
                       {{key::segment, file_name(row.name, size_)},
                        {key::epoch, std::to_string(row.epoch)},
                        {"problem", problem}});
    return catalog_.set_segment_problem(row.name, row.epoch, problem);
  }

  Status look_for_rows(const EpochRows& epoch) {
    std::set<SegmentName> known;
    for (const SegmentRow& row : epoch.rows) known.insert(row.name);
    const std::vector<ExpiredWal> expired = TRY(catalog_.expired_wal());
    for (const SegmentFile& file : epoch.files.segments) {
      // pg_receivewal makes a `.partial` and fills it before any record is in it.
      if (known.contains(file.name) || has_expired(expired, file.name) || file.partial) continue;
      const auto still = TRY(find_segment(archive_.files, archive_.layout, file.epoch, file.name, size_));
      if (!still || TRY(catalog_.segment(file.name, file.epoch))) continue;
      find(Kind::not_indexed, file.path, "is not in the catalog yet");
    }
    return {};
  }

  Status look_at_gaps() {
    // Marks that were set on the way may have opened new ones; they are told already.
    for (const GapRow& gap : gaps_) {
      if (gap.accepted || told(gap)) continue;
      find(Kind::gap,
           Path(fmt::format("timeline {}, {} to {}", gap.timeline.value, to_string(gap.from),
                            to_string(gap.to))),
           gap.reason, WalRange{gap.timeline, gap.from, gap.to});
    }
    return {};
  }

  /// A segment that was found missing or damaged says it already.
  [[nodiscard]] bool told(const GapRow& gap) const {
    return std::ranges::any_of(result_.findings, [&](const WalFinding& finding) {
      return finding.lost && finding.lost->timeline == gap.timeline && finding.lost->from < gap.to &&
             gap.from < finding.lost->to;
    });
  }

  [[nodiscard]] bool is_accepted(const WalRange& lost) const {
    return std::ranges::any_of(gaps_, [&](const GapRow& gap) {
      return gap.accepted && gap.timeline == lost.timeline && gap.from < lost.to && lost.from < gap.to;
    });
  }

  void add(std::vector<WalFinding> found) {
    for (WalFinding& finding : found) result_.findings.push_back(std::move(finding));
  }
  void find(Kind kind, const Path& subject, std::string text, std::optional<WalRange> lost = {}) {
    if (lost && is_accepted(*lost)) {
      kind = Kind::accepted;
      text += "; the gap was accepted";
    }
    result_.findings.push_back({kind, subject.string(), std::move(text), lost});
  }

  const VerifyWalSetup& setup_;
  const ArchiveContext& archive_;
  Catalog& catalog_;
  SegmentSize size_;
  Timestamp since_;
  Progress& progress_;
  std::stop_token stop_;
  std::map<TimelineId, TimelineHistory> histories_{{TimelineId{1}, {TimelineId{1}, {}}}};
  std::map<std::uint32_t, std::vector<std::optional<Timestamp>>> remembered_;  ///< by epoch, one a row
  std::vector<GapRow> gaps_;  ///< as they were when this began
  std::int64_t begun_us_ = 0;
  std::uint64_t total_segments_ = 0, total_bytes_ = 0, done_segments_ = 0, done_bytes_ = 0;
  WalVerification result_;
};

}  // namespace

Result<WalVerification> verify_wal(const VerifyWalSetup& setup, Catalog& catalog, Timestamp since,
                                   Progress& progress, std::stop_token stop) {
  return Verifier(setup, catalog, since, progress, std::move(stop)).run();
}

}  // namespace walback
