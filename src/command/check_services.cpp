#include "command/checklist.h"

namespace walback {
void check_services(Checklist& list) {
  if (!list.in.capturer_runs) list.add(Severity::wrong, "capturer", "is not running", list.walback("run"));
  if (!list.in.manager_runs) list.add(Severity::wrong, "WAL manager", "is not running", list.walback("run"));
}

}  // namespace walback
