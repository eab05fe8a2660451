#include "wal/scan_segment.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace walback {
namespace {

template <class T>
void widen(std::optional<T>& least, std::optional<T>& most, T value) {
  if (!least || value < *least) least = value;
  if (!most || value > *most) most = value;
}

void note(SegmentScan& scan, TransactionEnd&& end) {
  ++(is_commit(end.kind) ? scan.commits : scan.aborts);
  if (!scan.first_time) scan.first_time = end.time;
  scan.last_time = end.time;
  widen(scan.min_time, scan.max_time, end.time);
  widen(scan.min_xid, scan.max_xid, end.xid);
  for (const auto xid : end.subxids) widen(scan.min_xid, scan.max_xid, xid);
  scan.ends.push_back(std::move(end));
}

class Scanner {
 public:
  Scanner(WalSource& source, const SegmentScanRequest& request)
      : source_(source),
        request_(request),
        begin_(start_of(request.segment, request.segment_size)),
        end_(begin_ + request.segment_size.bytes()) {}

  Result<SegmentScan> run() {
    auto from = ReadFrom::boundary(begin_);
    if (request_.resume_at) {
      from = ReadFrom::boundary(*request_.resume_at, request_.previous_record);
    } else {
      from = TRY(find_start());
    }
    RecordReader reader = read(from);
    while (const Record* record = reader.next()) {
      if (record->end_lsn > begin_) take(*record, reader);
    }
    if (reader.stop().kind == StopKind::unreadable) return tl::unexpected(reader.source_error());
    scan_.valid_end_lsn = reader.position();
    scan_.stop = reader.stop();
    scan_.server_major = reader.server_major();
    if (!scan_.complete()) TRY(look_behind_stop());
    return std::move(scan_);
  }

 private:
  RecordReader read(const ReadFrom& from) {
    return {source_, {request_.system_identifier, request_.segment_size, request_.timelines, end_}, from};
  }

  void take(const Record& record, RecordReader& reader) {
    ++scan_.records;
    if (!scan_.first_record_lsn) scan_.first_record_lsn = record.lsn;
    scan_.last_record_lsn = record.lsn;
    if (auto* end = reader.transaction_end()) note(scan_, std::move(*end));
    std::ranges::move(reader.events(), std::back_inserter(scan_.events));
    if (const auto given_up = reader.overwritten()) scan_.given_up.push_back({*given_up, record.lsn});
  }

  /// Where a segment that is scanned by itself begins: the START of the record that ends first in it.
  Result<ReadFrom> find_start() {
    const auto here = ReadFrom::first_at_or_after(begin_);
    RecordReader reader = read(here);
    const Record* const first = reader.next();
    if (first == nullptr && reader.stop().kind == StopKind::unreadable) {
      return tl::unexpected(reader.source_error());
    }
    const auto continuation_end = reader.continuation_end();
    if (!continuation_end) return here;
    const auto crossing = first != nullptr ? TRY(check_back_pointer(first->previous, *continuation_end))
                                           : TRY(search_backwards());
    if (crossing) return ReadFrom::boundary(*crossing);
    scan_.headless_end = continuation_end;
    return here;
  }

  /// The back pointer of the first record that begins here names the one that crosses into the segment.
  Result<std::optional<Lsn>> check_back_pointer(Lsn previous, Lsn continuation_end) {
    if (previous >= begin_) return std::optional<Lsn>();
    RecordReader reader = read(ReadFrom::boundary(previous));
    const Record* const record = reader.next();
    if (record == nullptr && reader.stop().kind == StopKind::unreadable) {
      return tl::unexpected(reader.source_error());
    }
    return record != nullptr && record->end_lsn == continuation_end ? std::optional(previous) : std::nullopt;
  }

  /// No record begins and ends here, so none points back to the one that crosses: read on from the segments
  /// before, as far back as a record can reach. It may be incomplete as yet, or end beyond this segment; then
  /// it is where the next scan goes on.
  Result<std::optional<Lsn>> search_backwards() {
    const auto bytes = request_.segment_size.bytes();
    const auto furthest = std::min(kMaxRecord / bytes + 2, request_.segment.value);
    for (std::uint64_t back = 1; back <= furthest; ++back) {
      const Lsn from{begin_.value - back * bytes};
      RecordReader reader = read(ReadFrom::first_at_or_after(from));
      while (const Record* record = reader.next()) {
        if (record->end_lsn > begin_) return std::optional(record->lsn);
      }
      if (reader.stop().kind == StopKind::unreadable) return tl::unexpected(reader.source_error());
      const bool found_start = reader.position() != from;
      if (found_start && reader.position() < begin_) return std::optional(reader.position());
      if (!reader.continuation_end()) break;  // nothing there that could cross
    }
    return std::optional<Lsn>();
  }

