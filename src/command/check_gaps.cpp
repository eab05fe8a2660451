#include <fmt/format.h>

#include "command/checklist.h"

namespace walback {

/// A gap that a newer base backup lies behind is history; one that none lies behind means that a restore to
/// now is impossible.
void check_gaps(Checklist& list) {
  for (const GapImpact& impact : list.in.gaps) {
    const std::string subject = fmt::format("{}gap on timeline {}", impact.gap.accepted ? "accepted " : "",
                                            impact.gap.timeline.value);
    const std::string text = impact.gap.reason + "; " + describe(impact);
    if (!impact.renewed_by) {
      list.add(Severity::wrong, subject, text, list.walback("backup"));
    } else if (impact.gap.accepted) {
      list.add(Severity::note, subject, text);
    } else {
      list.add(Severity::note, subject, text,
               "put the segments back if they exist anywhere, else " + list.walback("capture --accept-gap"));
    }
  }
}

}  // namespace walback
