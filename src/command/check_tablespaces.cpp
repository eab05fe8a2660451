#include <fmt/format.h>

#include "command/checklist.h"

namespace walback {
void check_tablespaces(Checklist& list) {
  for (const Tablespace& tablespace : list.in.tablespaces) {
    list.add(Severity::wrong, "tablespace " + tablespace.name,
             fmt::format("lies in '{}'; base backups of clusters with tablespaces are refused",
                         tablespace.location),
             list.psql({fmt::format("alter table all in tablespace {} set tablespace pg_default",
                                    sql_name(tablespace.name)),
                        fmt::format("drop tablespace {}", sql_name(tablespace.name))}) +
                 " (in each database that uses it)");
  }
}

}  // namespace walback
