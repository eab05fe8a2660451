#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "archive/archive_context.h"
#include "archive/continuity.h"
#include "archive/wal_directory.h"
#include "wal/timeline_history.h"

namespace walback {

/// The `.history` files of the archive: read once each, stored in the catalog, and asked by the intake.
class Timelines {
 public:
  explicit Timelines(const ArchiveContext& archive) : archive_(archive) {}

  /// What the catalog knows already; for the start.
  [[nodiscard]] Status load(const Catalog& catalog);

  /// Reads those of `listed` that are new or changed, and notes every timeline of which there is WAL.
  [[nodiscard]] Status take(Catalog& catalog, const EpochFiles& listed);

  /// Those whose file is in no epoch's directory any more, though it was: the catalog still has the text, and
  /// a restore needs the file.
  [[nodiscard]] std::vector<TimelineId> missing(const std::vector<EpochFiles>& all) const;

  /// Timeline 1 has one without entries. Null: its file is not in the archive, or does not parse.
  [[nodiscard]] const TimelineHistory* history(TimelineId timeline) const;
  /// Did a newer timeline leave this one?
  [[nodiscard]] bool has_ended(TimelineId timeline) const;
  [[nodiscard]] TimelineStarts starts() const;

 private:
  [[nodiscard]] Status read(Catalog& catalog, TimelineId timeline, const Path& path);
  [[nodiscard]] Status note(Catalog& catalog, TimelineId timeline);
  void say(TimelineId timeline, const Path& path, const Error& error);

  ArchiveContext archive_;
  std::map<TimelineId, TimelineHistory> histories_{{TimelineId{1}, {TimelineId{1}, {}}}};
  std::map<std::string, std::int64_t> seen_;  ///< by path, with its mtime
  std::set<TimelineId> noted_;
};

}  // namespace walback
