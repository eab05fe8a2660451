#include "wal/record_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/crc32c.h"

namespace walback {
namespace {

bool all_zero(const char* bytes, std::size_t size) {
  return std::all_of(bytes, bytes + size, [](char byte) { return byte == 0; });
}

}  // namespace

std::string_view name_of(StopKind kind) {
  switch (kind) {
    case StopKind::end_of_range:
      return "end_of_range";
    case StopKind::end_of_bytes:
      return "end_of_bytes";
    case StopKind::zeroes:
      return "zeroes";
    case StopKind::invalid:
      return "invalid";
    case StopKind::foreign_system:
      return "foreign_system";
    case StopKind::unknown_magic:
      return "unknown_magic";
    case StopKind::unreadable:
      return "unreadable";
  }
  return "unknown";
}

RecordReader::RecordReader(WalSource& source, ReaderOptions options, ReadFrom from)
    : source_(source),
      options_(std::move(options)),
      from_(from),
      position_(from.lsn),
      previous_(from.previous) {
  wanted_lsn_ = skip_page_header(from.lsn, options_.segment_size);
  next_page_ = page_of(from.lsn);
}

const Record* RecordReader::next() {
  if (stop_) return nullptr;
  if (!started_) {
    started_ = true;
    if (!from_.at_boundary && !find_start()) return nullptr;
  }
  do {
    if (!read_record()) return nullptr;
  } while (!from_.at_boundary && record_.lsn < from_.lsn);
  return &record_;
}

bool RecordReader::halt(StopKind kind, std::string reason) {
  stop_ = ReadStop{kind, wanted_lsn_, next_page_, std::move(reason)};
  return false;
}

/// Sets position_ to the first record that begins on the page of from_.lsn, or behind the record that fills
/// it.
bool RecordReader::find_start() {
  for (Lsn page = page_of(from_.lsn);; page = page + kPageSize) {
    if (!load_page(page)) return false;
    const auto header_size = header_size_at(page, options_.segment_size);
    if (!page_.header.has(page_flag::first_is_contrecord)) {
      position_ = page + header_size;
      // A record that was given up on an earlier page has no end.
      continuation_end_.reset();
      return true;
    }
    if (page_.header.remaining == 0) {
      return halt(StopKind::invalid,
                  fmt::format("page at {} continues a record that has no bytes left", to_string(page)));
    }
    next_page_ = page + kPageSize;
    const auto record_end = header_size + align8(page_.header.remaining);
    continuation_end_ = page + std::min(record_end, kPageSize);
    if (record_end <= kPageSize) {
      position_ = page + record_end;
      return true;
    }
  }
}

bool RecordReader::read_record() {
  Lsn start = skip_page_header(position_, options_.segment_size);
  given_up_.reset();
  for (;;) {
    wanted_lsn_ = start;
    next_page_ = page_of(start);
    if (!load_page(next_page_)) return false;
    next_page_ = page_.lsn + kPageSize;
    const std::uint64_t offset = start.value % kPageSize;
    const auto header_size = header_size_at(page_.lsn, options_.segment_size);
    if (offset < header_size || offset % 8 != 0) {
      return halt(StopKind::invalid, fmt::format("no record can begin at {}", to_string(start)));
    }
    if (offset == header_size && page_.header.has(page_flag::first_is_contrecord)) {
      return halt(StopKind::invalid, fmt::format("page at {} continues a record, expected the start of one",
                                                 to_string(page_.lsn)));
    }
    const char* const header = page_.data + offset;
    const std::uint64_t available = page_.size > offset ? page_.size - offset : 0;
    if (!check_length(start, header, available)) return false;
    const auto length = load<std::uint32_t>(header);
    if (length <= available) return read_in_place(start, header, length);

    Lsn restart;
    if (!read_across_pages(start, length, restart)) return false;
    if (!restart.valid()) return true;
    given_up_ = start;
    start = skip_page_header(restart, options_.segment_size);
  }
}

/// Looks at as much of the record's header as this page holds; its first eight bytes it always does.
bool RecordReader::check_length(Lsn start, const char* header, std::uint64_t available) {
  if (available < sizeof(std::uint32_t)) {
    return halt(StopKind::end_of_bytes, fmt::format("no more bytes at {}", to_string(start)));
  }
  const auto length = load<std::uint32_t>(header);
  if (length == 0) {
    if (all_zero(header, std::min(available, kRecordHeader))) {
      return halt(StopKind::zeroes, fmt::format("zeroes at {}", to_string(start)));
    }
    return halt(StopKind::invalid,
                fmt::format("record at {} has length 0 in a header that is not zero", to_string(start)));
  }
  if (length < kRecordHeader || length > kMaxRecord) {
    return halt(StopKind::invalid, fmt::format("record at {} has length {}, expected {} to {}",
                                               to_string(start), length, kRecordHeader, kMaxRecord));
  }
  return true;
}

bool RecordReader::check_header(Lsn start, const char* header) {
  const Lsn previous{load<std::uint64_t>(header + 8)};
  const auto rmid = load<std::uint8_t>(header + 17);
  if (!is_rmgr(rmid)) {
    return halt(StopKind::invalid, fmt::format("record at {} names resource manager {}, which does not exist",
                                               to_string(start), rmid));
  }
  if (previous_ ? previous != *previous_ : previous >= start) {
    return halt(
        StopKind::invalid,
        fmt::format("record at {} says that the one before it begins at {}, expected {}", to_string(start),
                    to_string(previous), previous_ ? to_string(*previous_) : "an earlier position"));
  }
  return true;
}

bool RecordReader::read_in_place(Lsn start, const char* header, std::uint32_t length) {
  if (!check_header(start, header)) return false;
  const std::span body(header + kRecordHeader, length - kRecordHeader);
  const auto crc = crc32c_extend(kCrc32cInit, body.data(), body.size());
  return accept(start, header, crc, start + align8(length), body);
}

/// A record that arrives in pieces: the header is kept, the body goes through the CRC where it lies, and is
/// copied only if it will be decoded.
struct RecordReader::Assembly {
  std::array<char, kRecordHeader> header{};
  std::uint64_t got = 0;
  std::uint32_t crc = kCrc32cInit;
  bool keep = false;

