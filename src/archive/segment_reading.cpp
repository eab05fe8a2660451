#include "archive/segment_reading.h"

#include <utility>

#include "archive/continuity.h"
#include "catalog/moment_codec.h"

namespace walback {
namespace {

/// One record into the batch.
void take(RecordReader& reader, const Record& record, TimelineId timeline, ReadingBatch& batch) {
  ++batch.records;
  // A record that was given up in a crash began where the chain stood: its successor goes on from there.
  if (!batch.first_record_lsn) batch.first_record_lsn = reader.overwritten().value_or(record.lsn);
  batch.last_record_lsn = record.lsn;
  batch.valid_end_lsn = record.end_lsn;
  for (const Event& event : reader.events()) batch.moments.push_back(moment_of(timeline, event));
  if (TransactionEnd* const end = reader.transaction_end()) {
    if (auto moment = moment_of(timeline, *end)) batch.moments.push_back(std::move(*moment));
    batch.ends.push_back(std::move(*end));
  }
}

SegmentSource::Locate with_own_file(const SegmentFile& file, const SegmentSource::Locate& others) {
  return [&file, others](SegmentNumber number) -> Result<std::optional<Path>> {
    if (number == file.name.number) return std::optional<Path>{file.path};
    if (number > file.name.number || !others) return std::optional<Path>{};
    return others(number);
  };
}

}  // namespace

Result<Reading> read_segment(FileSystem& files, const ArchiveIdentity& identity, const SegmentFile& file,
                             const ReadingPlan& plan, const std::function<Status(ReadingBatch&&)>& hand_on) {
  SegmentSource source(files, identity.segment_size, with_own_file(file, plan.locate));
  ReaderOptions options{.system_identifier = identity.system_identifier,
                        .segment_size = identity.segment_size,
                        .timelines = timelines_of(plan.history)};
  RecordReader reader(source, std::move(options), plan.from);
  ReadingBatch batch;
  batch.valid_end_lsn = plan.from.lsn;
  while (const Record* const record = reader.next()) {
    if (record->lsn < plan.own_begin) {
      batch.valid_end_lsn = record->end_lsn;
      continue;
    }
    take(reader, *record, file.name.timeline, batch);
    if (batch.ends.size() < kEndsPerBatch) continue;
    const Lsn reached = batch.valid_end_lsn;
    TRY(hand_on(std::exchange(batch, {})));
    batch.valid_end_lsn = reached;
  }
  return Reading{std::move(batch), reader.stop(), reader.source_error()};
}

std::string problem_of(const ReadStop& stop, bool partial) {
  switch (stop.kind) {
    case StopKind::end_of_range:
    case StopKind::end_of_bytes:
      return "";
    case StopKind::zeroes:
    case StopKind::invalid:
      if (partial) return "";
      return std::string(kDamaged) + " at " + to_string(stop.lsn) + ": " + stop.reason;
    case StopKind::foreign_system:
      return "foreign: " + stop.reason;
    case StopKind::unknown_magic:
      return "unknown version: " + stop.reason;
    case StopKind::unreadable:
      return std::string(kUnreadable) + ": " + stop.reason;
  }
  return "unknown";
}

}  // namespace walback
