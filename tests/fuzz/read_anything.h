#pragma once
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>

#include "base/crc32c.h"
#include "wal/backup_label.h"
#include "wal/record_decoder.h"
#include "wal/scan_segment.h"
#include "wal/timeline_history.h"

/// Throws any bytes at everything in wal/ that reads bytes, and checks what must hold for all of them. Shared
/// by the fuzz target and the mutation test, so that both mean the same.
namespace walback::test {

inline constexpr std::uint64_t kFuzzSystem = 7'300'000'000'000'000'001;

/// Two 1 MB segments, the second begins where `split` says; what is missing is simply not there.
class TwoSegments : public WalSource {
 public:
  TwoSegments(std::span<const char> bytes, std::uint64_t split)
      : first_(bytes.first(std::min<std::size_t>(split, bytes.size()))),
        second_(bytes.subspan(first_.size())) {}
  Result<std::span<const char>> bytes_from(Lsn position) override {
    const auto segment = position.value >> 20;
    const auto bytes = segment == 1 ? first_ : segment == 2 ? second_ : std::span<const char>();
    const auto offset = position.value & 0xFFFFF;
    return offset < bytes.size() ? bytes.subspan(offset) : std::span<const char>();
  }

 private:
  std::span<const char> first_, second_;
};

inline void must(bool holds) {
  if (!holds) std::abort();
}

inline void read_from(WalSource& source, const ReaderOptions& options, const ReadFrom& from,
                      std::size_t bytes) {
  RecordReader reader(source, options, from);
  Lsn end = from.at_boundary ? from.lsn : Lsn{0};
  std::size_t records = 0;
  while (const Record* record = reader.next()) {
    // Records ascend, never overlap, never outgrow the bytes.
    must(record->lsn >= end && record->end_lsn > record->lsn);
    must(record->length >= kRecordHeader && record->length <= bytes);
    must(from.at_boundary || record->lsn >= from.lsn);
    must(reader.position() == record->end_lsn);
    if (const auto* transaction = reader.transaction_end()) {
      must(transaction->lsn == record->lsn && transaction->subxids.size() <= bytes);
    }
    end = record->end_lsn;
    must(++records <= bytes / kRecordHeader);
  }
  must(!reader.stop().reason.empty());
  must(reader.next() == nullptr);
}

/// Gives records that lie within one page the checksum and back pointer that their bytes ask for: without it
/// nothing but an untouched record would ever come past the CRC.
inline void repair_checksums(std::string& bytes) {
  std::size_t previous = 0;
  std::size_t at = kLongHeader;
  while (at + kRecordHeader <= bytes.size()) {
    const auto length = load<std::uint32_t>(&bytes[at]);
    const auto page_left = kPageSize - at % kPageSize;
    if (length < kRecordHeader || length > page_left || length > bytes.size() - at) {
      at = (at / kPageSize + 1) * kPageSize + kShortHeader;
      if (at + kRecordHeader > bytes.size()) return;
      at += std::min<std::size_t>(align8(load<std::uint32_t>(&bytes[at - 8])), kPageSize - kShortHeader);
      previous = 0;
      continue;
    }
    const std::uint64_t back = previous != 0 ? (1U << 20) + previous : load<std::uint64_t>(&bytes[at + 8]);
    std::memcpy(&bytes[at + 8], &back, sizeof back);
    auto crc = crc32c_extend(kCrc32cInit, &bytes[at] + kRecordHeader, length - kRecordHeader);
    crc = crc32c_finish(crc32c_extend(crc, &bytes[at], 20));
    std::memcpy(&bytes[at + 20], &crc, sizeof crc);
    previous = at;
    at += align8(length);
    if (at % kPageSize == 0) at += kShortHeader;
  }
}

/// The decoder and the text parsers, without a CRC in their way.
inline void decode_anything(std::span<const char> bytes) {
  const auto body = bytes.first(std::min<std::size_t>(bytes.size(), 2'000));
  for (const unsigned major : {15U, 18U}) {
    for (const std::uint8_t rmid : {rmgr::xlog, rmgr::transaction, rmgr::database, rmgr::tablespace}) {
      for (unsigned info = 0; info < 256; info += 16) {
        const auto info_byte = static_cast<std::uint8_t>(info);
        if (!is_of_interest(rmid, info_byte)) continue;
        Decoded decoded;
        (void)decode_record({{8}, {16}, 1, rmid, info_byte, body}, major, decoded);
        must(decoded.transaction_end.subxids.size() <= body.size());
      }
    }
  }
  const std::string_view text(body.data(), body.size());
  (void)parse_timeline_history({3}, text);
  (void)parse_backup_label(text);
  (void)parse_wal_file_name(text, *SegmentSize::from_bytes(1U << 24));
}

inline void read_bytes(std::span<const char> bytes) {
  const auto size = *SegmentSize::from_bytes(1U << 20);
  const auto begin = Lsn{1U << 20};
  const auto split = bytes.size() > (1U << 20) ? (1U << 20) : (bytes.size() / kPageSize + 1) / 2 * kPageSize;
  TwoSegments source(bytes, split);
  const ReaderOptions options{kFuzzSystem, size, {{1}, {2}}};
  read_from(source, options, ReadFrom::boundary(begin), bytes.size());
  read_from(source, options, ReadFrom::first_at_or_after(begin + 100), bytes.size());
  read_from(source, options, ReadFrom::first_at_or_after(begin + kPageSize), bytes.size());
  read_from(source, options, ReadFrom::boundary(begin + kPageSize), bytes.size());
  for (const std::uint64_t number : {1U, 2U}) {
    const auto scan = scan_segment(source, {kFuzzSystem, size, options.timelines, {number}, {}, {}});
    must(scan.has_value() && scan->commits + scan->aborts == scan->ends.size());
  }
}

inline void read_anything(std::span<const char> bytes) {
  read_bytes(bytes);
  std::string repaired(bytes.begin(), bytes.end());
  repair_checksums(repaired);
  read_bytes(repaired);
  if (bytes.size() > 8)
    decode_anything(bytes.subspan(std::min<std::size_t>(bytes.size() - 8, kLongHeader + kRecordHeader)));
  decode_anything(bytes);
}

}  // namespace walback::test
