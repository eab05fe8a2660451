#include "support/wal_builder.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "base/crc32c.h"
#include "wal/page.h"

namespace walback::test {
namespace {

template <class T>
void put(std::string& out, T value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof value);
}

template <class T>
void store(char* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

std::uint16_t magic_of(unsigned server_major) {
  for (const auto magic : std::initializer_list<std::uint16_t>{0xD110, 0xD113, 0xD116, 0xD118}) {
    if (server_major_of(magic) == server_major) return magic;
  }
  throw std::invalid_argument("the builder writes WAL of PostgreSQL 15 to 18");
}

SegmentSize checked(std::uint64_t bytes) {
  const auto size = SegmentSize::from_bytes(bytes);
  if (!size) throw std::invalid_argument("not a wal_segment_size");
  return *size;
}

constexpr std::size_t kWhole = ~std::size_t{0};
// Announcing the main data takes two bytes below 256, five above.
constexpr std::size_t kShortest = kRecordHeader + 2;
constexpr std::size_t kLongestShort = kShortest + 255;

}  // namespace

Result<std::span<const char>> MemoryWal::bytes_from(Lsn position) {
  const auto found = segments_.find(segment_of(position, size_));
  if (found == segments_.end()) return std::span<const char>();
  const auto offset = position - start_of(found->first, size_);
  const std::span<const char> bytes(found->second);
  if (offset >= bytes.size()) return std::span<const char>();
  return bytes.subspan(offset, std::min(chunk_, bytes.size() - offset));
}

char& MemoryWal::at(Lsn position) {
  const auto number = segment_of(position, size_);
  return segments_.at(number).at(position - start_of(number, size_));
}

WalBuilder::WalBuilder(WalBuilderOptions options)
    : options_(std::move(options)),
      size_(checked(options_.segment_bytes)),
      previous_(options_.previous_record) {
  position_ = options_.start.value_or(Lsn{options_.segment_bytes});
  const Lsn start = position_;
  const Lsn segment = start_of(segment_of(start, size_), size_);
  if (!options_.first_segment.empty()) {
    auto& bytes = segments_[{options_.timeline, segment_of(start, size_)}];
    bytes = options_.first_segment;
    // What stands behind the start is given up.
    bytes.resize(start - segment);
    bytes.resize(size_.bytes());
  } else if (!at_page_start(start)) {
    for (const Lsn page : {segment, page_of(start)}) {
      position_ = page;
      write_page_header(0, 0);
    }
    position_ = start;
  }
}

char* WalBuilder::here() {
  const auto number = segment_of(position_, size_);
  auto& bytes = segments_[{options_.timeline, number}];
  bytes.resize(size_.bytes());
  return bytes.data() + (position_ - start_of(number, size_));
}

void WalBuilder::write_page_header(std::uint16_t extra_flags, std::uint32_t remaining) {
  const bool long_header = position_.value % size_.bytes() == 0;
  char* const page = here();
  store(page, magic_of(options_.server_major));
  store(page + 2, static_cast<std::uint16_t>(extra_flags | (long_header ? page_flag::long_header : 0)));
  store(page + 4, options_.timeline.value);
  store(page + 8, position_.value);
  store(page + 16, remaining);
  if (long_header) {
    store(page + 24, options_.system_identifier);
    store(page + 32, static_cast<std::uint32_t>(size_.bytes()));
    store(page + 36, static_cast<std::uint32_t>(kPageSize));
  }
  position_ = skip_page_header(position_, size_);
}

void WalBuilder::write(std::string_view bytes, std::size_t limit) {
  std::size_t written = 0;
  while (written < std::min(bytes.size(), limit)) {
    if (at_page_start(position_)) {
      const auto left = static_cast<std::uint32_t>(bytes.size() - written);
      write_page_header(written > 0 ? page_flag::first_is_contrecord : std::exchange(next_page_flags_, 0),
                        written > 0 ? left : 0);
    }
    const auto room =
        std::min({kPageSize - position_.value % kPageSize, bytes.size() - written, limit - written});
    std::copy_n(bytes.data() + written, room, here());
    written += room;
    position_ = position_ + room;
  }
}

std::string WalBuilder::assemble(std::uint8_t rmid, std::uint8_t info, std::uint32_t xid,
                                 std::string_view data) const {
  std::string body;
  if (data.size() > 255) {
    put(body, body_tag::data_long);
    put(body, static_cast<std::uint32_t>(data.size()));
  } else if (!data.empty()) {
    put(body, body_tag::data_short);
    put(body, static_cast<std::uint8_t>(data.size()));
  }
  body.append(data);

  std::string header;
  put(header, static_cast<std::uint32_t>(kRecordHeader + body.size()));
  put(header, xid);
  put(header, previous_.value);
  put(header, info);
  put(header, rmid);
  put(header, std::uint16_t{0});
  auto crc = crc32c_extend(kCrc32cInit, body.data(), body.size());
  crc = crc32c_finish(crc32c_extend(crc, header.data(), header.size()));
  put(header, crc);
  return header + body;
}

WrittenRecord WalBuilder::append(const std::string& bytes) {
  const Lsn lsn = next_lsn();
  write(bytes, kWhole);
  previous_ = lsn;
  position_ = {align8(position_.value)};
  return {lsn, position_};
}

WrittenRecord WalBuilder::record(std::uint8_t rmid, std::uint8_t info, std::uint32_t xid,
                                 std::string_view data) {
  return append(assemble(rmid, info, xid, data));
}

WrittenRecord WalBuilder::filler(std::size_t total) {
  // 282 to 284 bytes exist with neither way to announce the data.
  if (total < kShortest + 1 || (total > kLongestShort && total < kLongestShort + 4)) {
    throw std::invalid_argument("no filler has this size");
  }
  const std::size_t overhead = total <= kLongestShort ? kShortest : kShortest + 3;
  return record(rmgr::xlog, xlog_op::noop, 0, std::string(total - overhead, 'f'));
}

void WalBuilder::fill_to(Lsn lsn) {
  lsn = skip_page_header(lsn, size_);
  while (next_lsn() < lsn) {
    // Bytes of record between here and there, page headers left out.
    std::uint64_t room = 0;
    for (Lsn at = next_lsn(); at < lsn && room < 4 * kPageSize;) {
      const Lsn page_end = page_of(at) + kPageSize;
      room += std::min(page_end, lsn) - at;
      at = skip_page_header(page_end, size_);
    }
    filler(room < 4096 ? std::max<std::uint64_t>(room, 32) : std::min<std::uint64_t>(room - 2048, 4096));
  }
  if (next_lsn() != lsn) throw std::invalid_argument("no run of records ends exactly there");
}

WrittenRecord WalBuilder::transaction(std::uint8_t operation, bool prepared, const TransactionSpec& spec) {
  const bool is_commit = operation == transaction_op::commit || operation == transaction_op::commit_prepared;
  std::uint32_t flags = xinfo::has_dbinfo;
  if (!spec.subxids.empty()) flags |= xinfo::has_subxacts;
  if (!spec.removed_files.empty()) flags |= xinfo::has_relfilenodes;
  if (!spec.dropped_relations.empty()) flags |= xinfo::has_dropped_stats;
  if (is_commit && spec.invalidations > 0) flags |= xinfo::has_invals;
  if (prepared) flags |= xinfo::has_twophase;
  if (prepared && !spec.gid.empty()) flags |= xinfo::has_gid;
  if (spec.has_origin) flags |= xinfo::has_origin;
  const bool plain = flags == xinfo::has_dbinfo;

  std::string data;
  put(data, to_postgres(spec.time));
  if (!plain) {
    put(data, flags);
    put(data, std::uint32_t{5});
    put(data, std::uint32_t{1663});
  }
  const auto put_count = [&](std::size_t count) { put(data, static_cast<std::int32_t>(count)); };
  if (!spec.subxids.empty()) {
    put_count(spec.subxids.size());
    for (const auto xid : spec.subxids) put(data, xid);
  }
  if (!spec.removed_files.empty()) {
    put_count(spec.removed_files.size());
    for (const auto& files : spec.removed_files) put(data, files);
  }
  if (!spec.dropped_relations.empty()) {
    put_count(spec.dropped_relations.size());
    for (const auto& relation : spec.dropped_relations) {
      put(data, std::uint32_t{2});
      put(data, relation);
      if (options_.server_major >= 18) put(data, std::uint32_t{0});
    }
  }
  if ((flags & xinfo::has_invals) != 0) {
    put_count(spec.invalidations);
    data.append(spec.invalidations * 16, 'i');
  }
  if (prepared) put(data, spec.xid);
  if ((flags & xinfo::has_gid) != 0) data.append(spec.gid).push_back('\0');
  if (spec.has_origin) data.append(16, 'o');
  const std::uint8_t info = static_cast<std::uint8_t>(operation | (plain ? 0 : transaction_op::has_info));
  return record(rmgr::transaction, info, prepared ? 0 : spec.xid, data);
}

WrittenRecord WalBuilder::commit(const TransactionSpec& spec) {
  return transaction(transaction_op::commit, false, spec);
}
WrittenRecord WalBuilder::abort(const TransactionSpec& spec) {
  return transaction(transaction_op::abort, false, spec);
}
WrittenRecord WalBuilder::commit_prepared(const TransactionSpec& spec) {
  return transaction(transaction_op::commit_prepared, true, spec);
}
WrittenRecord WalBuilder::abort_prepared(const TransactionSpec& spec) {
  return transaction(transaction_op::abort_prepared, true, spec);
}

WrittenRecord WalBuilder::restore_point(std::string_view name, Timestamp time) {
  std::string data;
  put(data, to_postgres(time));
  data.append(name.substr(0, 63));
  data.resize(72);
  return record(rmgr::xlog, xlog_op::restore_point, 0, data);
}

WrittenRecord WalBuilder::checkpoint(Lsn redo, bool shutdown, Timestamp time) {
  std::string data;
  put(data, redo.value);
  put(data, options_.timeline.value);
  put(data, options_.timeline.value);
  data.resize(64);
  put(data, time.unix_us / 1'000'000);
  data.resize(88);
  return record(rmgr::xlog, shutdown ? xlog_op::checkpoint_shutdown : xlog_op::checkpoint_online, 0, data);
}

WrittenRecord WalBuilder::parameters(const ParametersChanged& parameters) {
  std::string data;
  for (const auto value :
       {parameters.max_connections, parameters.max_worker_processes, parameters.max_wal_senders,
        parameters.max_prepared_transactions, parameters.max_locks_per_transaction, parameters.wal_level}) {
    put(data, value);
  }
  put(data, static_cast<std::uint8_t>(parameters.wal_log_hints));
  put(data, static_cast<std::uint8_t>(parameters.track_commit_timestamp));
  data.resize(28);
  return record(rmgr::xlog, xlog_op::parameter_change, 0, data);
}

WrittenRecord WalBuilder::tablespace_created(std::uint32_t oid, std::string_view path) {
  std::string data;
  put(data, oid);
  data.append(path).push_back('\0');
  return record(rmgr::tablespace, tablespace_op::create, 0, data);
}

WrittenRecord WalBuilder::tablespace_dropped(std::uint32_t oid) {
  std::string data;
  put(data, oid);
  return record(rmgr::tablespace, tablespace_op::drop, 0, data);
}

WrittenRecord WalBuilder::database_dropped(std::uint32_t oid) {
  std::string data;
  put(data, oid);
  put(data, std::int32_t{1});
  put(data, std::uint32_t{1663});
  return record(rmgr::database, database_op::drop, 0, data);
}

WrittenRecord WalBuilder::backup_end(Lsn start_lsn) {
  std::string data;
  put(data, start_lsn.value);
  return record(rmgr::xlog, xlog_op::backup_end, 0, data);
}

WrittenRecord WalBuilder::switch_segment() {
  auto written = record(rmgr::xlog, xlog_op::segment_switch, 0, {});
  const auto bytes = size_.bytes();
  position_ = {(position_.value + bytes - 1) / bytes * bytes};
  written.end_lsn = position_;
  return written;
}

WrittenRecord WalBuilder::switch_timeline(TimelineId next, Timestamp time) {
  const SegmentName old{options_.timeline, segment_of(position_, size_)};
  // On a segment's border nothing of the old timeline is carried over.
  if (position_.value % size_.bytes() != 0) segments_[{next, old.number}] = segments_.at(old);
  history_.append(std::to_string(options_.timeline.value)).append("\t").append(to_string(position_));
  history_.append("\tno recovery target specified\n\n");
  std::string data;
  put(data, to_postgres(time));
  put(data, next.value);
  put(data, options_.timeline.value);
  if (options_.server_major >= 17) put(data, std::int64_t{1});
  options_.timeline = next;
  return record(rmgr::xlog, xlog_op::end_of_recovery, 0, data);
}

WrittenRecord WalBuilder::overwrite_contrecord(std::size_t total, Timestamp time) {
  const Lsn given_up = next_lsn();
  const auto bytes = assemble(rmgr::xlog, xlog_op::noop, 0, std::string(total, 'g'));
  const auto room = kPageSize - given_up.value % kPageSize;
  if (bytes.size() <= room) throw std::invalid_argument("the record to give up must cross a page");
  write(bytes, room);
  next_page_flags_ = page_flag::first_is_overwrite_contrecord;
  std::string data;
  put(data, given_up.value);
  put(data, to_postgres(time));
  return record(rmgr::xlog, xlog_op::overwrite_contrecord, 0, data);
}

Lsn WalBuilder::next_lsn() const {
  return skip_page_header(position_, size_);
}

std::string WalBuilder::segment(SegmentName name) const {
  return segments_.at(name);
}

std::string WalBuilder::segment(SegmentNumber number) const {
  for (auto found = segments_.rbegin(); found != segments_.rend(); ++found) {
    if (found->first.number == number) return found->second;
  }
  throw std::out_of_range("the builder has not reached this segment");
}

std::vector<SegmentName> WalBuilder::segments() const {
  std::vector<SegmentName> names;
  for (const auto& [name, bytes] : segments_) names.push_back(name);
  return names;
}

MemoryWal WalBuilder::source() const {
  MemoryWal wal(size_);
  // Ordered by timeline, so that the newest one's bytes stay.
  for (const auto& [name, bytes] : segments_) wal.set(name.number, bytes);
  return wal;
}

}  // namespace walback::test
