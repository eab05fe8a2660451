#pragma once
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "wal/page.h"
#include "wal/record_decoder.h"
#include "wal/wal_source.h"

namespace walback {

/// One valid record. What it means, where it matters, stands in the reader beside it.
struct Record {
  Lsn lsn;      ///< START, behind any page header
  Lsn end_lsn;  ///< PostgreSQL's EndRecPtr: aligned to 8; of a segment switch the segment's end
  Lsn previous;
  std::uint32_t xid = 0, length = 0;
  std::uint8_t rmid = 0, info = 0;
};

/// Why reading ended. Only the reader's user can tell whether that is well: zeroes are the normal end of a
/// `.partial` and damage in a segment that has a successor.
enum class StopKind : std::uint8_t {
  end_of_range,    ///< the next record does not end below ReaderOptions::end
  end_of_bytes,    ///< the source has no more, or not all of the next record
  zeroes,          ///< zeroes where the next record, or a page of it, should be
  invalid,         ///< bytes that are neither a record nor zeroes
  foreign_system,  ///< a segment of another cluster
  unknown_magic,   ///< not WAL of PostgreSQL 15 to 18
  unreadable,      ///< the source failed; see RecordReader::source_error
};
[[nodiscard]] std::string_view name_of(StopKind kind);

struct ReadStop {
  StopKind kind = StopKind::end_of_bytes;
  Lsn lsn;             ///< where the record that could not be read begins
  Lsn page;            ///< the first page that was not read as part of it
  std::string reason;  ///< "record at 0/3000148 has checksum 1A2B3C4D, expected 5E6F7081"
  bool operator==(const ReadStop&) const = default;
};

struct ReaderOptions {
  std::uint64_t system_identifier = 0;
  SegmentSize segment_size;
  /// Whose pages are accepted: the timeline and its ancestors, because the first pages after a switch still
  /// carry the old one. On the way forward a page's timeline never goes back.
  std::vector<TimelineId> timelines;
  /// Exclusive, a page's first byte; bytes from here on are not asked for.
  Lsn end{std::numeric_limits<std::uint64_t>::max()};
};

/// Where to begin. At a record's boundary: the end of the record before it (a page header there is skipped);
/// with that record's START the back pointer is checked too. Or at the first record that starts at or after a
/// position: found through its page's header, so that up to a page of records before it is read and dropped;
/// a page behind a segment switch holds zeroes, not the way to the next segment.
struct ReadFrom {
  Lsn lsn;
  bool at_boundary = true;
  std::optional<Lsn> previous{};

  [[nodiscard]] static ReadFrom boundary(Lsn lsn, std::optional<Lsn> previous = {}) {
    return {lsn, true, previous};
  }
  [[nodiscard]] static ReadFrom first_at_or_after(Lsn lsn) { return {lsn, false, {}}; }
};

/// Reads records one by one, in WAL order, and checks all that PostgreSQL checks before it replays them: page
/// headers (magic, address, timeline, flags; at a segment's start the system identifier and sizes, also of
/// the segment in whose middle reading begins), lengths, back pointers, CRC. It ends at the first record that
/// fails and says why; what was read before it is good.
///
/// Records are checked where they lie: bytes are copied only where a record that must be understood crosses a
/// page. A length that no bytes back up costs nothing. Any bytes may be thrown at it.
///
/// A record that was given up in a crash (its continuation page says XLP_FIRST_IS_OVERWRITE_CONTRECORD) is
/// passed over as PostgreSQL does: the record there must be the OVERWRITE_CONTRECORD that names it.
class RecordReader {
 public:
  RecordReader(WalSource& source, ReaderOptions options, ReadFrom from);

  /// The next record, or null: then stop() tells why, for good. The pointer is valid until the next call.
  [[nodiscard]] const Record* next();
  [[nodiscard]] const ReadStop& stop() const { return *stop_; }
  /// The failure behind StopKind::unreadable.
  [[nodiscard]] const Error& source_error() const { return source_error_; }

  /// What the record that next() returned means; may be moved from.
  [[nodiscard]] TransactionEnd* transaction_end() {
    return decoded_.ends_transaction ? &decoded_.transaction_end : nullptr;
  }
  [[nodiscard]] std::span<Event> events() { return decoded_.events; }
  /// Of an OVERWRITE_CONTRECORD record: the record given up, which began where the last valid one before
  /// ended.
  [[nodiscard]] std::optional<Lsn> overwritten() const { return decoded_.overwritten; }

  /// The end of the last valid record: from here a later reader goes on.
  [[nodiscard]] Lsn position() const { return position_; }
  /// PostgreSQL's major version by the page magic; 0 before the first page.
  [[nodiscard]] unsigned server_major() const { return server_major_; }
  /// Where reading began in the middle of a record: that record's end, which is where the first record
  /// begins.
  [[nodiscard]] std::optional<Lsn> continuation_end() const { return continuation_end_; }

 private:
  struct Page {
    Lsn lsn{std::numeric_limits<std::uint64_t>::max()};
    const char* data = nullptr;
    std::uint64_t size = 0;  ///< below kPageSize only where the bytes end
    PageHeader header;
  };
  struct Assembly;

  bool find_start();
  bool read_record();
  bool read_in_place(Lsn start, const char* header, std::uint32_t length);
  bool read_across_pages(Lsn start, std::uint32_t length, Lsn& restart);
  bool accept(Lsn start, const char* header, std::uint32_t body_crc, Lsn end, std::span<const char> body);
  bool check_length(Lsn start, const char* header, std::uint64_t available);
  bool check_header(Lsn start, const char* header);

  bool load_page(Lsn lsn);
  bool fetch(Lsn lsn, Page& page);
  bool check_page(const Page& page);
  bool check_segment_header(const Page& page);
  bool halt(StopKind kind, std::string reason);

  WalSource& source_;
  ReaderOptions options_;
  ReadFrom from_;

  Lsn window_begin_;
  std::span<const char> window_;
  Page page_;
  SegmentNumber checked_segment_{std::numeric_limits<std::uint64_t>::max()};
  std::uint16_t magic_ = 0;
  unsigned server_major_ = 0;
  TimelineId last_timeline_;

  bool started_ = false;
  Lsn position_;
  Lsn wanted_lsn_;  ///< the record at hand, and the page on which it goes on
  Lsn next_page_;
  std::optional<Lsn> previous_;
  std::optional<Lsn> given_up_;  ///< a record whose continuation was overwritten, until its successor is read
  std::optional<Lsn> continuation_end_;

  Record record_;
  Decoded decoded_;
  std::vector<char> assembled_;

  std::optional<ReadStop> stop_;
  Error source_error_;
};

}  // namespace walback
