#include "capture/held_end.h"

#include "os/segment_source.h"
#include "wal/record_reader.h"

namespace walback {

Lsn held_end(FileSystem& files, const Path& epoch, const ArchiveIdentity& identity,
             const ResumePoint& resume) {
  const SegmentSize size = identity.segment_size;
  const SegmentName name{resume.timeline, segment_of(resume.lsn, size)};
  const Path partial = epoch / (file_name(name, size) + ".partial");
  if (!exists(files, partial)) return resume.lsn;
  SegmentSource source(files, size, [&](SegmentNumber number) -> Result<std::optional<Path>> {
    return number == name.number ? std::optional(partial) : std::nullopt;
  });
  ReaderOptions options{
      .system_identifier = identity.system_identifier, .segment_size = size, .timelines = {}};
  for (std::uint32_t timeline = 1; timeline <= name.timeline.value; ++timeline)
    options.timelines.push_back({timeline});
  RecordReader reader(source, options, ReadFrom::first_at_or_after(resume.lsn));
  Lsn end = resume.lsn;
  while (const Record* const record = reader.next()) end = record->end_lsn;
  return end;
}

}  // namespace walback
