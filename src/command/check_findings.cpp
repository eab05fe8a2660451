#include "command/check_findings.h"

#include "command/checklist.h"

namespace walback {

std::string_view name_of(Severity severity) {
  switch (severity) {
    case Severity::good:
      return "good";
    case Severity::note:
      return "note";
    case Severity::wrong:
      return "wrong";
  }
  return "wrong";
}

std::vector<Finding> check_findings(const CheckInput& input) {
  Checklist list{input, {}};
  check_server(list);
  check_slots(list);
  check_standbys(list);
  check_synchronous_mode(list);
  check_tablespaces(list);
  check_mirror(list);
  check_gaps(list);
  check_services(list);
  check_backups(list);
  check_assurance(list);
  check_machine(list);
  check_disk(list);
  return std::move(list.found);
}

}  // namespace walback
