#include "command/commands.h"

namespace walback {

std::vector<CommandSpec> command_table() {
  return {init_command(),         check_command(),  capture_command(),      manage_command(),
          run_services_command(), status_command(), list_command(),         commits_command(),
          backup_command(),       plan_command(),   restore_command_spec(), clusters_command(),
          sync_command(),         verify_command(), drill_command(),        expire_command(),
          reindex_command(),      load_command(),   lab_command(),          man_command(),
          completion_command()};
}

}  // namespace walback
