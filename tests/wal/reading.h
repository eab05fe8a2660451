#pragma once
#include <optional>
#include <vector>

#include "support/wal_builder.h"
#include "wal/record_reader.h"
#include "wal/scan_segment.h"

/// Reads forged WAL to its end and keeps all that the reader said.
namespace walback::test {

inline Timestamp at_second(std::int64_t second) {
  return {1'795'000'000'000'000 + second * 1'000'000};
}

struct Reading {
  std::vector<Record> records;
  std::vector<TransactionEnd> ends;
  std::vector<Event> events;
  std::vector<Lsn> given_up;
  ReadStop stop;
  Lsn position;
  unsigned server_major = 0;

  [[nodiscard]] std::vector<Lsn> starts() const {
    std::vector<Lsn> lsns;
    for (const auto& record : records) lsns.push_back(record.lsn);
    return lsns;
  }
};

inline ReaderOptions options_for(const WalBuilder& wal) {
  std::vector<TimelineId> timelines;
  for (std::uint32_t id = 1; id <= wal.timeline().value; ++id) timelines.push_back({id});
  return {WalBuilderOptions{}.system_identifier, wal.size(), timelines};
}

inline Reading read_all(WalSource& source, const ReaderOptions& options, const ReadFrom& from) {
  RecordReader reader(source, options, from);
  Reading reading;
  while (const Record* record = reader.next()) {
    reading.records.push_back(*record);
    if (auto* end = reader.transaction_end()) reading.ends.push_back(*end);
    reading.events.insert(reading.events.end(), reader.events().begin(), reader.events().end());
    if (const auto given_up = reader.overwritten()) reading.given_up.push_back(*given_up);
  }
  reading.stop = reader.stop();
  reading.position = reader.position();
  reading.server_major = reader.server_major();
  return reading;
}

/// From the first record of segment 1.
inline Reading read_all(const WalBuilder& wal, MemoryWal source) {
  return read_all(source, options_for(wal), ReadFrom::boundary({wal.size().bytes()}));
}
inline Reading read_all(const WalBuilder& wal) {
  return read_all(wal, wal.source());
}

inline SegmentScanRequest request_for(const WalBuilder& wal, SegmentNumber segment) {
  return {WalBuilderOptions{}.system_identifier, wal.size(), options_for(wal).timelines, segment, {}, {}};
}

}  // namespace walback::test
