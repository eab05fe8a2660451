#include <fmt/format.h>

#include "base/text.h"
#include "command/checklist.h"

namespace walback {
namespace {

/// Besides another base backup.
constexpr std::uint64_t kLeastRoom = 2ULL << 30;

}  // namespace

void check_disk(Checklist& list) {
  if (!list.in.archive_disk) return;
  const std::uint64_t wanted = list.in.cluster_bytes + kLeastRoom;
  const DiskState state = judge_disk(*list.in.archive_disk, false);
  if (state != DiskState::fine) {
    list.add(Severity::wrong, "disk of the archive",
             describe(*list.in.archive_disk) + (state == DiskState::full ? ": capturing pauses" : ""),
             "give the archive a larger disk, or " + list.walback("expire --keep 2 --dry-run") +
                 " (names what can go)");
  } else if (list.in.archive_disk->available_bytes < wanted) {
    list.add(Severity::wrong, "disk of the archive",
             fmt::format("{} free; another base backup and some WAL need {}",
                         render_bytes(list.in.archive_disk->available_bytes), render_bytes(wanted)),
             "give the archive a larger disk");
  } else {
    list.good("disk of the archive", describe(*list.in.archive_disk));
  }
}

}  // namespace walback
