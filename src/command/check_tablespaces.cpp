#include <fmt/format.h>

#include <algorithm>

#include "command/checklist.h"

namespace walback {

/// Replay makes a tablespace where the primary has it: on the primary's own host that is refused. A base
/// backup that holds it is laid out anew anywhere.
void check_tablespaces(Checklist& list) {
  if (list.in.usable_backups == 0) return;
  for (const Tablespace& tablespace : list.in.tablespaces) {
    const std::string oid = std::to_string(tablespace.oid);
    const bool backed_up = std::ranges::any_of(list.in.tablespaces_backed_up, [&](const std::string& known) {
      return known == oid || known.starts_with(oid + " ");
    });
    const bool in_place = !tablespace.location.starts_with('/');
    if (backed_up || in_place) continue;
    list.add(Severity::note, "tablespace " + tablespace.name,
             fmt::format("created in '{}' after the newest usable base backup: on a host that has this path "
                         "nothing behind its creation can be restored",
                         tablespace.location),
             list.walback("backup"));
  }
}

}  // namespace walback