  /// Does WAL go on behind the stop?
  Status look_behind_stop() {
    if (scan_.stop.kind == StopKind::foreign_system || scan_.stop.kind == StopKind::unknown_magic) return {};
    scan_.wal_behind_stop = TRY(bytes_behind_zeroes());
    for (Lsn page = std::max(scan_.stop.page, begin_); page < end_ && !scan_.wal_behind_stop;) {
      const auto bytes = TRY(source_.bytes_from(page));
      if (bytes.size() < kShortHeader) return {};
      for (std::uint64_t offset = 0; offset + kShortHeader <= bytes.size(); offset += kPageSize) {
        if (!belongs_at(page + offset, read_page_header(bytes.data() + offset))) continue;
        scan_.wal_behind_stop = page + offset;
        break;
      }
      page = page + std::max(kPageSize, bytes.size() / kPageSize * kPageSize);
    }
    return {};
  }

  [[nodiscard]] bool belongs_at(Lsn page, const PageHeader& header) const {
    return server_major_of(header.magic).has_value() && header.address == page &&
           std::ranges::find(request_.timelines, header.timeline) != request_.timelines.end();
  }

  /// Where a record should begin and zeroes do, the rest of the page is zero too.
  Result<std::optional<Lsn>> bytes_behind_zeroes() {
    const Lsn page = page_of(scan_.stop.lsn);
    if (scan_.stop.kind != StopKind::zeroes || page + kPageSize != scan_.stop.page)
      return std::optional<Lsn>();
    auto bytes = TRY(source_.bytes_from(page));
    bytes = bytes.first(std::min<std::size_t>(bytes.size(), kPageSize));
    bytes = bytes.subspan(std::min<std::size_t>(scan_.stop.lsn - page, bytes.size()));
    const bool starts_with_zeroes = bytes.size() >= 4 && load<std::uint32_t>(bytes.data()) == 0;
    const auto found = std::ranges::find_if(bytes, [](char byte) { return byte != 0; });
    if (!starts_with_zeroes || found == bytes.end()) return std::optional<Lsn>();
    return std::optional(scan_.stop.lsn + static_cast<std::uint64_t>(found - bytes.begin()));
  }

  WalSource& source_;
  const SegmentScanRequest& request_;
  Lsn begin_, end_;
  SegmentScan scan_;
};

}  // namespace

Result<SegmentScan> scan_segment(WalSource& source, const SegmentScanRequest& request) {
  return Scanner(source, request).run();
}

void append(SegmentScan& scan, SegmentScan&& more) {
  scan.valid_end_lsn = more.valid_end_lsn;
  if (!scan.first_record_lsn) scan.first_record_lsn = more.first_record_lsn;
  if (more.last_record_lsn) scan.last_record_lsn = more.last_record_lsn;
  scan.records += more.records;
  scan.commits += more.commits;
  scan.aborts += more.aborts;
  if (!scan.first_time) scan.first_time = more.first_time;
  if (more.last_time) scan.last_time = more.last_time;
  for (const auto& time : {more.min_time, more.max_time}) {
    if (time) widen(scan.min_time, scan.max_time, *time);
  }
  for (const auto& xid : {more.min_xid, more.max_xid}) {
    if (xid) widen(scan.min_xid, scan.max_xid, *xid);
  }
  std::ranges::move(more.ends, std::back_inserter(scan.ends));
  std::ranges::move(more.events, std::back_inserter(scan.events));
  std::ranges::move(more.given_up, std::back_inserter(scan.given_up));
  if (more.server_major != 0) scan.server_major = more.server_major;
  if (more.headless_end) scan.headless_end = more.headless_end;
  scan.stop = std::move(more.stop);
  scan.wal_behind_stop = more.wal_behind_stop;
}

}  // namespace walback
