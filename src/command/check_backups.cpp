#include <fmt/format.h>

#include "command/checklist.h"
#include "command/command.h"

namespace walback {

void check_backups(Checklist& list) {
  if (list.in.backups == 0) {
    list.add(Severity::wrong, "base backups", "none: nothing can be restored", list.walback("backup"));
  } else if (list.in.usable_backups == 0) {
    list.add(Severity::wrong, "base backups",
             count_of(list.in.backups, "base backup") +
                 ", none of them usable: the archive lacks WAL that they need",
             list.walback("backup"));
  } else {
    list.good("base backups", fmt::format("{}, {} usable", list.in.backups, list.in.usable_backups));
  }
}

}  // namespace walback