  /// Returns true when the header has just become complete.
  bool take_header(const char*& bytes, std::uint64_t& size) {
    if (got >= kRecordHeader) return false;
    const auto count = std::min(size, kRecordHeader - got);
    std::copy_n(bytes, count, header.begin() + static_cast<std::ptrdiff_t>(got));
    got += count;
    bytes += count;
    size -= count;
    return got == kRecordHeader;
  }
  void take_body(const char* bytes, std::uint64_t size, std::vector<char>& kept) {
    crc = crc32c_extend(crc, bytes, size);
    if (keep) kept.insert(kept.end(), bytes, bytes + size);
    got += size;
  }
};

/// `restart` becomes the page on which the record was given up and another one begins.
bool RecordReader::read_across_pages(Lsn start, std::uint32_t length, Lsn& restart) {
  Assembly assembly;
  assembled_.clear();
  std::uint64_t offset = start.value % kPageSize;
  for (;;) {
    const char* bytes = page_.data + offset;
    const std::uint64_t available = page_.size > offset ? page_.size - offset : 0;
    const std::uint64_t wanted = std::min(length - assembly.got, kPageSize - offset);
    if (available < wanted) {
      return halt(StopKind::end_of_bytes, fmt::format("the bytes end at {}, inside the record at {}",
                                                      to_string(page_.lsn + page_.size), to_string(start)));
    }
    std::uint64_t size = wanted;
    if (assembly.take_header(bytes, size)) {
      if (!check_header(start, assembly.header.data())) return false;
      assembly.keep =
          is_of_interest(load<std::uint8_t>(&assembly.header[17]), load<std::uint8_t>(&assembly.header[16]));
    }
    assembly.take_body(bytes, size, assembled_);
    if (assembly.got == length) {
      return accept(start, assembly.header.data(), assembly.crc, {align8(page_.lsn.value + offset + wanted)},
                    assembled_);
    }

    if (!load_page(page_.lsn + kPageSize)) return false;
    if (page_.header.has(page_flag::first_is_overwrite_contrecord)) {
      restart = page_.lsn;
      return true;
    }
    const auto left = length - assembly.got;
    if (!page_.header.has(page_flag::first_is_contrecord) || page_.header.remaining != left) {
      return halt(
          StopKind::invalid,
          fmt::format("page at {} continues a record with {} bytes left, expected {} of the record at {}",
                      to_string(page_.lsn),
                      page_.header.has(page_flag::first_is_contrecord) ? page_.header.remaining : 0, left,
                      to_string(start)));
    }
    offset = header_size_at(page_.lsn, options_.segment_size);
    next_page_ = page_.lsn + kPageSize;
  }
}

/// The last check, and what the record says.
bool RecordReader::accept(Lsn start, const char* header, std::uint32_t body_crc, Lsn end,
                          std::span<const char> body) {
  constexpr std::size_t kCrcOffset = 20;
  const auto found = load<std::uint32_t>(header + kCrcOffset);
  const auto computed = crc32c_finish(crc32c_extend(body_crc, header, kCrcOffset));
  if (found != computed) {
    return halt(StopKind::invalid, fmt::format("record at {} carries checksum {:08X}, its bytes have {:08X}",
                                               to_string(start), found, computed));
  }
  Record record{start,
                end,
                {load<std::uint64_t>(header + 8)},
                load<std::uint32_t>(header + 4),
                load<std::uint32_t>(header),
                load<std::uint8_t>(header + 17),
                load<std::uint8_t>(header + 16)};
  const std::uint8_t operation = record.info & 0xF0;
  if (record.rmid == rmgr::xlog && operation == xlog_op::segment_switch) {
    const auto segment = options_.segment_size.bytes();
    record.end_lsn.value = (end.value + segment - 1) / segment * segment;
  }
  decoded_.ends_transaction = false;
  decoded_.events.clear();
  decoded_.overwritten.reset();
  if (is_of_interest(record.rmid, record.info)) {
    const RawRecord raw{record.lsn, record.end_lsn, record.xid, record.rmid, record.info, body};
    if (const auto reason = decode_record(raw, server_major_, decoded_)) {
      return halt(StopKind::invalid, fmt::format("record at {} is damaged: {}", to_string(start), *reason));
    }
  }
  if (given_up_ && decoded_.overwritten != given_up_) {
    return halt(StopKind::invalid,
                fmt::format("record at {} should say that the record at {} was given up, and does not",
                            to_string(start), to_string(*given_up_)));
  }
  record_ = record;
  position_ = record.end_lsn;
  previous_ = start;
  return true;
}

}  // namespace walback
