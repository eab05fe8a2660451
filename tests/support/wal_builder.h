#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wal/events.h"
#include "wal/wal_source.h"

/// Forges WAL that PostgreSQL's own reader accepts: pages, headers, records with CRC and back pointers,
/// records across pages and segments. What is written is also what a test expects: every call returns where
/// its record lies.
///
///   WalBuilder wal;                                     // PostgreSQL 15, 1 MB segments, timeline 1, at
///   0/100028 const auto first = wal.commit({.xid = 700, .time = at(10)}); wal.commit({.xid = 701, .time =
///   at(9)});            // stamped earlier, written later wal.restore_point("before lunch", at(11));
///   wal.fill_to(start_of(SegmentNumber{2}, wal.size()));  // the next record begins segment 2
///   const std::string bytes = wal.segment(SegmentNumber{1});  // full size, zeroes behind the last record
///   MemoryWal source = wal.source();
namespace walback::test {

struct WalBuilderOptions {
  std::uint64_t segment_bytes = 1U << 20;
  std::uint64_t system_identifier = 7'300'000'000'000'000'001;
  TimelineId timeline{1};
  unsigned server_major = 15;
  /// Where the first record begins; nothing: behind the header of segment 1.
  std::optional<Lsn> start{};
  /// The START of the record before the first one (its back pointer), and the bytes of the segment that holds
  /// `start`, to write on behind real WAL.
  Lsn previous_record{};
  std::string first_segment{};
};

struct WrittenRecord {
  Lsn lsn, end_lsn;
};

/// What a commit or abort record says. Everything but the xid and the time may be left out.
struct TransactionSpec {
  std::uint32_t xid = 0;
  Timestamp time{};
  std::vector<std::uint32_t> subxids{};
  std::vector<RelationFiles> removed_files{};
  std::vector<DroppedRelation> dropped_relations{};
  std::size_t invalidations = 0;
  std::string gid{};        ///< of a prepared one; may stay empty
  bool has_origin = false;  ///< as logical replication writes them
};

/// WAL in memory, as a reader's source. Tests damage it.
class MemoryWal : public WalSource {
 public:
  explicit MemoryWal(SegmentSize size) : size_(size) {}
  Result<std::span<const char>> bytes_from(Lsn position) override;

  void set(SegmentNumber number, std::string bytes) { segments_[number] = std::move(bytes); }
  void erase(SegmentNumber number) { segments_.erase(number); }
  [[nodiscard]] std::string& segment(SegmentNumber number) { return segments_.at(number); }
  [[nodiscard]] std::map<SegmentNumber, std::string>& segments() { return segments_; }
  /// The byte at a position that is there.
  [[nodiscard]] char& at(Lsn position);
  /// Hand out at most this many bytes at once (whole pages).
  void limit_chunks_to(std::size_t bytes) { chunk_ = bytes; }

 private:
  SegmentSize size_;
  std::map<SegmentNumber, std::string> segments_;
  std::size_t chunk_ = ~std::size_t{0};
};

class WalBuilder {
 public:
  explicit WalBuilder(WalBuilderOptions options = {});

  /// Any record, by resource manager and info byte, with `data` as its main data.
  WrittenRecord record(std::uint8_t rmid, std::uint8_t info, std::uint32_t xid, std::string_view data);
  /// A record without an effect (XLOG_NOOP: real recovery accepts it) of exactly `total` bytes from 27 on.
  WrittenRecord filler(std::size_t total);
  /// Fillers, so that the next record begins at `lsn`: a multiple of 8 that leaves room for a record of 32
  /// bytes. A page's first byte stands for the first one behind its header.
  void fill_to(Lsn lsn);

  WrittenRecord commit(const TransactionSpec& spec);
  WrittenRecord abort(const TransactionSpec& spec);
  WrittenRecord commit_prepared(const TransactionSpec& spec);
  WrittenRecord abort_prepared(const TransactionSpec& spec);

  WrittenRecord restore_point(std::string_view name, Timestamp time);
  WrittenRecord checkpoint(Lsn redo, bool shutdown, Timestamp time = {});
  WrittenRecord parameters(const ParametersChanged& parameters);
  WrittenRecord tablespace_created(std::uint32_t oid, std::string_view path);
  WrittenRecord tablespace_dropped(std::uint32_t oid);
  WrittenRecord database_dropped(std::uint32_t oid);
  WrittenRecord backup_end(Lsn start_lsn);

  /// XLOG_SWITCH: the next record begins the next segment.
  WrittenRecord switch_segment();
  /// As a promotion does it: the new timeline's segment starts as a copy of this one up to here, and an
  /// END_OF_RECOVERY record follows. The old timeline's segment stays as it is.
  WrittenRecord switch_timeline(TimelineId next, Timestamp time);
  /// As a crash in the middle of a record does it: writes the first page of a record of `total` bytes, gives
  /// up, and goes on at the next page with XLP_FIRST_IS_OVERWRITE_CONTRECORD. Returns the
  /// OVERWRITE_CONTRECORD record.
  WrittenRecord overwrite_contrecord(std::size_t total, Timestamp time);

  /// Where the next record begins, page headers skipped.
  [[nodiscard]] Lsn next_lsn() const;
  /// The end of the last record: PostgreSQL's EndRecPtr.
  [[nodiscard]] Lsn end_lsn() const { return position_; }
  [[nodiscard]] Lsn last_record() const { return previous_; }
  [[nodiscard]] SegmentSize size() const { return size_; }
  [[nodiscard]] TimelineId timeline() const { return options_.timeline; }

  /// Full size, as pg_receivewal leaves it on disk. Must exist.
  [[nodiscard]] std::string segment(SegmentName name) const;
  [[nodiscard]] std::string segment(SegmentNumber number) const;
  [[nodiscard]] std::vector<SegmentName> segments() const;
  /// For each number the newest timeline's bytes.
  [[nodiscard]] MemoryWal source() const;
  /// "2\t0/3000148\t…": the text of this timeline's history file; empty on the first timeline.
  [[nodiscard]] const std::string& history() const { return history_; }

 private:
  void write_page_header(std::uint16_t extra_flags, std::uint32_t remaining);
  /// Writes `bytes` from the position on, at most `limit` of them.
  void write(std::string_view bytes, std::size_t limit);
  std::string assemble(std::uint8_t rmid, std::uint8_t info, std::uint32_t xid, std::string_view data) const;
  WrittenRecord append(const std::string& bytes);
  WrittenRecord transaction(std::uint8_t operation, bool prepared, const TransactionSpec& spec);
  char* here();

  WalBuilderOptions options_;
  SegmentSize size_;
  Lsn position_;
  Lsn previous_;
  std::uint16_t next_page_flags_ = 0;
  std::string history_;
  std::map<SegmentName, std::string> segments_;
};

}  // namespace walback::test
