#include <fmt/format.h>

#include "command/checklist.h"

namespace walback {
void check_mirror(Checklist& list) {
  if (!list.in.config.manage.mirror || !list.in.mirror) return;
  const std::string subject = "table walback.wal_segments";
  if (!list.in.mirror->foreign_owner.empty()) {
    list.add(
        Severity::wrong, subject,
        fmt::format("it or its schema belongs to role '{}', expected '{}' or a superuser: it is not written",
                    list.in.mirror->foreign_owner, list.in.role.role),
        list.psql(
            {fmt::format("alter schema walback owner to {}", sql_name(list.in.role.role)),
             fmt::format("alter table walback.wal_segments owner to {}", sql_name(list.in.role.role))}));
  } else if (list.in.mirror->present) {
    list.good(subject, "is there");
  } else if (!list.in.role.superuser && !list.in.role.creates_schemas) {
    list.add(Severity::note, subject,
             fmt::format("is not there, and role '{}' may not create its schema", list.in.role.role),
             list.psql({fmt::format("create schema walback authorization {}", sql_name(list.in.role.role))}) +
                 " (as a superuser), or set `manage: {mirror: false}` in walback.yaml");
  } else {
    list.good(subject, "is not there yet: it is made after the next commit");
  }
}

}  // namespace walback
