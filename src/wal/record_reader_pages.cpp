#include <fmt/format.h>

#include <algorithm>

#include "wal/record_reader.h"

/// The reader's way to its pages: asks the source for them and checks their headers, each once.
namespace walback {

bool RecordReader::load_page(Lsn lsn) {
  if (lsn == page_.lsn) return true;
  if (lsn >= options_.end) {
    return halt(StopKind::end_of_range, fmt::format("the range ends at {}", to_string(options_.end)));
  }
  const auto segment = segment_of(lsn, options_.segment_size);
  if (segment != checked_segment_) {
    // Reading that begins in a segment's middle must not trust a file that is another cluster's.
    Page first;
    if (!fetch(start_of(segment, options_.segment_size), first) || !check_page(first)) return false;
    checked_segment_ = segment;
  }
  Page page;
  if (!fetch(lsn, page) || !check_page(page)) return false;
  page_ = page;
  return true;
}

bool RecordReader::fetch(Lsn lsn, Page& page) {
  if (lsn < window_begin_ || lsn - window_begin_ >= window_.size()) {
    page_ = {};  // its bytes go with the window
    auto bytes = source_.bytes_from(lsn);
    if (!bytes) {
      source_error_ = std::move(bytes).error();
      return halt(StopKind::unreadable, source_error_.message);
    }
    window_begin_ = lsn;
    window_ = *bytes;
  }
  const auto offset = lsn - window_begin_;
  const auto header_size = header_size_at(lsn, options_.segment_size);
  const auto size =
      std::min<std::uint64_t>(kPageSize, window_.size() - std::min<std::uint64_t>(offset, window_.size()));
  if (size < header_size) {
    return halt(StopKind::end_of_bytes, fmt::format("no more bytes at {}", to_string(lsn + size)));
  }
  const char* const data = window_.data() + offset;
  page = {lsn, data, size, read_page_header(data)};
  return true;
}

bool RecordReader::check_page(const Page& page) {
  const auto& header = page.header;
  const auto where = [&] { return to_string(page.lsn); };
  if (header.magic != magic_ || magic_ == 0) {
    if (std::all_of(page.data, page.data + kShortHeader, [](char byte) { return byte == 0; })) {
      return halt(StopKind::zeroes, fmt::format("zeroes in place of the page at {}", where()));
    }
    if (magic_ != 0) {
      return halt(StopKind::invalid,
                  fmt::format("page at {} has magic {:04X}, expected {:04X} as on the pages before", where(),
                              header.magic, magic_));
    }
    const auto major = server_major_of(header.magic);
    if (!major) {
      return halt(
          StopKind::unknown_magic,
          fmt::format(
              "page at {} has magic {:04X}, expected that of PostgreSQL 15 to 18 (D110, D113, D116, D118)",
              where(), header.magic));
    }
    magic_ = header.magic;
    server_major_ = *major;
  }
  const bool starts_segment = page.lsn.value % options_.segment_size.bytes() == 0;
  if ((header.flags & ~page_flag::all) != 0 || header.has(page_flag::long_header) != starts_segment) {
    return halt(StopKind::invalid,
                fmt::format("page at {} has flags {:04X}, expected {} long header and none unknown", where(),
                            header.flags, starts_segment ? "a" : "no"));
  }
  if (starts_segment && !check_segment_header(page)) return false;
  if (header.address != page.lsn) {
    return halt(StopKind::invalid,
                fmt::format("page at {} carries address {}", where(), to_string(header.address)));
  }
  if (header.timeline == last_timeline_) return true;
  if (std::ranges::find(options_.timelines, header.timeline) == options_.timelines.end()) {
    return halt(
        StopKind::invalid,
        fmt::format("page at {} is of timeline {}, which is not on the path to timeline {}", where(),
                    header.timeline.value, options_.timelines.empty() ? 0 : options_.timelines.back().value));
  }
  if (header.timeline < last_timeline_) {
    return halt(StopKind::invalid,
                fmt::format("page at {} is of timeline {}, the pages before are of timeline {}", where(),
                            header.timeline.value, last_timeline_.value));
  }
  last_timeline_ = header.timeline;
  return true;
}

bool RecordReader::check_segment_header(const Page& page) {
  const auto system = load<std::uint64_t>(page.data + kShortHeader);
  const auto segment_bytes = load<std::uint32_t>(page.data + kShortHeader + 8);
  const auto page_bytes = load<std::uint32_t>(page.data + kShortHeader + 12);
  if (system != options_.system_identifier) {
    return halt(StopKind::foreign_system,
                fmt::format("segment at {} carries system identifier {}, expected {}", to_string(page.lsn),
                            system, options_.system_identifier));
  }
  if (segment_bytes != options_.segment_size.bytes() || page_bytes != kPageSize) {
    return halt(StopKind::invalid,
                fmt::format("segment at {} says segments of {} and pages of {} bytes, expected {} and {}",
                            to_string(page.lsn), segment_bytes, page_bytes, options_.segment_size.bytes(),
                            kPageSize));
  }
  return true;
}

}  // namespace walback
