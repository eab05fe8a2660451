#include "restore/planned_files.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/crc32c.h"
#include "os/segment_source.h"
#include "wal/record_reader.h"

namespace walback {
namespace {

constexpr std::string_view kHint =
    "It changed after it was indexed. Once the WAL manager has read it again (`manage.scan_interval`), "
    "`walback plan` names what can be reached without it.";

/// Where the file is now: a `.partial` may have been finished since the catalog was read.
Path present_file(FileSystem& files, const PlannedSegment& segment, const ArchiveLayout& archive,
                  SegmentSize size) {
  Path path = file_of(segment, archive, size);
  if (segment.state != SegmentState::finished && !exists(files, path)) path.replace_extension();
  return path;
}

tl::unexpected<Error> missing(const Path& path) {
  return fail(ErrorKind::not_found,
              fmt::format("WAL segment '{}' is missing, and the plan needs it", path.string()),
              std::string(kHint));
}

Status check_finished(FileSystem& files, const SegmentRow& row, const Path& path, SegmentSize size) {
  const auto info = files.stat(path);
  if (!info && info.error().kind == ErrorKind::not_found) return missing(path);
  if (!info) return tl::unexpected(info.error());
  if (info->size_bytes != size.bytes()) {
    return fail(ErrorKind::corrupt,
                fmt::format("WAL segment '{}' has {} bytes, expected {}", path.string(), info->size_bytes,
                            size.bytes()),
                std::string(kHint));
  }
  if (info->mtime_ns == row.mtime_ns || !row.file_crc32c) return {};
  const std::uint32_t found = crc32c(TRY(files.read(path, size.bytes())));
  if (found == *row.file_crc32c) return {};
  return fail(ErrorKind::corrupt,
              fmt::format("WAL segment '{}' changed since it was captured: checksum {:08x}, expected {:08x}",
                          path.string(), found, *row.file_crc32c),
              std::string(kHint));
}

Status check_run(FileSystem& files, const SegmentRun& run, const Catalog& catalog,
                 const ArchiveLayout& archive, SegmentSize size) {
  if (run.state != SegmentState::finished) {
    const PlannedSegment partial{{run.timeline, run.first}, run.epoch, run.state};
    if (!exists(files, present_file(files, partial, archive, size)))
      return missing(file_of(partial, archive, size));
    return {};
  }
  Status checked;
  TRY(catalog.each_segment(run.timeline, run.first, run.last, [&](const SegmentRow& row) {
    if (row.epoch != run.epoch || row.state != SegmentState::finished) return true;
    const Path path = file_of({row.name, row.epoch, row.state}, archive, size);
    checked = check_finished(files, row, path, size);
    return checked.has_value();
  }));
  return checked;
}

/// Where the records of the plan's last segment begin, if it is a `.partial`: nothing vouches for its bytes
/// but its records, because it has no checksum before it is finished.
Result<Lsn> begin_of_partial(const RestorePlan& plan, const Catalog& catalog) {
  if (plan.segments.empty() || plan.segments.back().state == SegmentState::finished) return plan.read_from;
  const SegmentRun& last = plan.segments.back();
  const auto row = TRY(catalog.segment({last.timeline, last.last}));
  if (!row || !row->first_record_lsn) return plan.read_from;
  return std::min(plan.read_from, std::max(*row->first_record_lsn, plan.backup.start_lsn));
}

/// The plan's WAL as one stream of bytes.
class PlanSource {
 public:
  PlanSource(FileSystem& files, const RestorePlan& plan, const ArchiveLayout& archive)
      : files_(files), plan_(plan), archive_(archive) {}

  Result<std::optional<Path>> operator()(SegmentNumber number) const {
    // The newest timeline's copy of a switch segment carries its parent's records up to the switch.
    for (auto range = plan_.history.rbegin(); range != plan_.history.rend(); ++range) {
      if (const auto segment = find_planned_segment(plan_, {range->timeline, number})) {
        return std::optional(present_file(files_, *segment, archive_, plan_.identity.segment_size));
      }
    }
    return std::optional<Path>();
  }

 private:
  FileSystem& files_;
  const RestorePlan& plan_;
  const ArchiveLayout& archive_;
};

}  // namespace

Status check_planned_files(FileSystem& files, const RestorePlan& plan, const Catalog& catalog,
                           const ArchiveLayout& archive) {
  for (const SegmentRun& run : plan.segments) {
    TRY(check_run(files, run, catalog, archive, plan.identity.segment_size));
  }
  return {};
}

Status settle_stop_from_files(FileSystem& files, RestorePlan& plan, const Catalog& catalog,
                              const ArchiveLayout& archive) {
  const SegmentSize size = plan.identity.segment_size;
  const PlanSource locate(files, plan, archive);
  SegmentSource source(files, size, locate);
  ReaderOptions options{
      .system_identifier = plan.identity.system_identifier, .segment_size = size, .timelines = {}};
  for (const WalRange& range : plan.history) options.timelines.push_back(range.timeline);
  RecordReader reader(source, options, ReadFrom::boundary(TRY(begin_of_partial(plan, catalog))));
  std::optional<Lsn> last_valid;
  while (const Record* record = reader.next()) {
    if (record->lsn >= plan.stop.lsn) return settle_stop(plan, record->lsn, record->end_lsn, catalog);
    last_valid = record->lsn;
  }
  const ReadStop& stop = reader.stop();
  if (stop.kind == StopKind::unreadable) return tl::unexpected(reader.source_error());
  const Path file = TRY(locate(segment_of(stop.lsn, size))).value_or(Path("?"));
  return fail(ErrorKind::corrupt,
              fmt::format("WAL segment '{}' is not what was indexed: damaged at {}, before the stop {}: {}",
                          file.string(), to_string(stop.lsn), to_string(plan.stop.lsn),
                          stop.reason.empty() ? std::string(name_of(stop.kind)) : stop.reason),
              last_valid ? fmt::format("The last reachable moment before the damage is --to-lsn {}.",
                                       to_string(*last_valid))
                         : std::string(kHint));
}

}  // namespace walback
