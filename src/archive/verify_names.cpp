#include "archive/verify_names.h"

#include <algorithm>

namespace walback {

using Kind = WalFinding::Kind;

std::vector<WalFinding> look_at_names(const ArchiveLayout& layout,
                                      const std::vector<std::string>& unknown_epochs,
                                      const std::vector<EpochFiles>& epochs) {
  std::vector<WalFinding> findings;
  const auto find = [&](Kind kind, const Path& subject, const char* text) {
    findings.push_back({kind, subject.string(), text, {}});
  };
  for (const std::string& name : unknown_epochs)
    find(Kind::unknown_name, layout.wal() / name, "no epoch has such a name");
  for (const EpochFiles& epoch : epochs) {
    const Path directory = layout.epoch(epoch.epoch);
    for (const std::string& name : epoch.unknown)
      find(Kind::unknown_name, directory / name, "pg_receivewal does not write such a name");
    for (const std::string& name : epoch.leftovers)
      find(Kind::leftover, directory / name,
           "lies beside its finished segment, which is the one that is used");
  }
  return findings;
}

std::vector<WalFinding> look_at_histories(const ArchiveContext& archive,
                                          const std::vector<TimelineRow>& timelines,
                                          const std::vector<EpochFiles>& epochs) {
  std::vector<WalFinding> findings;
  for (const TimelineRow& row : timelines) {
    if (!row.history_captured) continue;
    const std::string name = history_file_name(row.timeline);
    bool there = false;
    for (const EpochFiles& epoch : epochs) {
      if (!std::ranges::binary_search(epoch.histories, row.timeline)) continue;
      there = true;
      const Path path = archive.layout.epoch(epoch.epoch) / name;
      const auto text = archive.files.read(path);
      if (text && *text == row.history) continue;
      findings.push_back(
          {Kind::history,
           path.string(),
           text ? "is not the one that was captured" : "cannot be read: " + text.error().message,
           {}});
    }
    if (!there)
      findings.push_back({Kind::history,
                          (archive.layout.wal() / name).string(),
                          "is in the catalog and in no epoch any more",
                          {}});
  }
  return findings;
}

}  // namespace walback
