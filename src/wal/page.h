#pragma once
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "wal/lsn.h"
#include "wal/segment_name.h"

/// The outer shape of the WAL, the same in PostgreSQL 15 to 18: pages of 8 kB, each with a header of 24 bytes
/// (40 at a segment's start), and records of a 24-byte header and a body, aligned to 8, that flow from page
/// to page. All numbers are little-endian: the machines that PostgreSQL runs on and the files it leaves.
namespace walback {

inline constexpr std::uint64_t kPageSize = 8192;  ///< XLOG_BLCKSZ; a server built with another one is refused
inline constexpr std::uint64_t kShortHeader = 24;
inline constexpr std::uint64_t kLongHeader = 40;
inline constexpr std::uint64_t kRecordHeader = 24;
inline constexpr std::uint64_t kMaxRecord = 1020ULL << 20;  ///< XLogRecordMaxSize

/// Flags of a page header (xlp_info).
namespace page_flag {
inline constexpr std::uint16_t first_is_contrecord = 1;
inline constexpr std::uint16_t long_header = 2;
inline constexpr std::uint16_t first_is_overwrite_contrecord = 8;
inline constexpr std::uint16_t all = 15;
}  // namespace page_flag

template <class T>
[[nodiscard]] T load(const char* bytes) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "load() reads WAL as it lies on disk");

struct PageHeader {
  std::uint16_t magic = 0, flags = 0;
  TimelineId timeline;
  Lsn address;
  std::uint32_t remaining = 0;  ///< bytes of the record that began on an earlier page
  [[nodiscard]] bool has(std::uint16_t flag) const { return (flags & flag) != 0; }
};

/// `bytes`: kShortHeader at least.
[[nodiscard]] inline PageHeader read_page_header(const char* bytes) {
  return {load<std::uint16_t>(bytes),
          load<std::uint16_t>(bytes + 2),
          {load<std::uint32_t>(bytes + 4)},
          {load<std::uint64_t>(bytes + 8)},
          load<std::uint32_t>(bytes + 16)};
}

/// The server that writes this page magic (XLOG_PAGE_MAGIC): 15 to 18, else nothing.
[[nodiscard]] constexpr std::optional<unsigned> server_major_of(std::uint16_t magic) {
  switch (magic) {
    case 0xD110:
      return 15;
    case 0xD113:
      return 16;
    case 0xD116:
      return 17;
    case 0xD118:
      return 18;
    default:
      return std::nullopt;
  }
}

[[nodiscard]] constexpr std::uint64_t align8(std::uint64_t bytes) {
  return (bytes + 7) & ~std::uint64_t{7};
}
[[nodiscard]] inline bool at_page_start(Lsn lsn) {
  return lsn.value % kPageSize == 0;
}
[[nodiscard]] inline Lsn page_of(Lsn lsn) {
  return {lsn.value - lsn.value % kPageSize};
}
[[nodiscard]] inline std::uint64_t header_size_at(Lsn page, SegmentSize size) {
  return page.value % size.bytes() == 0 ? kLongHeader : kShortHeader;
}
/// A position that is a page's first byte, moved behind that page's header; any other stays. Two positions
/// between which no record byte can lie become equal: the end of a record that fills its page, and the start
/// of the next record.
[[nodiscard]] inline Lsn skip_page_header(Lsn lsn, SegmentSize size) {
  return at_page_start(lsn) ? lsn + header_size_at(lsn, size) : lsn;
}
/// The segment to which a record that ends at `end_lsn` belongs: that of its last byte.
[[nodiscard]] inline SegmentNumber segment_ending_at(Lsn end_lsn, SegmentSize size) {
  return segment_of({end_lsn.value - 1}, size);
}

/// The resource managers (access/rmgrlist.h) whose records say something about the cluster as a whole.
namespace rmgr {
inline constexpr std::uint8_t xlog = 0, transaction = 1, database = 4, tablespace = 5;
inline constexpr std::uint8_t last_builtin = 21, first_custom = 128;
}  // namespace rmgr
[[nodiscard]] constexpr bool is_rmgr(std::uint8_t id) {
  return id <= rmgr::last_builtin || id >= rmgr::first_custom;
}

/// Operations (the high half of xl_info) by resource manager.
namespace xlog_op {
inline constexpr std::uint8_t checkpoint_shutdown = 0x00, checkpoint_online = 0x10, noop = 0x20,
                              segment_switch = 0x40, backup_end = 0x50, parameter_change = 0x60,
                              restore_point = 0x70, end_of_recovery = 0x90, overwrite_contrecord = 0xD0;
}
namespace transaction_op {
inline constexpr std::uint8_t mask = 0x70, has_info = 0x80;
inline constexpr std::uint8_t commit = 0x00, prepare = 0x10, abort = 0x20, commit_prepared = 0x30,
                              abort_prepared = 0x40;
}  // namespace transaction_op
namespace tablespace_op {
inline constexpr std::uint8_t create = 0x00, drop = 0x10;
}
namespace database_op {
inline constexpr std::uint8_t drop = 0x20;
}

/// Flags of a commit's or abort's xinfo word.
namespace xinfo {
inline constexpr std::uint32_t has_dbinfo = 1U << 0, has_subxacts = 1U << 1, has_relfilenodes = 1U << 2,
                               has_invals = 1U << 3, has_twophase = 1U << 4, has_origin = 1U << 5,
                               has_gid = 1U << 7, has_dropped_stats = 1U << 8;
}

/// The tags with which the parts of a record's body are announced (access/xlogrecord.h).
namespace body_tag {
inline constexpr std::uint8_t last_block = 32, toplevel_xid = 252, origin = 253, data_long = 254,
                              data_short = 255;
}

}  // namespace walback
